//! Storages over the components, with a clock that tests set.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use cofferdam::clock::{Clock, ManualClock, SystemClock};
use cofferdam::config::{
    Config, DatabaseConfig, MysqlConfig, PluginSource, PoolConfig, ResilienceConfig, SpoolConfig, SqliteConfig,
    Timeouts,
};
use cofferdam::{ResilientStorage, StartError, Storage, StorageService};
use cofferdam_conformance::{BoxError, Harness, NOW, Subject};

use super::mysql::{DatabaseOptions, MysqlDatabase, MysqlServer};
use super::plugins;
use super::sqlite::SqliteFolder;

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
        resilience: ResilienceConfig::default(),
        mirror: None,
        message_recovery_window: std::time::Duration::from_secs(300),
        integrity_check: true,
        last_good_plugin: None,
    }
}

/// The database of one test, on which any number of storages can be opened. It goes when this is dropped.
#[derive(Debug)]
pub enum Home {
    /// A file.
    Sqlite(SqliteFolder),
    /// A database on a server.
    Mysql(MysqlDatabase),
}

impl Home {
    /// A folder for a SQLite file.
    ///
    /// # Errors
    ///
    /// The folder for temporary files cannot be written.
    pub fn sqlite() -> Result<Self> {
        SqliteFolder::new().map(Self::Sqlite)
    }

    /// An empty database on the shared server.
    ///
    /// # Errors
    ///
    /// There is no server.
    pub async fn mysql() -> Result<Self> {
        MysqlServer::shared().await?.create_database(DatabaseOptions::default()).await.map(Self::Mysql)
    }

    /// `sqlite` or `mysql`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Mysql(_) => "mysql",
        }
    }

    /// How `cofferdam migrate` names it.
    pub fn spec(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite:{}", folder.database().display()),
            Self::Mysql(database) => {
                let MysqlConfig { username, hosts, database, .. } = database.config();
                format!("mysql://{username}@{}/{database}", hosts[0])
            }
        }
    }

    /// How to open it.
    pub fn config(&self) -> Config {
        match self {
            Self::Sqlite(folder) => sqlite_config(&folder.database()),
            Self::Mysql(database) => mysql_config(database.config()),
        }
    }

    /// A storage on it, not yet initialised.
    ///
    /// # Errors
    ///
    /// The component cannot be used.
    pub fn storage(&self, clock: Arc<dyn Clock>) -> Result<Storage, StartError> {
        Storage::builder(self.config()).clock(clock).build()
    }

    /// A storage with the machine's clock, ready for work.
    ///
    /// # Errors
    ///
    /// The component cannot be used, or the database cannot be initialised.
    pub async fn open(&self) -> Result<Arc<Storage>> {
        let storage = self.storage(Arc::new(SystemClock))?;
        storage.initialize().await?;
        Ok(Arc::new(storage))
    }

    /// A storage on it that goes by a clock of its own, for the conformance suite.
    ///
    /// # Errors
    ///
    /// The component cannot be used.
    pub fn subject(self) -> Result<Subject> {
        let clock = Arc::new(ManualClock::at(NOW));
        let storage = self.storage(clock.clone())?;
        Ok(Subject::new(Arc::new(storage), clock, self))
    }
}

/// Makes storages over the SQLite component, each with a file of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct SqliteHarness;

#[async_trait]
impl Harness for SqliteHarness {
    fn name(&self) -> &str {
        "sqlite"
    }

    async fn uninitialized(&self) -> Result<Subject, BoxError> {
        Ok(Home::sqlite()?.subject()?)
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

    async fn uninitialized(&self) -> Result<Subject, BoxError> {
        Ok(Home::mysql().await?.subject()?)
    }
}

/// Makes resilient storages over either component, each with a spool.
#[derive(Clone, Copy, Debug)]
pub enum ResilientHarness {
    /// Over a file of its own.
    Sqlite,
    /// Over a database of its own on the shared server.
    Mysql,
}

#[async_trait]
impl Harness for ResilientHarness {
    fn name(&self) -> &str {
        match self {
            Self::Sqlite => "sqlite, resilient",
            Self::Mysql => "mysql, resilient",
        }
    }

    async fn uninitialized(&self) -> Result<Subject, BoxError> {
        let home = match self {
            Self::Sqlite => Home::sqlite()?,
            Self::Mysql => Home::mysql().await?,
        };
        let (clock, spool) = (Arc::new(ManualClock::at(NOW)), SqliteFolder::new()?);
        let mut config = home.config();
        config.resilience.spool = Some(spool_in(&spool));
        let storage = ResilientStorage::builder(config).clock(clock.clone()).build()?;
        Ok(Subject::new(Arc::new(storage), clock, (home, spool)))
    }
}

/// A spool in a folder.
pub fn spool_in(folder: &SqliteFolder) -> SpoolConfig {
    SpoolConfig { path: folder.path().join("spool"), limit: SpoolConfig::LIMIT }
}
