//! Faults of a MariaDB server of one's own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use cofferdam::config::{Config, Timeouts};
use cofferdam::{ErrorKind, Storage, StorageService};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use tokio::time::{Instant, sleep};

use super::Run;
use super::load::{Load, LoadOptions};
use super::look::{self, Found};
use super::scene::{DEADLINE, Scene};
use super::verdict::{Expected, Verdict};
use crate::harness::mariadb::{PASSWORD, USER};
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
    pub storage: Arc<dyn StorageService>,
}

impl Stage {
    /// Everything on a server with these further arguments.
    pub async fn set(arguments: &[&str]) -> Result<Self> {
        let arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self::on(MysqlServer::start(&arguments).await?).await
    }

    async fn on(server: MysqlServer) -> Result<Self> {
        let database = server.create_database(DatabaseOptions::default()).await?;
        let storage = open(mysql_config(database.config())).await?;
        Ok(Self { server, database, storage })
    }

    pub fn process(&mut self) -> Result<&mut crate::harness::mariadb::MariaDb> {
        self.server.process().context("the server is ours")
    }

    /// What is in the database.
    pub async fn look(&self) -> Result<Found> {
        look(&self.server, &self.database).await
    }
}

pub(super) async fn look(server: &MysqlServer, database: &MysqlDatabase) -> Result<Found> {
    let mut connection = server.administrator().await?;
    connection.query_drop(format!("USE `{}`", database.config().database)).await?;
    let found = look::mysql(&mut connection).await?;
    connection.disconnect().await?;
    Ok(found)
}

/// A storage with short deadlines, initialised.
pub(super) async fn open(mut config: Config) -> Result<Arc<dyn StorageService>> {
    config.timeouts = Timeouts { operation: DEADLINE, ..config.timeouts };
    let storage = Storage::builder(config).build()?;
    storage.initialize().await?;
    Ok(Arc::new(storage))
}

/// Provokes a fault on a stage, and compares.
async fn play(
    name: &str,
    mut stage: Stage,
    expected: Expected,
    load: LoadOptions,
    fault: impl AsyncFnOnce(&mut Stage, &Load) -> Result<()>,
) -> Result<Verdict> {
    let storage = Arc::clone(&stage.storage);
    let scene = Scene { fault: name, expected, storage: &storage, load };
    let played = scene.play(async |load| fault(&mut stage, load).await).await?;
    let verdict = played.judge(&stage.look().await?);
    storage.close().await?;
    Ok(verdict)
}

fn callers() -> LoadOptions {
    LoadOptions::new(DEADLINE)
}

pub(super) async fn kill(name: &'static str, _: Run) -> Result<Verdict> {
    play(name, Stage::set(&[]).await?, AWAY, callers(), async |stage, _| {
        let server = stage.process()?;
        server.kill()?;
        sleep(LASTING).await;
        server.start_again().await
    })
    .await
}

pub(super) async fn hang(name: &'static str, _: Run) -> Result<Verdict> {
    play(name, Stage::set(&[]).await?, AWAY, callers(), async |stage, _| {
        let server = stage.process()?;
        server.pause()?;
        sleep(2 * LASTING).await;
        server.resume()
    })
    .await
}

pub(super) async fn kill_connection(name: &'static str, run: Run) -> Result<Verdict> {
    let lasting = if run.full { 10 * LASTING } else { LASTING };
    play(name, Stage::set(&[]).await?, AWAY, callers(), async |stage, _| {
        let mut administrator = stage.server.administrator().await?;
        let end = Instant::now() + lasting;
        while Instant::now() < end {
            kill_connections(&mut administrator, true).await?;
            sleep(Duration::from_millis(20)).await;
        }
        Ok(administrator.disconnect().await?)
    })
    .await
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
pub(super) async fn max_connections(name: &'static str, _: Run) -> Result<Verdict> {
    const OTHERS: &str = "others";
    let stage = Stage::set(&["--max-connections=12"]).await?;
    play(name, stage, AWAY, callers(), async |stage, _| {
        let mut administrator = stage.server.administrator().await?;
        administrator.query_drop(format!("CREATE USER {OTHERS}@'%'")).await?;
        let port = stage.process()?.port();
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

pub(super) async fn read_only(name: &'static str, _: Run) -> Result<Verdict> {
    let expected = Expected::errors(&[ErrorKind::PermissionDenied, ErrorKind::Unavailable]);
    play(name, Stage::set(&[]).await?, expected, callers(), async |stage, _| {
        let mut administrator = stage.server.administrator().await?;
        administrator.query_drop("SET GLOBAL read_only = ON").await?;
        sleep(LASTING).await;
        administrator.query_drop("SET GLOBAL read_only = OFF").await?;
        Ok(administrator.disconnect().await?)
    })
    .await
}

/// Connections that are open stay: they are closed, as a rotation of passwords ends with.
pub(super) async fn password(name: &'static str, _: Run) -> Result<Verdict> {
    let expected = Expected::errors(&[ErrorKind::PermissionDenied, ErrorKind::Unavailable, ErrorKind::Timeout]);
    play(name, Stage::set(&[]).await?, expected, callers(), async |stage, _| {
        let mut administrator = stage.server.administrator().await?;
        administrator.query_drop(format!("ALTER USER {USER}@'%' IDENTIFIED BY 'another'")).await?;
        kill_connections(&mut administrator, false).await?;
        sleep(LASTING).await;
        administrator.query_drop(format!("ALTER USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'")).await?;
        Ok(administrator.disconnect().await?)
    })
    .await
}

/// Each write makes a row, so that the tables grow.
pub(super) async fn disk_full(name: &'static str, _: Run) -> Result<Verdict> {
    const MEBIBYTE: u64 = 1 << 20;
    let mut disk = Tmpfs::mount(256 * MEBIBYTE)?;
    let stage = Stage::on(MysqlServer::start_in(disk.path(), &[]).await?).await?;
    let expected = Expected::errors(&[ErrorKind::StorageFull, ErrorKind::Unavailable, ErrorKind::Timeout]);
    let load = LoadOptions { writes_per_row: 1, prefix: "x".repeat(200), ..callers() };
    play(name, stage, expected, load, async |_, load| {
        let filler = disk.fill()?;
        until("the disk is full", Duration::from_secs(60), async || load.ledger().errors() > 0).await?;
        sleep(LASTING).await;
        disk.resize(512 * MEBIBYTE)?;
        drop(filler);
        Ok(())
    })
    .await
}
