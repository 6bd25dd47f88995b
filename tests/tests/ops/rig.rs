//! A router that is served, and storages in the states that an operator meets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use cofferdam::config::{Config, SpoolConfig};
use cofferdam::ops::Ops;
use cofferdam::{MessageState, ResilientStorage, StorageService};
pub use cofferdam_tests::harness::outage::{Outage, until_open};
use cofferdam_tests::harness::plugins::guests;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::{config, spool_in, sqlite_config};
pub use cofferdam_tests::harness::wait::SOON;
use cofferdam_tests::harness::wait::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A storage and what is served of it.
pub struct Rig {
    pub storage: Arc<ResilientStorage>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Rig {
    pub async fn new(config: Config) -> Result<Self> {
        let storage = Arc::new(ResilientStorage::builder(config).build()?);
        storage.initialize().await?;
        Self::over(storage).await
    }

    pub async fn over(storage: Arc<ResilientStorage>) -> Result<Self> {
        Self::showing(storage, |ops| ops).await
    }

    /// With more than the storage's own.
    pub async fn showing(storage: Arc<ResilientStorage>, more: impl FnOnce(Ops) -> Ops) -> Result<Self> {
        let router = more(Ops::new(&storage)).router();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { storage, address, server })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        let (head, body) = text.split_once("\r\n\r\n").context("a head and a body")?;
        let status = head.split(' ').nth(1).context("a status")?.parse()?;
        Ok(Answer { status, head: head.to_lowercase(), body: body.to_owned() })
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A storage on SQLite that works, with a spool.
pub async fn healthy() -> Result<(Rig, SqliteFolder)> {
    let folder = SqliteFolder::new()?;
    let mut config = sqlite_config(&folder.database());
    config.resilience.spool = Some(spool_in(&folder));
    Ok((Rig::new(config).await?, folder))
}

/// The configuration of an outage. Its server ends and never hangs: what takes its time on a busy machine is no outage.
pub fn plain(outage: &Outage) -> Config {
    let mut config = outage.config();
    config.timeouts.operation = SOON;
    config
}

/// The same with a spool for ten writes.
pub fn spooling(outage: &Outage) -> Config {
    let mut config = plain(outage);
    config.resilience.spool = Some(SpoolConfig { limit: 10, ..spool_in(&outage.folder) });
    config
}

/// Ends the server, and waits until the storage knows.
pub async fn begin(outage: &mut Outage, storage: &ResilientStorage) -> Result<()> {
    outage.kill()?;
    until_open(storage).await
}

/// A storage whose backend has failed so often that it is left alone.
pub async fn paused() -> Result<(Rig, SqliteFolder)> {
    let folder = SqliteFolder::new()?;
    let database = sqlite_config(&folder.database()).database;
    let mut config = config(database, guests::PANICS);
    config.resilience.retry.attempts = 1;
    // It would keep operations from the plugin.
    config.resilience.breaker.failures = 0;
    let rig = Rig::new(config).await?;
    until("the plugin is left alone", SOON, async || {
        let _ = rig.storage.get_message_state("c", None).await;
        // Each pause is twice as long as the one before: one that a slow machine does not miss.
        rig.storage.status().storage.paused.is_some_and(|pause| pause.left > Duration::from_secs(1))
    })
    .await?;
    Ok((rig, folder))
}

pub fn state(channel: &str) -> MessageState {
    MessageState::new(channel, None, "m", 1)
}
