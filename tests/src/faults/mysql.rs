//! Faults of a MariaDB server of one's own.

use std::time::Duration;

use anyhow::{Context, Result};
use cofferdam::ErrorKind;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use tokio::time::{Instant, sleep};

use super::Run;
use super::load::{ENOUGH, Load, LoadOptions};
use super::look::{self, Found};
use super::opened::{Opened, spool_of};
use super::scene::{DEADLINE, Scene};
use super::strictness::unhurried;
use super::verdict::{Expected, Verdict};
use crate::harness::mariadb::{MariaDb, PASSWORD, USER};
use crate::harness::mysql::{DatabaseOptions, MysqlDatabase, MysqlServer};
use crate::harness::storage::mysql_config;
use crate::harness::tmpfs::Tmpfs;
use crate::harness::wait::until;

/// How long a fault lasts: well beyond an operation's deadline.
const LASTING: Duration = Duration::from_millis(1500);

/// What callers see of a server that is away: an error at once, or none until the deadline.
pub(super) const AWAY: Expected = Expected::errors(&[ErrorKind::Unavailable, ErrorKind::Timeout]);

/// A server with a database, and a storage on it.
pub(super) struct Stage {
    pub server: MysqlServer,
    pub database: MysqlDatabase,
    pub opened: Opened,
}

impl Stage {
    /// Everything on a server with these further arguments.
    pub async fn set(run: Run, arguments: &[&str]) -> Result<Self> {
        let arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self::on(run, MysqlServer::start(&arguments).await?).await
    }

    async fn on(run: Run, server: MysqlServer) -> Result<Self> {
        Self::within(DEADLINE, run, server).await
    }

    /// With another deadline of operations.
    async fn within(deadline: Duration, run: Run, server: MysqlServer) -> Result<Self> {
        let database = server.create_database(DatabaseOptions::default()).await?;
        let opened = Opened::within(deadline, mysql_config(database.config()), spool_of(run.guard)?).await?;
        Ok(Self { server, database, opened })
    }
}

pub(super) async fn look(server: &MysqlServer, database: &MysqlDatabase) -> Result<Found> {
    let mut connection = server.administrator().await?;
    connection.query_drop(format!("USE `{}`", database.config().database)).await?;
    let found = look::mysql(&mut connection).await?;
    connection.disconnect().await?;
    Ok(found)
}

/// Provokes a fault on a stage, and compares.
async fn play(
    name: &str,
    stage: Stage,
    expected: Expected,
    load: LoadOptions,
    fault: impl AsyncFnOnce(&mut MysqlServer, &Load) -> Result<()>,
) -> Result<Verdict> {
    let Stage { mut server, database, opened } = stage;
    let scene = Scene { fault: name, expected, opened: &opened, load };
    let played = scene.play(async |load| fault(&mut server, load).await).await?;
    let verdict = played.judge(&look(&server, &database).await?);
    opened.service.close().await?;
    Ok(verdict)
}

fn process(server: &mut MysqlServer) -> Result<&mut MariaDb> {
    server.process().context("the server is ours")
}

fn callers() -> LoadOptions {
    LoadOptions::new(DEADLINE)
}

pub(super) async fn kill(name: &'static str, run: Run) -> Result<Verdict> {
    play(name, Stage::set(run, &[]).await?, AWAY, callers(), async |server, _| {
        let server = process(server)?;
        server.kill()?;
        sleep(LASTING).await;
        server.start_again().await
    })
    .await
}

pub(super) async fn hang(name: &'static str, run: Run) -> Result<Verdict> {
    play(name, Stage::set(run, &[]).await?, AWAY, callers(), async |server, _| {
        let server = process(server)?;
        server.pause()?;
        sleep(2 * LASTING).await;
        server.resume()
    })
    .await
}

pub(super) async fn kill_connection(name: &'static str, run: Run) -> Result<Verdict> {
    let lasting = if run.full { 10 * LASTING } else { LASTING };
    // Repeating the operation mends it, mostly.
    let expected = Expected { is_felt: false, ..AWAY };
    let mut killed = 0;
    let mut verdict = play(name, Stage::set(run, &[]).await?, expected, callers(), async |server, _| {
        let mut administrator = server.administrator().await?;
        let (end, at_last) = (Instant::now() + lasting, Instant::now() + lasting + ENOUGH);
        // Queries are short, so that it takes some looks to find one.
        while Instant::now() < end || killed == 0 && Instant::now() < at_last {
            match kill_connections(&mut administrator, true).await {
                Ok(more) => killed += more,
                // Seen of MariaDB 10.11: now and then the one who kills is disconnected too.
                Err(_) => administrator = server.administrator().await?,
            }
            sleep(Duration::from_millis(if killed > 0 { 20 } else { 1 })).await;
        }
        Ok(())
    })
    .await?;
    anyhow::ensure!(killed > 0, "no connection was in mid-query");
    verdict.notes.push(format!("{killed} connections were killed in mid-query"));
    Ok(verdict)
}

/// Closes the connections of the storage: all of them, or those that run a statement. Returns how many there were.
async fn kill_connections(administrator: &mut Conn, only_busy: bool) -> Result<usize> {
    let mut list = format!("SELECT id FROM information_schema.processlist WHERE user = '{USER}'");
    if only_busy {
        list += " AND command <> 'Sleep'";
    }
    let connections: Vec<u64> = administrator.query(list).await?;
    for connection in &connections {
        // One that is gone by now is no loss.
        let _ = administrator.query_drop(format!("KILL CONNECTION {connection}")).await;
    }
    Ok(connections.len())
}

/// The server has fewer connections than the storage and the others want; the others take all of them.
pub(super) async fn max_connections(name: &'static str, run: Run) -> Result<Verdict> {
    const OTHERS: &str = "others";
    let stage = Stage::set(run, &["--max-connections=12"]).await?;
    play(name, stage, AWAY, callers(), async |server, _| {
        let mut administrator = server.administrator().await?;
        administrator.query_drop(format!("CREATE USER {OTHERS}@'%'")).await?;
        let port = process(server)?.port();
        let options = OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(port).prefer_socket(false);
        let options = options.user(Some(OTHERS));
        let mut others = Vec::new();
        let mut refused = 0;
        let end = Instant::now() + Duration::from_secs(30);
        // Until nobody is left who could leave: the storage has no connection, and another gets none.
        while refused < 3 {
            anyhow::ensure!(Instant::now() < end, "the others got {} connections only", others.len());
            match Conn::new(options.clone()).await {
                Ok(connection) => others.push(connection),
                Err(_) if kill_connections(&mut administrator, false).await? == 0 => refused += 1,
                Err(_) => refused = 0,
            }
        }
        sleep(LASTING).await;
        for connection in others {
            connection.disconnect().await?;
        }
        Ok(administrator.disconnect().await?)
    })
    .await
}

/// What an administrator may set for all sessions, of which each alone loses writes, cuts answers or fails statements where
/// a session takes it over.
const HOSTILE: &str = "SET GLOBAL autocommit = 0, GLOBAL completion_type = 'CHAIN', GLOBAL tx_read_only = 1, \
    GLOBAL tx_isolation = 'SERIALIZABLE', GLOBAL sql_select_limit = 1, GLOBAL sql_safe_updates = 1, GLOBAL max_join_size = 1, \
    GLOBAL sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES', GLOBAL unique_checks = 0, GLOBAL innodb_lock_wait_timeout = 0, \
    GLOBAL lock_wait_timeout = 0, GLOBAL max_statement_time = 0.000001, GLOBAL max_session_mem_used = 65536, \
    GLOBAL wait_timeout = 1, GLOBAL idle_transaction_timeout = 1, \
    GLOBAL init_connect = 'SET insert_id = 77; USE information_schema; START TRANSACTION'";

/// Connections that are open are ended, so that their successors begin with the new values.
pub(super) async fn hostile_globals(name: &'static str, run: Run) -> Result<Verdict> {
    let rounds = if run.full { 20 } else { 3 };
    let expected = Expected { is_felt: false, ..AWAY };
    let mut ended = 0;
    let mut verdict = play(name, Stage::set(run, &[]).await?, expected, callers(), async |server, _| {
        let mut administrator = server.administrator().await?;
        administrator.query_drop(HOSTILE).await?;
        for _ in 0..rounds {
            ended += kill_connections(&mut administrator, false).await?;
            sleep(LASTING / 3).await;
        }
        Ok(administrator.disconnect().await?)
    })
    .await?;
    anyhow::ensure!(ended > 0, "no connection was ended");
    verdict.notes.push(format!("{ended} connections were ended, and others opened with the new values"));
    Ok(verdict)
}

pub(super) async fn read_only(name: &'static str, run: Run) -> Result<Verdict> {
    let expected = Expected::errors(&[ErrorKind::PermissionDenied, ErrorKind::Unavailable]);
    let stage = Stage::within(unhurried(), run, MysqlServer::start(&[]).await?).await?;
    play(name, stage, expected, LoadOptions::new(unhurried()), async |server, _| {
        let mut administrator = server.administrator().await?;
        administrator.query_drop("SET GLOBAL read_only = ON").await?;
        sleep(LASTING).await;
        administrator.query_drop("SET GLOBAL read_only = OFF").await?;
        Ok(administrator.disconnect().await?)
    })
    .await
}

/// Connections that are open stay: they are closed, as a rotation of passwords ends with.
pub(super) async fn password(name: &'static str, run: Run) -> Result<Verdict> {
    let expected = Expected::errors(&[ErrorKind::PermissionDenied, ErrorKind::Unavailable, ErrorKind::Timeout]);
    play(name, Stage::set(run, &[]).await?, expected, callers(), async |server, _| {
        let mut administrator = server.administrator().await?;
        administrator.query_drop(format!("ALTER USER {USER}@'%' IDENTIFIED BY 'another'")).await?;
        kill_connections(&mut administrator, false).await?;
        sleep(LASTING).await;
        administrator.query_drop(format!("ALTER USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'")).await?;
        Ok(administrator.disconnect().await?)
    })
    .await
}

/// Each write makes a row, so that the tables grow.
pub(super) async fn disk_full(name: &'static str, run: Run) -> Result<Verdict> {
    const MEBIBYTE: u64 = 1 << 20;
    let mut disk = Tmpfs::mount(256 * MEBIBYTE)?;
    let stage = Stage::on(run, MysqlServer::start_in(disk.path(), &[]).await?).await?;
    let expected = Expected::errors(&[ErrorKind::StorageFull, ErrorKind::Unavailable, ErrorKind::Timeout]);
    let load = LoadOptions { writes_per_row: 1, prefix: "x".repeat(200), ..callers() };
    play(name, stage, expected, load, async |_, load| {
        let filler = disk.fill()?;
        until("the disk is full", Duration::from_secs(60), async || load.ledger().is_felt()).await?;
        sleep(LASTING).await;
        disk.resize(512 * MEBIBYTE)?;
        drop(filler);
        Ok(())
    })
    .await
}
