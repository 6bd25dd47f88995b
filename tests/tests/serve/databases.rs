//! Databases that end, hang, fill up or are doubled while clients write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use cofferdam_tests::harness::command::{on_mysql, on_sqlite};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::tmpfs::Tmpfs;
use cofferdam_tests::harness::wait::until;
use hyper::Method;
use mysql_async::prelude::Queryable;
use rusqlite::Connection;
use serde_json::json;
use tokio::task::JoinSet;

use crate::rig::{Client, SOON, Server, command, state};

const CLIENTS: usize = 16;

/// Clients that write numbers, each to a channel of its own.
#[derive(Default)]
struct Writers {
    tasks: JoinSet<Result<()>>,
    /// The last number of each that was acknowledged.
    acknowledged: Arc<[AtomicU64; CLIENTS]>,
    spooled: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

impl Writers {
    async fn start(place: &str) -> Result<Self> {
        let mut writers = Self::default();
        for number in 0..CLIENTS {
            let mut client = Client::connect(place).await?;
            let (acknowledged, spooled) = (writers.acknowledged.clone(), writers.spooled.clone());
            let is_over = writers.is_over.clone();
            writers.tasks.spawn(async move {
                for write in 1.. {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let reply =
                        client.put("/v1/message-state", state(&format!("c{number}"), &write.to_string())).await?;
                    match reply.status.as_u16() {
                        200 => acknowledged[number].store(write, Ordering::Relaxed),
                        202 => {
                            acknowledged[number].store(write, Ordering::Relaxed);
                            spooled.fetch_add(1, Ordering::Relaxed);
                        }
                        // Neither of them took it in time; the next write is another attempt.
                        _ => ensure!(reply.json()["retryable"] == true, "{reply:?}"),
                    }
                }
                Ok(())
            });
        }
        Ok(writers)
    }

    fn all(&self) -> u64 {
        self.acknowledged.iter().map(|last| last.load(Ordering::Relaxed)).sum()
    }

    /// Waits until so many more are acknowledged.
    async fn go_on(&self, more: u64) -> Result<()> {
        let enough = self.all() + more;
        until("writes are acknowledged", SOON, async || self.all() >= enough).await
    }

    async fn end(mut self) -> Result<Vec<u64>> {
        self.is_over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(self.acknowledged.iter().map(|last| last.load(Ordering::Relaxed)).collect())
    }
}

/// Waits until the database has everything.
async fn flushed(server: &Server) -> Result<()> {
    let mut client = server.client().await?;
    until("the spool is empty", SOON, async || {
        let Ok(reply) = client.send(Method::POST, "/v1/close", None).await else { return false };
        reply.want(200) == json!({ "waiting": 0, "refused": 0 })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mariadb_that_is_killed_and_one_that_hangs_lose_nothing_of_a_client() -> Result<()> {
    let mut mariadb = MysqlServer::start(&[]).await?;
    let database = mariadb.create_database(DatabaseOptions::default()).await?;
    let folder = SqliteFolder::new()?;
    let mut command = on_mysql(&database.config(), &["serve", "--json"]);
    command
        .env("XDG_RUNTIME_DIR", folder.path())
        .env("COFFERDAM_SPOOL", folder.path().join("spool"))
        .env("COFFERDAM_OPERATION_TIMEOUT", "2s")
        .env("MYSQL_CONNECT_ATTEMPTS", "1");
    let server = Server::run(folder.path(), &mut command)?;
    let writers = Writers::start(&server.operations).await?;
    writers.go_on(100).await?;
    for is_killed in [true, false] {
        let process = mariadb.process().context("a server of one's own")?;
        if is_killed {
            process.kill()?
        } else {
            process.pause()?
        }
        let before = writers.spooled.load(Ordering::Relaxed);
        until("writes are spooled", SOON, async || writers.spooled.load(Ordering::Relaxed) > before + 100).await?;
        let process = mariadb.process().context("a server of one's own")?;
        if is_killed {
            process.start_again().await?
        } else {
            process.resume()?
        }
        writers.go_on(100).await?;
    }
    let acknowledged = writers.end().await?;
    flushed(&server).await?;
    let mut connection = database.connect().await?;
    for (number, acknowledged) in acknowledged.into_iter().enumerate() {
        let message: Option<String> = connection
            .exec_first("SELECT last_message_id FROM message_states WHERE channel_id = ?", (format!("c{number}"),))
            .await?;
        let stored: u64 = message.context("a row")?.parse()?;
        ensure!(stored == acknowledged || stored == acknowledged + 1, "client {number}: {stored} after {acknowledged}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_waits_for_the_database_and_the_mirror_follows() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let mirror = folder.path().join("mirror.db");
    let mut command = command(&folder, &[]);
    command
        .env("COFFERDAM_SPOOL", folder.path().join("spool"))
        .env("COFFERDAM_MIRROR", format!("sqlite:{}", mirror.display()));
    let server = Server::run(folder.path(), &mut command)?;
    let writers = Writers::start(&server.operations).await?;
    writers.go_on(500).await?;
    let acknowledged = writers.end().await?;
    flushed(&server).await?;
    let messages = |file: &std::path::Path| -> Result<Vec<(String, String)>> {
        let connection = Connection::open(file)?;
        let mut statement =
            connection.prepare("SELECT channel_id, last_message_id FROM message_states ORDER BY channel_id")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    let stored = messages(&folder.database())?;
    ensure!(stored.len() == acknowledged.len(), "{stored:?}");
    until("the mirror has the same rows", SOON, async || messages(&mirror).is_ok_and(|rows| rows == stored)).await?;
    let mut client = server.client().await?;
    client.get("/v1/health").await?.want(200);
    server.signal("-TERM")?;
    ensure!(server.ended().await?.code() == Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_passes() -> Result<()> {
    let disk = Tmpfs::mount(8 << 20)?;
    for is_spooling in [false, true] {
        let (folder, outside) = (SqliteFolder::inside(disk.path())?, SqliteFolder::new()?);
        let mut command = on_sqlite(&["serve", "--json"]);
        command.env("DATABASE_PATH", folder.database()).env("XDG_RUNTIME_DIR", outside.path());
        if is_spooling {
            command.env("COFFERDAM_SPOOL", outside.path().join("spool"));
        }
        let server = Server::run(outside.path(), &mut command)?;
        let mut client = server.client().await?;
        client.put("/v1/message-state", state("before", "m")).await?.want(200);
        let filler = disk.fill()?;
        let mut number = 0;
        until("the disk is full", SOON, async || {
            number += 1;
            let write = client.put("/v1/message-state", state(&format!("c{number}"), &"x".repeat(250))).await;
            match write.map(|reply| (reply.status.as_u16(), reply)) {
                Ok((202, _)) => is_spooling,
                Ok((507, reply)) => {
                    assert!(!is_spooling && reply.problem(507, "storage-full").contains("full"), "{reply:?}");
                    true
                }
                Ok((200, _)) => false,
                other => panic!("{other:?}"),
            }
        })
        .await?;
        // What is there can still be read.
        let found = client.get("/v1/message-state?channel_id=before").await?.want(200);
        ensure!(found["state"]["last_message_id"] == "m", "{found}");
        drop(filler);
        until("writes are stored again", SOON, async || {
            client.put("/v1/message-state", state("after", "m")).await.is_ok_and(|reply| reply.status == 200)
        })
        .await?;
        flushed(&server).await?;
        server.signal("-TERM")?;
        ensure!(server.ended().await?.code() == Some(0));
    }
    Ok(())
}
