//! Databases that are made for a measurement and removed after it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cofferdam::config::{MysqlConfig, PoolConfig};
use cofferdam::limit;
use cofferdam::sql::{self, Access, Connection, Database, ErrorKind, SqlError, Statement, Work};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::failure::Failure;

/// What the name of every scratch database and folder begins with.
const PREFIX: &str = "cofferdam_bench_";

/// The longest that making or removing a database may take.
const LIMIT: Duration = Duration::from_secs(30);

const GRANT: &str = r"as an administrator, allow the account of MYSQL_USERNAME to create and drop such databases: GRANT ALL ON `cofferdam\_bench\_%`.* TO it";

/// A place for one plugin's rows and nothing else.
pub enum Scratch {
    /// A folder with a SQLite file.
    Folder(TempDir),
    /// A database on a server.
    Database(ScratchDatabase),
}

impl Scratch {
    /// A new folder in `parent`.
    pub fn folder(parent: &Path) -> Result<Self, Failure> {
        let made = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent);
        made.map(Self::Folder).map_err(|error| {
            Failure::usage(format!(
                "cannot create a folder in {}: {}; name another one with --folder",
                parent.display(),
                limit::explain(&error)
            ))
        })
    }

    /// What it is called where it is.
    pub fn name(&self) -> String {
        match self {
            Self::Folder(folder) => format!("the folder {}", folder.path().display()),
            Self::Database(ScratchDatabase { name, address, .. }) => format!("the database {name} on {address}"),
        }
    }

    /// Removes it with everything that is in it. Nothing may use it any more.
    pub async fn remove(self) -> Result<(), Failure> {
        match self {
            Self::Folder(folder) => remove_folder(&folder.keep()).await,
            Self::Database(database) => database.remove().await,
        }
    }
}

/// Tries again where something that was cancelled is still ending, and made a file meanwhile.
async fn remove_folder(path: &Path) -> Result<(), Failure> {
    let mut attempts = 1..=100;
    loop {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(_) if attempts.next().is_some() => tokio::time::sleep(Duration::from_millis(10)).await,
            result => {
                return result.map_err(|error| {
                    Failure::failed(format!("{} cannot be removed: {error}; remove it by hand", path.display()))
                });
            }
        }
    }
}

/// The SQLite file of a scratch folder.
pub fn file_in(folder: &TempDir) -> PathBuf {
    folder.path().join("bench.db")
}

/// A database on a MySQL server, with a name that nobody else uses.
pub struct ScratchDatabase {
    name: String,
    address: String,
    server: Arc<dyn Database>,
    creating: Option<JoinHandle<Result<u64, SqlError>>>,
    /// Whether the server has it, as far as is known.
    is_there: bool,
}

impl ScratchDatabase {
    /// Chooses a name. Connects to nothing.
    pub fn new(config: &MysqlConfig) -> Result<Self, Failure> {
        let name = format!("{PREFIX}{:016x}", fastrand::u64(..));
        let address = config.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        // Every account may use this one, and it is there before any other.
        let config = MysqlConfig { database: "information_schema".into(), ..config.clone() };
        let pool = PoolConfig { max_open: 1, max_idle: 1, ..PoolConfig::default() };
        let server = sql::mysql::open(&config, &pool).map_err(cofferdam::Error::from)?;
        Ok(Self { name, address, server, creating: None, is_there: false })
    }

    /// Its name on the server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes it. Dropped half-way, `remove` still knows what to do.
    pub async fn create(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + LIMIT;
        let connected = self.server.acquire(Access::Write, deadline).await;
        let connection =
            connected.map_err(|error| self.not_made(error).with_advice("check what the MYSQL_ variables say of it"))?;
        // By a task of its own, since what a server does with a statement whose connection is closed is not known.
        let creating = tokio::spawn(run(connection, format!("CREATE DATABASE `{}`", self.name), deadline));
        let outcome = (&mut *self.creating.insert(creating)).await;
        self.creating = None;
        self.created(outcome).map_err(|error| {
            let is_refused = error.kind == ErrorKind::PermissionDenied;
            let failure = self.not_made(error);
            if is_refused { failure.with_advice(GRANT) } else { failure }
        })
    }

    fn not_made(&self, error: SqlError) -> Failure {
        Failure::from(cofferdam::Error::from(error))
            .while_doing(&format!("cannot create a scratch database on {}", self.address))
    }

    fn created(&mut self, outcome: Result<Result<u64, SqlError>, tokio::task::JoinError>) -> Result<(), SqlError> {
        let result = outcome.unwrap_or_else(|error| Err(SqlError::new(ErrorKind::Other, error.to_string())));
        // Where the answer did not arrive the database may be there all the same.
        self.is_there = !matches!(&result, Err(error) if error.kind == ErrorKind::PermissionDenied);
        result.map(drop)
    }

    async fn remove(mut self) -> Result<(), Failure> {
        if let Some(creating) = self.creating.take() {
            // Why it failed matters to nobody any more.
            let _ = self.created(creating.await);
        }
        let deadline = Instant::now() + LIMIT;
        let mut removed = Ok(());
        if self.is_there {
            let text = format!("DROP DATABASE IF EXISTS `{}`", self.name);
            let outcome = match self.server.acquire(Access::Write, deadline).await {
                Ok(connection) => run(connection, text, deadline).await,
                Err(error) => Err(error),
            };
            removed = outcome.map(drop).map_err(|error| {
                Failure::from(cofferdam::Error::from(error))
                    .while_doing(&format!("the scratch database {} on {} was not dropped", self.name, self.address))
                    .with_advice("drop it by hand")
            });
        }
        self.server.close(deadline).await;
        removed
    }
}

async fn run(mut connection: Box<dyn Connection>, text: String, deadline: Instant) -> Result<u64, SqlError> {
    let statement = Statement::new(text, Work::Short);
    connection.execute(&statement, Vec::new(), deadline).await
}
