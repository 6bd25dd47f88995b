//! A bot's storage: a loaded backend, a database, and the eleven operations between them.

mod builder;
mod integrity;
mod last_good;
mod migration;
mod operations;
mod serving;
pub(crate) mod swap;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::MutexGuard;
use tokio::time::{Instant, timeout_at};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use self::builder::check_engine;
pub use self::builder::{StartError, StorageBuilder};
pub use self::integrity::Integrity;
use self::last_good::LastGood;
use self::serving::{Phase, Serving};
use self::swap::{History, PluginStatus, SwapsStatus};
use crate::config::{Config, Timeouts};
use crate::error::{Error, ErrorKind, Result};
use crate::model::packed::Malformed;
use crate::model::{Description, Discards};
use crate::plugin::{Entry, Inspection, Instances};
use crate::sql::{self, Access, Database, Obstacles, PoolStatus, Purpose, Server, SqlError};
use crate::text::one_line;
use crate::threads;
use crate::wall::bindings::types;
use crate::wall::convert::{self, well_formed};

/// The status of a storage.
#[derive(Clone, Debug)]
pub struct StorageStatus {
    /// Connections; `None` while the storage is not open.
    pub pool: Option<PoolStatus>,
    /// Instances of the component that exist.
    pub instances: usize,
    /// Bytes of their linear memory.
    pub instance_memory: usize,
    /// Instances that were discarded.
    pub discards: Discards,
    /// Set while the component is left alone because it failed several times in a row.
    pub paused: Option<PluginPause>,
    /// The plugin that answers now.
    pub plugin: PluginStatus,
    /// Swaps of the plugin since the start.
    pub swaps: SwapsStatus,
}

/// Why and for how long no operation reaches a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginPause {
    /// The time until the next operation is tried.
    pub left: Duration,
    /// Its last failure.
    pub reason: String,
}

/// A bot's storage behind a sandboxed backend. Share it as `Arc<dyn StorageService>`.
///
/// Creating one loads the backend without touching a database;
/// [`initialize`](crate::StorageService::initialize) connects.
pub struct Storage {
    serving: Serving,
    config: Config,
    purpose: Purpose,
    /// Whether an upgrade went on without knowing whether the file is whole.
    upgraded_unchecked: AtomicBool,
    /// Held by `initialize`, `close` and the swap of a plugin, which exclude each other.
    opening: tokio::sync::Mutex<()>,
    history: History,
    last_good: LastGood,
}

impl Storage {
    /// A storage as the environment describes it: see [`Config::from_env`].
    ///
    /// # Errors
    ///
    /// As [`Config::from_env`] and [`StorageBuilder::build`].
    pub fn from_env() -> Result<Self, StartError> {
        Self::builder(Config::from_env()?).build()
    }

    /// A storage as `config` describes it, with the system's clock and limits.
    pub fn builder(config: Config) -> StorageBuilder {
        StorageBuilder::new(config)
    }

    /// What the backend that answers now says of itself.
    pub fn backend(&self) -> Arc<Description> {
        self.serving.instances().description().clone()
    }

    /// What the component of that backend says of itself, and where it was found.
    pub fn plugin(&self) -> Arc<Inspection> {
        self.serving.instances().inspection().clone()
    }

    /// The configuration of the storage.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The status of the storage.
    pub fn status(&self) -> StorageStatus {
        let running = self.serving.instances();
        StorageStatus {
            pool: self.open_database().ok().map(|database| database.status()),
            instances: self.serving.everyone().iter().map(|instances| instances.existing()).sum(),
            instance_memory: running.account().memory().load(Ordering::Relaxed),
            discards: running.account().discards(),
            paused: running.pause().map(|(left, reason)| PluginPause { left, reason }),
            plugin: self.plugin_status(),
            swaps: self.history.status(),
        }
    }

    /// Whether another process has the database locked, so that operations which end at their deadline waited for that one
    /// and not for the database.
    pub(crate) fn is_locked(&self) -> bool {
        self.open_database().is_ok_and(|database| database.is_locked())
    }

    /// The kind and version of the database.
    ///
    /// # Errors
    ///
    /// As any operation.
    pub async fn server(&self) -> Result<Server> {
        let deadline = Instant::now() + self.config.timeouts.operation;
        self.open_database()?.server(deadline).await.map_err(Error::from)
    }

    /// The schema version of the database, without changing it; `None` if there is none. Connects if the storage is not
    /// initialised.
    ///
    /// # Errors
    ///
    /// As any operation.
    pub async fn schema_version(&self) -> Result<Option<u32>> {
        let deadline = Instant::now() + self.config.timeouts.operation;
        let (database, borrowed) = match self.open_database() {
            Ok(database) => (database, true),
            Err(_) => (self.connect(deadline).await?, false),
        };
        let version = self.version_of(&database, deadline).await;
        if !borrowed {
            database.close(Instant::now() + self.config.timeouts.close).await;
        }
        version
    }

    /// The version of the schema in a database that is not necessarily the open one.
    async fn version_of(&self, database: &Arc<dyn Database>, deadline: Instant) -> Result<Option<u32>> {
        let database = Some(database.clone());
        self.on_instance("schema_version", database, deadline, |_| 1, swap::schema_version).await
    }

    /// What the server's settings prevent, without changing anything. Needs an open storage.
    ///
    /// # Errors
    ///
    /// As any operation.
    pub async fn obstacles(&self) -> Result<Obstacles> {
        let deadline = Instant::now() + self.timeouts().operation;
        self.open_database()?.obstacles(deadline).await.map_err(Error::from)
    }

    /// Refuses a database that takes no writes, before anything is created in it.
    async fn check_obstacles(&self, database: &dyn Database, deadline: Instant) -> Result<()> {
        if self.purpose == Purpose::Read {
            return Ok(());
        }
        let failed =
            |error: SqlError| Error::from(SqlError { message: format!("initialize: {}", error.message), ..error });
        match database.obstacles(deadline).await.map_err(failed)?.to_writes {
            Some(obstacle) => Err(failed(SqlError::new(sql::ErrorKind::Other, obstacle))),
            None => Ok(()),
        }
    }

    /// Remarks on the database for an operator, one sentence each; usually none. Needs an open storage, and writes nothing.
    ///
    /// # Errors
    ///
    /// As any operation.
    pub async fn remarks(&self) -> Result<Vec<String>> {
        self.remarks_for(Access::Write).await
    }

    /// As [`remarks`](Self::remarks), without what does not matter to who uses the database so.
    pub(crate) async fn remarks_for(&self, access: Access) -> Result<Vec<String>> {
        let timeout = self.timeouts().operation;
        let mut remarks = self.open_database()?.remarks(access, Instant::now() + timeout).await?;
        remarks.extend(self.remark_on_integrity());
        let of_tables = self
            .operate("remarks", timeout, Vec::len, async |Entry { plugin, store }| {
                plugin.cofferdam_storage_backend().call_remarks(store).await
            })
            .await?;
        remarks.extend(of_tables.iter().map(|remark| one_line(remark, convert::MESSAGE)));
        Ok(remarks)
    }

    /// Connects to the database without creating or upgrading anything in it.
    ///
    /// # Errors
    ///
    /// As any operation.
    pub async fn attach(&self) -> Result<()> {
        let deadline = Instant::now() + self.config.timeouts.initialize;
        let _opening = self.alone(deadline).await?;
        if self.open_database().is_err() {
            let database = self.connect(deadline).await?;
            // A server that cannot be reached is to be found out here.
            database.server(deadline).await?;
            drop(self.serving.set_phase(Phase::Open(database)));
        }
        Ok(())
    }

    fn open_database(&self) -> Result<Arc<dyn Database>> {
        self.serving.database()
    }

    async fn alone(&self, deadline: Instant) -> Result<MutexGuard<'_, ()>> {
        let busy = || Error::new(ErrorKind::Timeout, "the storage was still being opened or closed at the deadline");
        timeout_at(deadline, self.opening.lock()).await.map_err(|_| busy())
    }

    async fn connect(&self, deadline: Instant) -> Result<Arc<dyn Database>> {
        let (config, pool, purpose) = (self.config.database.clone(), self.config.pool, self.purpose);
        // Opening a file may create folders and recover a journal.
        let opened = threads::spawn(move || sql::open(&config, &pool, purpose));
        timeout_at(deadline, opened)
            .await
            .map_err(|_| Error::new(ErrorKind::Timeout, "the deadline passed while the database was being opened"))?
            .map_err(|_| Error::new(ErrorKind::Internal, "the runtime stopped while the database was being opened"))?
            .map_err(Error::from)
    }

    fn timeouts(&self) -> &Timeouts {
        &self.config.timeouts
    }

    /// Runs one of the operations that need an initialised storage.
    async fn operate<T>(
        &self,
        name: &'static str,
        timeout: Duration,
        rows: fn(&T) -> usize,
        operation: impl AsyncFnOnce(Entry<'_>) -> wasmtime::Result<Result<T, types::Error>>,
    ) -> Result<T> {
        self.on_instance(name, None, Instant::now() + timeout, rows, operation).await
    }

    /// Runs an operation on an instance, within a span that tells its name, duration, rows and outcome. `database` is another one
    /// than that of the open storage.
    async fn on_instance<T>(
        &self,
        name: &'static str,
        database: Option<Arc<dyn Database>>,
        deadline: Instant,
        rows: fn(&T) -> usize,
        operation: impl AsyncFnOnce(Entry<'_>) -> wasmtime::Result<Result<T, types::Error>>,
    ) -> Result<T> {
        let span = tracing::debug_span!(
            "storage",
            operation = name,
            backend = self.backend().name.as_str(),
            rows = Empty,
            outcome = Empty,
            duration_us = Empty
        );
        if span.is_disabled() {
            return self.call(database, deadline, operation).await;
        }
        let started = Instant::now();
        let result = self.call(database, deadline, operation).instrument(span.clone()).await;
        record(&span, started, result.as_ref().map(rows));
        result
    }

    async fn call<T>(
        &self,
        other: Option<Arc<dyn Database>>,
        deadline: Instant,
        mut operation: impl AsyncFnOnce(Entry<'_>) -> wasmtime::Result<Result<T, types::Error>>,
    ) -> Result<T> {
        loop {
            let (instances, database) = match &other {
                None => self.serving.seat(deadline).await?,
                Some(database) => (self.serving.instances(), database.clone()),
            };
            // Also where this future is dropped.
            let judged = Judged { storage: self, instances };
            let instances = &judged.instances;
            match instances.call(database, deadline, operation).await {
                Ok(outcome) => {
                    let answer = outcome?.map_err(Error::from);
                    if let Err(error) = &answer
                        && error.kind() == ErrorKind::Internal
                    {
                        instances.disappointed(error);
                    }
                    return answer;
                }
                // Another backend answers now.
                Err(not_begun) => operation = not_begun,
            }
        }
    }

    /// Notes a mistake in what the plugin that answers has returned.
    fn disappointed(&self, error: Error) -> Error {
        self.serving.instances().disappointed(&error);
        error
    }

    /// Whether a list that a guest returned is within the limits on results.
    async fn list<C, T>(
        &self,
        name: &'static str,
        unpack: fn(C) -> Result<Vec<T>, Malformed>,
        rows: fn(&C) -> usize,
        operation: impl AsyncFnOnce(Entry<'_>) -> wasmtime::Result<Result<C, types::Error>>,
    ) -> Result<Vec<T>> {
        let columns = self.operate(name, self.timeouts().list, rows, operation).await?;
        let limit = self.serving.instances().limits().result_rows as usize;
        if rows(&columns) > limit {
            let message = format!("the result has more rows than the limit of {limit}");
            return Err(self.disappointed(Error::new(ErrorKind::Internal, message)));
        }
        well_formed(unpack(columns)).map_err(|error| self.disappointed(error))
    }
}

/// An operation that may end the trial of its plugin.
struct Judged<'a> {
    storage: &'a Storage,
    instances: Arc<Instances>,
}

impl Drop for Judged<'_> {
    fn drop(&mut self) {
        if let Some(verdict) = self.instances.verdict() {
            self.storage.judge(&self.instances, verdict);
        }
    }
}

/// What comes before `initialize` or after `close`.
pub(crate) fn not_initialized() -> Error {
    let message = "the storage is not initialised: call initialize first, and nothing after close";
    Error::new(ErrorKind::NotInitialized, message)
}

fn record(span: &Span, started: Instant, outcome: Result<usize, &Error>) {
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    span.record("duration_us", micros);
    match outcome {
        Ok(rows) => {
            span.record("rows", rows);
            span.record("outcome", "ok");
            tracing::debug!(parent: span, "done");
        }
        Err(error) => {
            span.record("outcome", error.kind().name());
            tracing::debug!(parent: span, code = error.code(), "failed: {}", error.message());
        }
    }
}
