//! One open connection to a SQLite file, and the statements that run on it. Everything here blocks.

mod stop;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::wal::CheckpointMode;
use rusqlite::{CachedStatement, Connection, OpenFlags};

pub use self::stop::Stop;
use super::codes;
use super::guard::{self, Guard, host};
use super::integrity;
use super::limits;
use super::log::{Log, most_bytes};
use super::place::Place;
use super::still::{self, Still};
use super::unopened;
use crate::sql::error::{ErrorKind, Result, SqlError};
use crate::sql::rows::{Buffers, ResultLimits, Rows, RowsBuilder};
use crate::sql::{Statement, Value};

/// Prepared statements that a connection keeps. A backend has a few dozen.
const STATEMENTS: usize = 64;

/// Steps of SQLite's virtual machine between two looks at the clock: a few microseconds, so that a deadline is met
/// closely, at a cost that cannot be measured.
const STEPS: i32 = 1000;

/// How long opening waits for another process that has the whole file locked, such as one that is switching it to
/// write-ahead logging. Opening is the only thing that waits while it holds a thread.
const OPEN_WAIT: Duration = Duration::from_secs(2);

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The one that writes.
    Writer,
    /// As the writer, with a cache for transactions of many thousand rows.
    BulkWriter,
    /// One of those that cannot.
    Reader,
    /// As a reader, of a file that this process does not write at all.
    Observer,
    /// Copies the write-ahead log into the file.
    Checkpointer,
}

impl Role {
    fn writes(self) -> bool {
        matches!(self, Self::Writer | Self::BulkWriter)
    }
}

/// An open connection.
pub(super) struct Raw {
    connection: Connection,
    guard: Arc<Guard>,
    stop: Arc<Stop>,
    place: Arc<Place>,
    /// Whether a commit found that the file is not at its path any more.
    is_moved: Arc<AtomicBool>,
    opened: Instant,
    /// Where it is read without a log and without locks: what the file must be all the while.
    still: Option<Box<Still>>,
    is_spool: bool,
    /// Whether it is to be closed because of an error that it met.
    spoiled: Cell<bool>,
    logged: Cell<bool>,
    /// What its results are built in, empty while one is.
    buffers: Cell<Option<Box<Buffers>>>,
}

impl Raw {
    /// Opens the file. The writer tells `log` its pages after each commit, and has
    /// commits fail to a file that is not at its path any more.
    ///
    /// `create` makes a file that is missing.
    pub fn open(place: &Arc<Place>, role: Role, create: bool, log: &Arc<Log>) -> Result<Self> {
        let path = place.path();
        let attempt = |still: Option<Still>| -> Result<Self> {
            let access = match role {
                Role::Observer => OpenFlags::SQLITE_OPEN_READ_ONLY,
                _ => OpenFlags::SQLITE_OPEN_READ_WRITE,
            };
            let mut flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            if create {
                flags |= OpenFlags::SQLITE_OPEN_CREATE;
            }
            let opened = match &still {
                Some(still) => Connection::open_with_flags(still.uri(), flags | OpenFlags::SQLITE_OPEN_URI),
                None => Connection::open_with_flags(path, flags),
            };
            let mut connection = opened.map_err(|error| explained(None, error))?;
            // A reader only prepares what the writer would run.
            let foreign_keys = role.writes() && !place.is_unenforced().load(Ordering::Relaxed);
            let prepare = || {
                connection.busy_timeout(OPEN_WAIT)?;
                configure(&connection, role, foreign_keys)
            };
            let is_spool = prepare().map_err(|error| explained(Some(&connection), error))?;
            if role.writes() {
                limit_log(&connection, log).map_err(codes::error)?;
            }
            let is_moved = Arc::<AtomicBool>::default();
            if role.writes() {
                let (log, place, is_moved) = (Arc::clone(log), Arc::clone(place), Arc::clone(&is_moved));
                let hooked = connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, count: i32| {
                    log.grown(usize::try_from(count).unwrap_or(0));
                    place.check().map_err(|_| {
                        is_moved.store(true, Ordering::Relaxed);
                        // SQLite makes a plain error of it, whatever it is.
                        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY_DBMOVED);
                        rusqlite::Error::SqliteFailure(code, None)
                    })
                }));
                hooked.map_err(codes::error)?;
            }
            let stop = Arc::new(Stop::new());
            let handler = Arc::clone(&stop);
            connection.progress_handler(STEPS, Some(move || handler.is_due())).map_err(codes::error)?;
            if role.writes() {
                let stop = Arc::clone(&stop);
                let hooked = connection.commit_hook(Some(move || {
                    stop.commits();
                    // Nor is it made a rollback.
                    false
                }));
                hooked.map_err(codes::error)?;
            }
            connection.busy_timeout(Duration::ZERO).map_err(codes::error)?;
            let unenforced = Arc::clone(place.is_unenforced());
            let guard = Guard::install(&mut connection, unenforced).map_err(codes::error)?;
            Ok(Self {
                connection,
                guard,
                stop,
                place: Arc::clone(place),
                is_moved,
                opened: Instant::now(),
                still: still.map(Box::new),
                is_spool,
                spoiled: Cell::new(false),
                logged: Cell::new(false),
                buffers: Cell::default(),
            })
        };
        unopened::judge(path)?;
        let raw = match attempt(None) {
            Err(error) if role == Role::Observer => match Still::of(path).filter(|_| still::is_in_question(&error)) {
                Some(still) => attempt(Some(still)),
                None => Err(error),
            },
            result => result,
        };
        let raw = raw.map_err(|error| {
            let writes = Some(&error).filter(|_| role != Role::Observer);
            if let Some(error) = writes.and_then(|error| unopened::explain(path, error)) {
                return error;
            }
            let unreadable = Some(&error).filter(|_| role == Role::Observer);
            let (kind, what) = match (error.kind, unreadable.and_then(|error| still::why_unreadable(path, error))) {
                (ErrorKind::CorruptData, _) => (error.kind, "is not a SQLite database, or is damaged"),
                (_, Some(what)) => (ErrorKind::PermissionDenied, what),
                (ErrorKind::PermissionDenied, None) => (error.kind, "cannot be written by this user"),
                (kind, None) => (kind, "cannot be opened"),
            };
            let message = format!("the database file {} {what}: {}", path.display(), error.message);
            SqlError { kind, message, ..error }
        })?;
        if raw.is_spool {
            let message = format!("the database file {} is a spool, not a database: name another file", path.display());
            return Err(SqlError::new(ErrorKind::Other, message));
        }
        // SQLite opens a file that it may not write for reading, and says so only at the first write.
        if role != Role::Observer && raw.connection.is_readonly(c"main").unwrap_or(false) {
            return Err(SqlError {
                code: Some("SQLITE_READONLY".to_owned()),
                ..SqlError::new(
                    ErrorKind::PermissionDenied,
                    format!(
                        "the database file {} is read-only for this user: check its owner, mode and mount",
                        path.display()
                    ),
                )
            });
        }
        Ok(raw)
    }

    /// Leaves the log as it is when the connection is closed.
    pub fn keep_log(&self) {
        if let Err(error) = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
            tracing::warn!(%error, "the log of an emptied file cannot be kept");
        }
    }

    /// When it was opened.
    pub fn opened(&self) -> Instant {
        self.opened
    }

    /// What stops its statements from elsewhere.
    pub fn stop(&self) -> &Arc<Stop> {
        &self.stop
    }

    /// Whether the file has a write-ahead log, or is known not to get one.
    pub fn is_logged(&self) -> Result<bool> {
        if !self.logged.get() {
            self.logged.set(self.journal_mode("PRAGMA journal_mode")? == "wal");
        }
        Ok(self.logged.get())
    }

    /// Switches the file to write-ahead logging. Fails where it is open for reading or writing at this moment.
    pub fn begin_log(&self) -> Result<()> {
        let mode = self.journal_mode("PRAGMA journal_mode = WAL")?;
        if mode != "wal" {
            tracing::warn!(mode, "this file cannot have a write-ahead log here: readers will wait for writers");
        }
        self.logged.set(true);
        Ok(())
    }

    fn journal_mode(&self, pragma: &str) -> Result<String> {
        self.stop.never();
        self.guard
            .as_host(|| self.connection.query_row(pragma, [], |row| row.get(0)))
            .map_err(|error| self.error(error))
    }

    /// Whether a transaction is open. SQLite ends one by itself after some errors.
    pub fn in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// Runs one of the host's own statements. No deadline: each is short, and must not be cut in half.
    pub fn host(&self, text: &'static str) -> Result<()> {
        self.stop.never();
        let connection = &self.connection;
        let run = || connection.prepare_cached(text).and_then(|mut statement| statement.raw_execute());
        self.guard.as_host(run).map(drop).map_err(|error| self.error(error))
    }

    /// Ends a lease: rolls back what is open. `false` where that fails, or because of an earlier error, the connection is
    /// to be closed.
    pub fn clean(&self) -> bool {
        self.stop.end_lease();
        self.roll_back() && !self.is_spoiled()
    }

    /// Whether it is to be closed because of an error that it met.
    pub fn is_spoiled(&self) -> bool {
        self.spoiled.get()
    }

    /// Rolls back what is open. `false` where that fails.
    pub fn roll_back(&self) -> bool {
        !self.in_transaction() || self.host(host::ROLLBACK).is_ok() && !self.in_transaction()
    }

    /// Copies the write-ahead log into the file. Waits for readers this long, where the mode waits at all.
    ///
    /// Returns whether all of it was copied.
    pub fn checkpoint(&self, mode: CheckpointMode, wait: Duration) -> Result<bool> {
        self.stop.never();
        let run = || {
            self.connection.busy_timeout(wait)?;
            let copied = self.connection.wal_checkpoint_v2(None::<&std::ffi::CStr>, mode);
            self.connection.busy_timeout(Duration::ZERO)?;
            copied
        };
        run().map(|(pages, copied)| pages == copied).map_err(|error| self.error(error))
    }

    /// Looks through the whole file for damage.
    pub fn check_integrity(&self, deadline: tokio::time::Instant) -> Result<()> {
        self.stop.at(deadline);
        let found = self.guard.as_host(|| integrity::look(&self.connection));
        integrity::judge(self.place.path(), found.map_err(|error| self.explain(error)))
    }

    /// Runs a statement and packs its rows.
    pub fn query(
        &self,
        statement: &Statement,
        parameters: &[Value],
        limits: ResultLimits,
        deadline: tokio::time::Instant,
    ) -> Result<Rows> {
        let mut prepared = self.prepare(statement, parameters, deadline)?;
        let columns = prepared.column_count();
        let mut buffers = self.buffers.take().unwrap_or_default();
        let mut builder = RowsBuilder::reusing(std::mem::take(&mut *buffers), columns, limits);
        let mut rows = prepared.raw_query();
        while let Some(row) = rows.next().map_err(|error| self.explain(error))? {
            for column in 0..columns {
                match row.get_ref(column).map_err(|error| self.explain(error))? {
                    ValueRef::Null => builder.null()?,
                    ValueRef::Integer(value) => builder.integer(value)?,
                    ValueRef::Real(value) => builder.real(value)?,
                    ValueRef::Text(value) => builder.text(value)?,
                    ValueRef::Blob(value) => builder.blob(value)?,
                }
            }
        }
        let result = builder.finish();
        *buffers = builder.into_buffers();
        self.buffers.set(Some(buffers));
        if let Some(still) = &self.still {
            still.check().inspect_err(|_| self.spoiled.set(true))?;
        }
        result
    }

    /// As [`query`](Self::query), where a statement that writes takes effect only if its whole result could be
    /// returned.
    pub fn query_all_or_nothing(
        &self,
        statement: &Statement,
        parameters: &[Value],
        limits: ResultLimits,
        deadline: tokio::time::Instant,
    ) -> Result<Rows> {
        if self.prepare(statement, parameters, deadline)?.readonly() {
            return self.query(statement, parameters, limits, deadline);
        }
        self.host(host::BEGIN_IMMEDIATE)?;
        let result = self.query(statement, parameters, limits, deadline).and_then(|rows| {
            self.host(host::COMMIT)?;
            Ok(rows)
        });
        if result.is_err() {
            self.roll_back();
        }
        result
    }

    /// Runs a statement and returns how many rows it affected.
    pub fn execute(&self, statement: &Statement, parameters: &[Value], deadline: tokio::time::Instant) -> Result<u64> {
        let mut prepared = self.prepare(statement, parameters, deadline)?;
        // `changes` keeps the count of an earlier statement where this one is no INSERT, UPDATE or DELETE.
        let before = self.connection.total_changes();
        let mut rows = prepared.raw_query();
        while rows.next().map_err(|error| self.explain(error))?.is_some() {}
        drop(rows);
        Ok(if self.connection.total_changes() == before { 0 } else { self.connection.changes() })
    }

    fn prepare(
        &self,
        statement: &Statement,
        parameters: &[Value],
        deadline: tokio::time::Instant,
    ) -> Result<CachedStatement<'_>> {
        if guard::is_host_text(statement.text()) {
            return Err(SqlError::new(
                ErrorKind::PermissionDenied,
                "the host does not let a backend control transactions by statements",
            ));
        }
        self.stop.at(deadline);
        if self.stop.is_due() {
            return Err(SqlError::timeout("running a statement"));
        }
        let mut prepared = self.connection.prepare_cached(statement.text()).map_err(|error| self.explain(error))?;
        if prepared.is_explain() != 0 {
            // One that was kept points into the schema of its time, and SQLite does not look whether that is still there.
            prepared.discard();
            prepared = self.connection.prepare_cached(statement.text()).map_err(|error| self.explain(error))?;
        }
        let wanted = prepared.parameter_count();
        if wanted != parameters.len() {
            return Err(codes::error(rusqlite::Error::InvalidParameterCount(parameters.len(), wanted)));
        }
        for (index, value) in parameters.iter().enumerate() {
            prepared.raw_bind_parameter(index + 1, value).map_err(codes::error)?;
        }
        Ok(prepared)
    }

    /// An error of a call, after which the connection may have to be closed.
    fn error(&self, error: rusqlite::Error) -> SqlError {
        let is_moved = self.is_moved.load(Ordering::Relaxed);
        if is_moved || codes::spoils_connection(&error) {
            self.spoiled.set(true);
        }
        if is_moved { self.place.error() } else { explained(Some(&self.connection), error) }
    }

    fn explain(&self, error: rusqlite::Error) -> SqlError {
        let error = self.guard.explain(self.error(error));
        if error.kind == ErrorKind::Timeout {
            return SqlError { code: error.code, ..SqlError::timeout("running a statement") };
        }
        error
    }
}

/// Whether the file is a spool is found out on the way.
fn configure(connection: &Connection, role: Role, foreign_keys: bool) -> rusqlite::Result<bool> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, foreign_keys)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // The pool starts checkpoints, where they hold up no commit.
    connection.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(()))?;
    connection.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA cache_size = 1000;")?;
    if role == Role::BulkWriter {
        connection.execute_batch("PRAGMA cache_size = -32768")?;
    }
    if matches!(role, Role::Reader | Role::Observer) {
        connection.execute_batch("PRAGMA query_only = ON")?;
    }
    // The first look into the file, so that one that is no database is refused here.
    const SPOOL: &str = "SELECT count(*) = 2 FROM sqlite_schema WHERE name IN ('spooled_writes', 'rejected_writes')";
    connection.query_row(SPOOL, [], |row| row.get(0))
}

/// An error as the caller sees it, with the limit of the machine that it stands for.
fn explained(connection: Option<&Connection>, error: rusqlite::Error) -> SqlError {
    let limit = limits::of(connection, &error);
    let mut error = codes::error(error);
    if let Some((limit, is_room)) = limit {
        error.message = format!("{}: {limit}", error.message);
        if is_room {
            error.kind = ErrorKind::StorageFull;
        }
    }
    error
}

/// Has SQLite cut the log's file, where it was longer, when the log begins anew.
fn limit_log(connection: &Connection, log: &Log) -> rusqlite::Result<()> {
    let page: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let page = usize::try_from(page).unwrap_or_default();
    log.opened(page);
    connection.query_row(&format!("PRAGMA journal_size_limit = {}", most_bytes(page)), [], |_| Ok(()))
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Blob(value) => ValueRef::Blob(value),
        }))
    }
}
