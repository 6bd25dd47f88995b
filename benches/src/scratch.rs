//! Databases that the plugins made and filled, and that go when their owner does.

use std::path::PathBuf;

use anyhow::{Context, Result};
use cofferdam::config::Config;
use cofferdam::{Storage, StorageService, TransferService};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlDatabase, MysqlServer, URL_VARIABLE};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::{mysql_config, sqlite_config};
use tokio::sync::OnceCell;

use crate::shared::rows::Rows;

/// Rows in one import.
const PAGE: usize = 1_000;

/// A database for measurements.
pub trait Scratch {
    /// How a storage opens it, configured by default.
    fn config(&self) -> Config;
}

impl Scratch for SqliteFolder {
    fn config(&self) -> Config {
        sqlite_config(&self.database())
    }
}

impl Scratch for MysqlDatabase {
    fn config(&self) -> Config {
        mysql_config(MysqlDatabase::config(self))
    }
}

/// Has the plugin make its schema and import the rows.
///
/// # Errors
///
/// The plugin refuses.
pub async fn fill(config: Config) -> Result<()> {
    let storage = Storage::builder(config).build()?;
    storage.initialize().await?;
    let rows = Rows::new();
    for page in rows.states().chunks(PAGE) {
        storage.import_message_states(page).await?;
    }
    for page in rows.ownerships().chunks(PAGE) {
        storage.import_thread_ownerships(page).await?;
    }
    Ok(storage.close().await?)
}

/// A filled SQLite file.
///
/// # Errors
///
/// The folder for temporary files cannot be written.
pub async fn sqlite() -> Result<SqliteFolder> {
    let folder = SqliteFolder::new()?;
    fill(folder.config()).await?;
    Ok(folder)
}

/// A filled database on a [`server`].
///
/// # Errors
///
/// There is no server.
pub async fn mysql(durability: Durability) -> Result<MysqlDatabase> {
    let database = server(durability).await?.create_database(DatabaseOptions::default()).await?;
    fill(Scratch::config(&database)).await?;
    Ok(database)
}

/// An empty database on a [`server`] whose durability does not count.
///
/// # Errors
///
/// There is no server.
pub async fn empty_mysql() -> Result<MysqlDatabase> {
    server(Durability::Relaxed).await?.create_database(DatabaseOptions::default()).await
}

/// What a server promises of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// As servers have it by default: each commit is synced, and each page is written twice.
    Default,
    /// Neither: a commit may be lost with the machine.
    Relaxed,
}

/// A server of this process: the one that `TEST_MYSQL_URL` names, with the durability that it has, or a MariaDB of its own on
/// loopback.
///
/// The tests' servers are as small as can be. These have a page cache that holds a million rows, as a server in production would.
///
/// # Errors
///
/// There is neither.
pub async fn server(durability: Durability) -> Result<&'static MysqlServer> {
    static OWN: [OnceCell<MysqlServer>; 2] = [const { OnceCell::const_new() }; 2];
    if std::env::var_os(URL_VARIABLE).is_some() {
        return MysqlServer::shared().await;
    }
    let mut arguments = vec!["--innodb-buffer-pool-size=1G", "--innodb-log-file-size=256M"];
    let own = match durability {
        Durability::Default => {
            arguments.extend(["--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=1"]);
            &OWN[0]
        }
        Durability::Relaxed => &OWN[1],
    };
    let arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
    // Without a disk there would be nothing to sync.
    let disk = std::env::temp_dir();
    own.get_or_try_init(|| MysqlServer::start_in(&disk, &arguments)).await
}

/// What a variable of the benchmarks names.
///
/// # Errors
///
/// It is not set; `remedy` is what to do then.
pub fn path_from(variable: &str, remedy: &str) -> Result<PathBuf> {
    std::env::var_os(variable)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .with_context(|| format!("{variable} is not set: {remedy}"))
}
