//! A MySQL server of one test that goes away and comes back.

use std::time::Duration;

use anyhow::{Context, Result};
use cofferdam::config::{Config, DatabaseConfig};
use cofferdam::resilience::BreakerState;
use cofferdam::{ResilientStorage, StorageService};

use super::mysql::{DatabaseOptions, MysqlDatabase, MysqlServer};
use super::sqlite::SqliteFolder;
use super::storage::{mysql_config, spool_in};
use super::wait::{SOON, until};

/// A server, a database on it, and a folder for a spool.
pub struct Outage {
    /// The server.
    pub server: MysqlServer,
    /// The database on it.
    pub database: MysqlDatabase,
    /// The folder.
    pub folder: SqliteFolder,
}

impl Outage {
    /// A server that is there.
    ///
    /// # Errors
    ///
    /// It does not start.
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

    /// The same with a spool, which has time to wait for the disk: a server that is gone refuses at once.
    pub fn spooling(&self) -> Config {
        let mut config = self.config();
        config.timeouts.operation = SOON;
        config.resilience.spool = Some(spool_in(&self.folder));
        config
    }

    /// Ends the server.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn kill(&mut self) -> Result<()> {
        self.server.process().context("a server of one's own")?.kill()
    }

    /// Starts it again, with its database.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn start_again(&mut self) -> Result<()> {
        self.server.process().context("a server of one's own")?.start_again().await
    }
}

/// Waits until a storage knows that its database is away.
///
/// # Errors
///
/// It does not find out.
pub async fn until_open(storage: &ResilientStorage) -> Result<()> {
    until("the breaker opens", SOON, async || {
        let _ = storage.health_check().await;
        storage.status().breaker.state != BreakerState::Closed
    })
    .await
}
