//! SQLite files: one connection that writes, several that read, and no thread of its own.
//!
//! Short statements run where the caller is; what can take long, and checkpoints, on threads for blocking work.

mod checkpoint;
mod codes;
mod connection;
mod group;
mod guard;
mod holders;
mod integrity;
pub(crate) mod limits;
mod log;
mod others;
mod pace;
mod place;
mod pool;
mod queue;
mod raw;
mod still;
#[cfg(test)]
mod tests;
mod unopened;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use self::connection::SqliteConnection;
pub use self::log::remark as remark_on_log;
use self::pool::Pool;
use self::raw::Role;
use crate::config::{PoolConfig, SqliteConfig};
use crate::files::{FilePath, FileUse, Hazard, hazard};
use crate::sql::error::{ErrorKind, Result, SqlError};
use crate::sql::{
    Access, Connection, Database, Engine, PoolStatus, Purpose, ReadOnly, ResultLimits, Rows, Server, Statement, Value,
    Work,
};

/// Opens a SQLite file. Creates it and its folder where they are missing. The first write switches it to write-ahead
/// logging.
///
/// Blocks for the time of a few file accesses, and up to two seconds where another process has the file locked.
///
/// # Errors
///
/// [`ErrorKind::Other`] for a path that names no file, [`ErrorKind::PermissionDenied`] or
/// [`ErrorKind::Unavailable`] for one that cannot be created or written, [`ErrorKind::CorruptData`] for one that is
/// no database. Each names the path.
pub fn open(config: &SqliteConfig, pool: &PoolConfig) -> Result<Arc<dyn Database>> {
    open_for(config, pool, Purpose::Serve)
}

/// As [`open`]. For writing much at a time the writer has a cache of 32 MiB instead of 4. For reading alone the file has to be there,
/// and nothing of it is changed.
pub(super) fn open_for(config: &SqliteConfig, pool: &PoolConfig, purpose: Purpose) -> Result<Arc<dyn Database>> {
    let writer = match purpose {
        Purpose::Serve => Role::Writer,
        Purpose::Bulk => Role::BulkWriter,
        Purpose::Read => {
            let pool = Pool::open_read_only(judged(&config.path, FileUse::Source)?, *pool)?;
            return Ok(Arc::new(ReadOnly::new(Arc::new(SqliteDatabase(Arc::new(pool))))));
        }
    };
    let path = &judged(&config.path, FileUse::Database)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                    ErrorKind::PermissionDenied
                }
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::StorageFull,
                _ => ErrorKind::Unavailable,
            };
            SqlError::new(kind, format!("the database's folder {} cannot be created: {error}", folder.display()))
        })?;
    }
    Ok(Arc::new(SqliteDatabase(Arc::new(Pool::open(path.clone(), *pool, writer)?))))
}

/// The name of a file that can be meant, as long as it has one log that all see.
fn judged(path: &Path, usage: FileUse) -> Result<PathBuf> {
    let judged = FilePath::new(path, usage, None);
    judged.map(PathBuf::from).map_err(|error| {
        // What is wrong with the file, not with the name, can be mended while the host goes on.
        let kind = if hazard(path).is_some() { ErrorKind::Unavailable } else { ErrorKind::Other };
        SqlError::new(kind, format!("the name of the database file {error}"))
    })
}

struct SqliteDatabase(Arc<Pool>);

#[async_trait]
impl Database for SqliteDatabase {
    fn engine(&self) -> Engine {
        Engine::Sqlite
    }

    fn check(&self, text: &str) -> Result<()> {
        guard::check(text)
    }

    async fn server(&self, _deadline: Instant) -> Result<Server> {
        self.0.check_open()?;
        Ok(Server { engine: Engine::Sqlite, version: rusqlite::version().to_owned() })
    }

    async fn acquire(&self, access: Access, deadline: Instant) -> Result<Box<dyn Connection>> {
        Ok(Box::new(SqliteConnection::acquire(&self.0, access, deadline).await?))
    }

    async fn query(
        &self,
        access: Access,
        statement: &Statement,
        parameters: Vec<Value>,
        limits: ResultLimits,
        deadline: Instant,
    ) -> Result<Rows> {
        if access == Access::Read {
            return connection::read(&self.0, statement, parameters, limits, deadline).await;
        }
        self.acquire(access, deadline).await?.query(statement, parameters, limits, deadline).await
    }

    async fn execute(&self, statement: &Statement, parameters: Vec<Value>, deadline: Instant) -> Result<u64> {
        if statement.work() == Work::Short {
            return group::execute(&self.0, statement, parameters, deadline).await;
        }
        self.acquire(Access::Write, deadline).await?.execute(statement, parameters, deadline).await
    }

    async fn remarks(&self, _access: Access, _deadline: Instant) -> Result<Vec<String>> {
        // Of those that are written nobody comes so far.
        let remark = hazard(self.0.path()).map(|hazard| match hazard {
            Hazard::Links(links) => format!(
                "the file has {links} names (hard links): what was written under another one and is in that one's log yet is \
                 not read"
            ),
            Hazard::Mount => {
                "the file is mounted by itself: what is in its log yet, which lies outside, is not read".to_owned()
            }
        });
        Ok(remark.into_iter().chain(log::remark(self.0.path())).collect())
    }

    fn can_check_integrity(&self) -> bool {
        true
    }

    async fn check_integrity(&self, deadline: Instant) -> Result<()> {
        connection::check_integrity(&self.0, deadline).await
    }

    fn status(&self) -> PoolStatus {
        self.0.status()
    }

    fn is_locked(&self) -> bool {
        self.0.others.have_it_locked()
    }

    async fn close(&self, deadline: Instant) {
        self.0.close(deadline).await;
    }
}
