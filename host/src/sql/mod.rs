//! Talks to databases: knows rusqlite and mysql_async, and nothing of components.
//!
//! [`Database`] is a pool, [`Connection`] a lease of one of its connections, which goes back when it is dropped.
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

pub use error::{ErrorKind, Result, SqlError};
pub use open::{Purpose, open};
pub use read_only::ReadOnly;
pub use rows::{ResultLimits, Rows, RowsBuilder};
pub use statement::{Statement, Work};

pub use crate::engines::Engine;

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

/// What a pool is doing at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStatus {
    /// The most connections it may open.
    pub max: usize,
    /// Connections that are open.
    pub open: usize,
    /// Open connections that nobody has leased.
    pub idle: usize,
    /// Callers waiting for a connection.
    pub waiting: usize,
}

/// What the settings of a server or a file forbid, that no connection can change, each in a sentence with what to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Obstacles {
    /// To every write.
    pub to_writes: Option<String>,
    /// To making the backend's tables, or changing them.
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

    /// What is in the way of writing, told before the first write. Nothing as a rule. Writes nothing.
    async fn obstacles(&self, deadline: Instant) -> Result<Obstacles> {
        let _ = deadline;
        Ok(Obstacles::default())
    }

    /// What an operator should know of the server or the file as it is, a sentence each, without values and secrets; nothing
    /// as a rule. Writes nothing.
    async fn remarks(&self, deadline: Instant) -> Result<Vec<String>> {
        let _ = deadline;
        Ok(Vec::new())
    }

    /// Whether [`check_integrity`](Self::check_integrity) looks at anything: of a file, but not of a server, which sees to
    /// that itself.
    fn can_check_integrity(&self) -> bool {
        false
    }

    /// Looks through everything for damage that ordinary statements do not meet, such as an index that lacks rows of its
    /// table. Writes nothing, and takes as long as the file is large.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CorruptData`] with the engine's own words where something is damaged.
    async fn check_integrity(&self, deadline: Instant) -> Result<()> {
        let _ = deadline;
        Ok(())
    }

    /// What the pool is doing.
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

    /// Runs a statement and returns how many rows it affected. Outside a transaction, one that loses against
    /// another writer (a deadlock, a lock wait, a locked file) is repeated until `deadline`.
    async fn execute(&mut self, statement: &Statement, parameters: Vec<Value>, deadline: Instant) -> Result<u64>;

    /// Starts a transaction.
    async fn begin(&mut self, deadline: Instant) -> Result<()>;

    /// Commits the open transaction.
    async fn commit(&mut self, deadline: Instant) -> Result<()>;

    /// Rolls the open transaction back.
    async fn rollback(&mut self, deadline: Instant) -> Result<()>;
}
