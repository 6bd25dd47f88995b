//! Database access: knows rusqlite and mysql_async, and nothing of components.
//!
//! [`Database`] is a connection pool. [`Connection`] is a lease of one of its connections, which returns when it is dropped.
//! `sqlite` and `mysql` implement both and have the same files: `pool`, `connection`, `guard` (which statements a
//! backend may not run) and `codes` (the one table from the database's codes to [`ErrorKind`]).

use async_trait::async_trait;
use tokio::time::Instant;

pub mod mysql;
pub mod sqlite;

mod error;
mod gate;
mod open;
mod pause;
mod read_only;
mod rows;
mod statement;
mod tally;

pub use error::{ErrorKind, Result, SqlError};
pub use open::{Purpose, open};
pub use read_only::ReadOnly;
pub use rows::{ResultLimits, Rows, RowsBuilder};
pub use statement::{BatchText, Statement, Work};

pub use crate::engines::Engine;
use crate::latency::Latencies;

/// Which database is behind a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its kind.
    pub engine: Engine,
    /// As the database says it, such as `3.50.4` or `10.11.6-MariaDB`.
    pub version: String,
}

/// What a connection is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only reading: refuses to write where the database can tell.
    Read,
    /// Reading and writing.
    Write,
}

/// A parameter, bound by position.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// A signed integer of 64 bits.
    Integer(i64),
    /// A floating-point number of 64 bits.
    Real(f64),
    /// Text in UTF-8.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// The status of a connection pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStatus {
    /// Maximum number of open connections.
    pub max: usize,
    /// Connections that are open.
    pub open: usize,
    /// Open connections that are not leased.
    pub idle: usize,
    /// Callers waiting for a connection, or for their turn in a group.
    pub waiting: usize,
    /// Groups of writes that shared a commit, since the pool was opened: on SQLite a transaction, on MySQL a statement of many
    /// rows.
    pub groups: u64,
    /// Writes in those groups.
    pub grouped: u64,
    /// Connections that were opened, since the pool was opened. Those that are not open any more were closed.
    pub opened: u64,
    /// How long callers waited for a connection, or for the right to open one.
    pub acquired: Latencies,
}

/// What the settings of a server or a file prevent and no connection can change, each in a sentence with the remedy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Obstacles {
    /// To every write.
    pub to_writes: Option<String>,
    /// To creating or changing the backend's tables.
    pub to_tables: Option<String>,
}

/// A pool of connections to one database.
#[async_trait]
pub trait Database: Send + Sync {
    /// The kind of the database.
    fn engine(&self) -> Engine;

    /// Whether a backend may run this text, told without a connection.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PermissionDenied`] for what leaves the database or outlives a lease,
    /// [`ErrorKind::InvalidStatement`] for what is no single statement.
    fn check(&self, text: &str) -> Result<()>;

    /// Which database this is. Connects where that is not known yet.
    async fn server(&self, deadline: Instant) -> Result<Server>;

    /// Leases a connection, waiting for one until `deadline` or the pool's own limit, whichever is first.
    async fn acquire(&self, access: Access, deadline: Instant) -> Result<Box<dyn Connection>>;

    /// Reads by one statement, on a connection that is leased for it alone.
    async fn query(
        &self,
        access: Access,
        statement: &Statement,
        parameters: Vec<Value>,
        limits: ResultLimits,
        deadline: Instant,
    ) -> Result<Rows> {
        self.acquire(access, deadline).await?.query(statement, parameters, limits, deadline).await
    }

    /// Writes by one statement, on a connection that is leased for it alone.
    async fn execute(&self, statement: &Statement, parameters: Vec<Value>, deadline: Instant) -> Result<u64> {
        self.acquire(Access::Write, deadline).await?.execute(statement, parameters, deadline).await
    }

    /// What prevents writing, found before the first write; usually nothing. Writes nothing.
    async fn obstacles(&self, deadline: Instant) -> Result<Obstacles> {
        let _ = deadline;
        Ok(Obstacles::default())
    }

    /// Remarks on the server or the file for an operator who uses it with that access, one sentence each, without values and secrets;
    /// usually none. Writes nothing.
    async fn remarks(&self, access: Access, deadline: Instant) -> Result<Vec<String>> {
        let _ = (access, deadline);
        Ok(Vec::new())
    }

    /// Whether [`check_integrity`](Self::check_integrity) checks anything: it checks a file, but not a server, which checks
    /// itself.
    fn can_check_integrity(&self) -> bool {
        false
    }

    /// Checks the whole file for damage that ordinary statements do not detect, such as an index that lacks rows of its
    /// table. Writes nothing, and takes longer the larger the file is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CorruptData`] with the engine's findings if something is damaged.
    async fn check_integrity(&self, deadline: Instant) -> Result<()> {
        let _ = deadline;
        Ok(())
    }

    /// The status of the pool.
    fn status(&self) -> PoolStatus;

    /// Whether another process has the database locked, as far as those know who wait for it.
    fn is_locked(&self) -> bool {
        false
    }

    /// Refuses further leases with [`ErrorKind::Unavailable`], waits for those that are out until `deadline`, and
    /// closes the connections. Leases still out then are closed when they come back.
    async fn close(&self, deadline: Instant);
}

/// A lease of one connection. Dropping it rolls back an open transaction and gives the connection back; where it
/// is not known to be clean (a deadline passed, a future was dropped half-way) the connection is closed instead.
///
/// No method runs longer than its `deadline`; afterwards the error is [`ErrorKind::Timeout`].
#[async_trait]
pub trait Connection: Send {
    /// Runs a statement and returns its rows, packed, no more than `limits` allow.
    async fn query(
        &mut self,
        statement: &Statement,
        parameters: Vec<Value>,
        limits: ResultLimits,
        deadline: Instant,
    ) -> Result<Rows>;

    /// Runs a statement and returns how many rows it affected. Outside a transaction, a statement that loses against
    /// another writer (a deadlock, a lock wait, a locked file) is retried until `deadline`.
    async fn execute(&mut self, statement: &Statement, parameters: Vec<Value>, deadline: Instant) -> Result<u64>;

    /// Starts a transaction.
    async fn begin(&mut self, deadline: Instant) -> Result<()>;

    /// Commits the open transaction.
    async fn commit(&mut self, deadline: Instant) -> Result<()>;

    /// Rolls the open transaction back.
    async fn rollback(&mut self, deadline: Instant) -> Result<()>;
}
