//! A MySQL server of one test, and a resilient storage on it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use cofferdam::clock::{ManualClock, SystemClock};
use cofferdam::config::{Config, DatabaseConfig, OnUnavailable};
use cofferdam::resilience::BreakerState;
use cofferdam::{MessageState, ResilientStorage, StorageService};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlDatabase, MysqlServer};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::{mysql_config, spool_in};
use cofferdam_tests::harness::wait::until;

/// For what happens by itself: far more than it takes.
pub const SOON: Duration = Duration::from_secs(20);

/// A server, a database on it, and a folder for a spool.
pub struct Rig {
    pub server: MysqlServer,
    pub database: MysqlDatabase,
    pub folder: SqliteFolder,
}

impl Rig {
    pub async fn new() -> Result<Self> {
        let server = MysqlServer::start(&[]).await?;
        let database = server.create_database(DatabaseOptions::default()).await?;
        Ok(Self { server, database, folder: SqliteFolder::new()? })
    }

    /// Short deadlines, a breaker that opens soon, no spool.
    pub fn config(&self) -> Config {
        let mut config = mysql_config(self.database.config());
        if let DatabaseConfig::Mysql(mysql) = &mut config.database {
            mysql.connect_attempts = 1;
        }
        config.timeouts.operation = Duration::from_secs(1);
        config.resilience.breaker.failures = 2;
        config.resilience.breaker.probe_interval = Duration::from_millis(100);
        config.resilience.retry.attempts = 2;
        config
    }

    /// The same with a spool.
    pub fn spooling(&self) -> Config {
        let mut config = self.config();
        config.resilience.spool = Some(spool_in(&self.folder));
        config
    }

    pub fn kill(&mut self) -> Result<()> {
        self.server.process().context("a server of one's own")?.kill()
    }

    pub async fn start_again(&mut self) -> Result<()> {
        self.server.process().context("a server of one's own")?.start_again().await
    }
}

pub fn build(config: Config) -> Result<ResilientStorage> {
    Ok(ResilientStorage::builder(config).clock(Arc::new(SystemClock)).build()?)
}

pub fn build_at(config: Config, clock: &Arc<ManualClock>) -> Result<ResilientStorage> {
    Ok(ResilientStorage::builder(config).clock(clock.clone()).build()?)
}

pub async fn start(config: Config) -> Result<ResilientStorage> {
    let storage = build(config)?;
    storage.initialize().await?;
    Ok(storage)
}

pub fn failing(mut config: Config) -> Config {
    config.resilience.on_unavailable = OnUnavailable::Fail;
    config
}

pub async fn until_open(storage: &ResilientStorage) -> Result<()> {
    until("the breaker opens", SOON, async || {
        let _ = storage.health_check().await;
        storage.status().breaker.state != BreakerState::Closed
    })
    .await
}

pub async fn until_closed(storage: &ResilientStorage) -> Result<()> {
    until("the breaker closes", SOON, async || storage.status().breaker.state == BreakerState::Closed).await
}

pub async fn until_empty(storage: &ResilientStorage) -> Result<()> {
    until("the spool is empty", SOON, async || depth(storage) == 0).await
}

pub fn depth(storage: &ResilientStorage) -> usize {
    storage.status().spool.map_or(0, |spool| spool.depth)
}

pub fn state(channel: &str, message: &str) -> MessageState {
    MessageState::new(channel, None, message, 1)
}

pub async fn message(storage: &dyn StorageService, channel: &str) -> Result<Option<String>> {
    Ok(storage.get_message_state(channel, None).await?.map(|state| state.last_message_id))
}
