//! Storages over the components, with a clock that tests set.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use cofferdam::clock::{Clock, ManualClock};
use cofferdam::config::{Config, DatabaseConfig, MysqlConfig, PluginSource, PoolConfig, SqliteConfig, Timeouts};
use cofferdam::{StartError, Storage};

use super::mysql::{DatabaseOptions, MysqlServer};
use super::plugins;
use super::sqlite::SqliteFolder;
use crate::conformance::NOW;
use crate::{Harness, Subject};

/// A storage over the SQLite component.
///
/// # Errors
///
/// The component cannot be used.
pub fn sqlite_storage(path: &Path, clock: Arc<dyn Clock>) -> Result<Storage, StartError> {
    Storage::builder(sqlite_config(path)).clock(clock).build()
}

/// A storage over the MySQL component.
///
/// # Errors
///
/// The component cannot be used.
pub fn mysql_storage(config: MysqlConfig, clock: Arc<dyn Clock>) -> Result<Storage, StartError> {
    Storage::builder(mysql_config(config)).clock(clock).build()
}

/// The configuration of [`sqlite_storage`].
pub fn sqlite_config(path: &Path) -> Config {
    config(DatabaseConfig::Sqlite(SqliteConfig { path: path.to_owned() }), plugins::SQLITE)
}

/// The configuration of [`mysql_storage`].
pub fn mysql_config(config: MysqlConfig) -> Config {
    self::config(DatabaseConfig::Mysql(config), plugins::MYSQL)
}

/// The defaults of everything, over any component; compiled code is kept beside the components.
pub fn config(database: DatabaseConfig, plugin: &str) -> Config {
    Config {
        database,
        plugin: PluginSource::File(PathBuf::from(plugin)),
        plugin_sha256: None,
        cache: Some(PathBuf::from(plugins::CODE_CACHE)),
        pool: PoolConfig::default(),
        timeouts: Timeouts::default(),
        message_recovery_window: std::time::Duration::from_secs(300),
    }
}

/// Makes storages over the SQLite component, each with a folder of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct SqliteHarness;

#[async_trait]
impl Harness for SqliteHarness {
    fn name(&self) -> &str {
        "sqlite"
    }

    async fn uninitialized(&self) -> Result<Subject> {
        let (folder, clock) = (SqliteFolder::new()?, Arc::new(ManualClock::at(NOW)));
        let storage = sqlite_storage(&folder.database(), clock.clone())?;
        Ok(Subject::new(Arc::new(storage), clock, folder))
    }
}

/// Makes storages over the MySQL component, each with a database of its own on the shared server.
#[derive(Clone, Copy, Debug, Default)]
pub struct MysqlHarness;

#[async_trait]
impl Harness for MysqlHarness {
    fn name(&self) -> &str {
        "mysql"
    }

    async fn uninitialized(&self) -> Result<Subject> {
        let database = MysqlServer::shared().await?.create_database(DatabaseOptions::default()).await?;
        let clock = Arc::new(ManualClock::at(NOW));
        let storage = mysql_storage(database.config(), clock.clone())?;
        Ok(Subject::new(Arc::new(storage), clock, database))
    }
}
