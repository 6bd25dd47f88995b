//! Keeps a bot working while its database is unavailable: layers over a [`Storage`].
//!
//! From the outside in, an operation passes
//!
//! - `breaker`, the circuit breaker, which fails it at once while the database is known to be unavailable;
//! - the operation's deadline, which covers all that follows;
//! - `retry`, which retries it after a retryable error;
//! - `spool`, which durably takes a write that could not be stored.
//!
//! If a second database also gets every write, `mirror` copies them.
//!
//! `swap` lets another plugin take the place of the one that answers.
//!
//! `caretaker` works in the background: it initialises a storage that was started without its database, probes an
//! unavailable database, and replays the spool.

mod attempt;
mod breaker;
mod caretaker;
mod lifecycle;
pub(crate) mod mirror;
mod observe;
mod operations;
mod pages;
mod recent;
mod retry;
mod row;
mod status;
mod swap;
mod within;

pub mod spool;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::breaker::Breaker;
pub use self::breaker::{BreakerState, BreakerStatus};
use self::mirror::{Mirror, ShadowRead};
#[cfg(feature = "metrics")]
pub use self::observe::{Observed, Outcome};
pub use self::pages::Page;
use self::recent::Recent;
use self::spool::{Journal, Replay, ReplayCounts, SpooledWrite};
use self::status::age;
pub use self::status::{LastError, MirrorStatus, Readiness, RecentError, ShadowStatus, SpoolStatus, Status};
use self::swap::Swaps;
use crate::clock::Clock;
use crate::config::{Config, ResilienceConfig, Timeouts, format_duration};
use crate::error::{Error, ErrorKind, Result};
pub use crate::model::Operation;
pub use crate::storage::swap::{
    LastSwap, PluginIdentity, PluginStatus, SwapError, SwapOutcome, SwapReport, SwapRequest, SwapsStatus, Upgraded,
};
use crate::storage::{StartError, Storage, StorageBuilder};
use crate::threads::lock;

/// A bot's storage that keeps working while its database is unavailable. It starts without the database, retries, fails
/// fast behind a circuit breaker, keeps writes in a durable spool if one is configured, and recovers by itself.
///
/// Share it as `Arc<dyn StorageService>`. An operation waits at most for its deadline ([`Timeouts`]);
/// [`ResilienceConfig`] has the other settings. Dropping it without [`close`](crate::StorageService::close) stops its
/// background task. Writes in the spool stay there for the next start.
pub struct ResilientStorage {
    shared: Arc<Shared>,
    /// Held by `initialize` and `close`, which exclude each other.
    opening: tokio::sync::Mutex<()>,
    background: Mutex<Vec<JoinHandle<()>>>,
}

/// Builds a [`ResilientStorage`] from a [`Config`] and further options.
pub type ResilientStorageBuilder = StorageBuilder<ResilientStorage>;

impl ResilientStorageBuilder {
    /// Loads the component, and that of the mirror if there is one. Blocks while it is compiled, up to half a second, unless
    /// its code is cached.
    ///
    /// # Errors
    ///
    /// As where a [`Storage`] is built.
    pub fn build(self) -> Result<ResilientStorage, StartError> {
        let Self { config, clock, limits, .. } = self;
        config.check_files()?;
        let breaker = Breaker::new(config.resilience.breaker);
        let build = |config| ResilientStorage::builder(config).clock(clock.clone()).limits(limits).build();
        let mirror = match &config.mirror {
            Some(mirror) => Some(Arc::new(Mirror::new(mirror, build)?)),
            None => None,
        };
        let storage = Storage::builder(config).clock(clock.clone()).limits(limits).may_stand_in().build()?;
        let storage = Arc::new(storage);
        let shared = Shared {
            storage,
            clock,
            breaker,
            standing: RwLock::default(),
            recent: Recent::default(),
            #[cfg(feature = "metrics")]
            operations: observe::Operations::new(),
            wake: Notify::new(),
            stalled: AtomicBool::new(false),
            paused: Mutex::default(),
            latest: Arc::new(AtomicI64::new(i64::MIN)),
            replayed: Arc::default(),
            mirror,
            swaps: Swaps::default(),
        };
        Ok(ResilientStorage {
            shared: Arc::new(shared),
            opening: tokio::sync::Mutex::default(),
            background: Mutex::default(),
        })
    }
}

impl ResilientStorage {
    /// A storage as the environment describes it: see [`Config::from_env`].
    ///
    /// # Errors
    ///
    /// As [`Config::from_env`] and [`ResilientStorageBuilder::build`].
    pub fn from_env() -> Result<Self, StartError> {
        Self::builder(Config::from_env()?).build()
    }

    /// A storage as `config` describes it, with the system's clock and [`Limits::standard`](crate::plugin::Limits::standard).
    pub fn builder(config: Config) -> ResilientStorageBuilder {
        ResilientStorageBuilder::new(config)
    }

    /// The storage underneath, without resilience: its plugin, its configuration, its database.
    pub fn storage(&self) -> &Storage {
        &self.shared.storage
    }

    /// Queues the writes again that the database refused, except those that a later write of the same row replaced.
    /// Returns their number.
    ///
    /// # Errors
    ///
    /// There is no spool, it is not open, or its file cannot be written.
    pub async fn retry_refused(&self) -> Result<usize> {
        let Some(journal) = self.shared.standing().journal else {
            return Err(Error::new(ErrorKind::NotInitialized, "no spool is open: set COFFERDAM_SPOOL, and initialize"));
        };
        let restored = journal.restore().await?;
        self.shared.wake.notify_one();
        Ok(restored)
    }

    /// How long operations took since the storage was made, by operation and outcome: those that happened.
    #[cfg(feature = "metrics")]
    pub fn observed(&self) -> Vec<Observed> {
        self.shared.operations.observed()
    }

    /// The status of the storage.
    pub fn status(&self) -> Status {
        let shared = &self.shared;
        let standing = shared.standing();
        let recent_errors = shared.recent.list();
        let last_error = recent_errors.first();
        let mut storage = shared.storage.status();
        storage.swaps.under_way = shared.swaps.under_way();
        Status {
            readiness: standing.readiness(),
            since: standing.since.elapsed(),
            unavailable: standing.unavailable(),
            breaker: shared.breaker.status(),
            storage,
            spool: standing.journal.map(|journal| shared.spool_status(&journal)),
            mirror: shared.mirror.as_ref().map(|mirror| mirror.status(shared.seconds())),
            last_error: last_error.map(|last| LastError { error: last.error.clone(), age: last.age }),
            recent_errors,
        }
    }
}

impl Drop for ResilientStorage {
    fn drop(&mut self) {
        self.dismiss();
    }
}

/// What operations and the caretaker work on.
struct Shared {
    storage: Arc<Storage>,
    clock: Arc<dyn Clock>,
    breaker: Breaker,
    standing: RwLock<Standing>,
    recent: Recent,
    #[cfg(feature = "metrics")]
    operations: Box<observe::Operations>,
    /// There is something to do for the caretaker.
    wake: Notify,
    /// Whether the last attempt to empty the spool failed, so that nothing leaves it for now.
    stalled: AtomicBool,
    /// Why it failed.
    paused: Mutex<Option<Error>>,
    /// The time that a write was given last, in seconds since the Unix epoch, where it was noted.
    latest: Arc<AtomicI64>,
    replayed: Arc<ReplayCounts>,
    mirror: Option<Arc<Mirror>>,
    swaps: Swaps,
}

/// How far a storage has come.
#[derive(Clone)]
struct Standing {
    phase: Phase,
    /// When it came there.
    since: Instant,
    /// Open from `initialize` to `close`, where a spool is configured.
    journal: Option<Arc<Journal>>,
}

#[derive(Clone, Default)]
enum Phase {
    #[default]
    Closed,
    /// Started without the database, for this reason.
    Degraded(Error),
    Ready,
}

impl Default for Standing {
    fn default() -> Self {
        Self { phase: Phase::default(), since: Instant::now(), journal: None }
    }
}

impl Standing {
    /// Why it started without its database.
    fn unavailable(&self) -> Option<Error> {
        match &self.phase {
            Phase::Degraded(error) => Some(error.clone()),
            Phase::Closed | Phase::Ready => None,
        }
    }

    fn readiness(&self) -> Readiness {
        match self.phase {
            Phase::Closed => Readiness::Closed,
            Phase::Degraded(_) => Readiness::Degraded,
            Phase::Ready => Readiness::Ready,
        }
    }
}

impl Shared {
    fn config(&self) -> &ResilienceConfig {
        &self.storage.config().resilience
    }

    fn timeouts(&self) -> &Timeouts {
        &self.storage.config().timeouts
    }

    fn standing(&self) -> Standing {
        self.standing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_phase(&self, phase: Phase) -> Phase {
        let mut standing = self.standing.write().unwrap_or_else(PoisonError::into_inner);
        // Degraded for another reason is the same as before.
        if std::mem::discriminant(&standing.phase) != std::mem::discriminant(&phase) {
            standing.since = Instant::now();
        }
        std::mem::replace(&mut standing.phase, phase)
    }

    fn set_journal(&self, journal: Option<Arc<Journal>>) -> Option<Arc<Journal>> {
        self.latest.store(i64::MIN, Ordering::Relaxed);
        std::mem::replace(&mut self.standing.write().unwrap_or_else(PoisonError::into_inner).journal, journal)
    }

    /// Refuses what comes before `initialize` and after `close`, and says whether the database is there otherwise.
    fn check(&self) -> Result<Result<()>> {
        match &self.standing.read().unwrap_or_else(PoisonError::into_inner).phase {
            Phase::Ready => Ok(self.breaker.check()),
            Phase::Closed => Err(crate::storage::not_initialized()),
            Phase::Degraded(error) => {
                let interval = format_duration(self.config().breaker.probe_interval);
                let message = format!(
                    "the database has been unavailable since the start; it is probed every {interval}; the last \
                     failure: {error}"
                );
                Ok(Err(Error::new(ErrorKind::Unavailable, message)))
            }
        }
    }

    /// Whether the database is there as far as is known, also for what is still to be done after `close` was called.
    fn reachable(&self) -> Result<()> {
        match self.standing().phase {
            Phase::Degraded(error) => Err(error),
            Phase::Ready | Phase::Closed => self.breaker.check(),
        }
    }

    /// The spool, where something waits in it. Refuses what comes before `initialize` and after `close`.
    fn waiting(&self) -> Result<Option<Arc<Journal>>> {
        let standing = self.standing.read().unwrap_or_else(PoisonError::into_inner);
        match standing.phase {
            Phase::Closed => Err(crate::storage::not_initialized()),
            _ => Ok(standing.journal.clone().filter(|journal| journal.depth() > 0)),
        }
    }

    /// Notes how something failed that the database was asked for.
    fn note(&self, error: &Error) {
        if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotInitialized) {
            return;
        }
        tracing::debug!(%error, "an attempt failed");
        self.recent.add(error);
        if !self.waited_for_lock(error) {
            self.breaker.failed(error);
        }
        if self.breaker.probe_due().is_some() {
            self.wake.notify_one();
        }
    }

    /// Whether an operation failed for another process's lock, which says nothing of whether the database can be reached. Its
    /// deadline may have passed before it heard of the lock.
    fn waited_for_lock(&self, error: &Error) -> bool {
        match error.kind() {
            ErrorKind::Conflict => true,
            ErrorKind::Timeout => self.storage.is_locked(),
            _ => false,
        }
    }

    /// The time of a write, in whole seconds since the Unix epoch. With a spool it is noted there, so that the order of writes is
    /// known also where the clock jumps.
    fn now(&self) -> i64 {
        let now = self.seconds();
        if self.latest.load(Ordering::Relaxed) == now {
            return now;
        }
        let Some(journal) = self.standing().journal else { return now };
        let time = journal.time(now);
        self.latest.store(time, Ordering::Relaxed);
        time
    }

    /// The time of the clock, in whole seconds since the Unix epoch.
    fn seconds(&self) -> i64 {
        i64::try_from(self.clock.now().as_secs()).unwrap_or(i64::MAX)
    }

    /// Makes a write that the mirror is to get too. `given` is an error where the caller gave something that is refused.
    async fn mirrored<T>(
        &self,
        given: impl FnOnce() -> Result<SpooledWrite>,
        write: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Some(mirror) = &self.mirror else { return write.await };
        let Ok(given) = given() else { return write.await };
        let mut flight = mirror.begin(given, self.now()).await;
        let result = write.await;
        if result.is_err() {
            flight.failed();
        }
        result
    }

    /// Lets a read be compared with the mirror's answer.
    fn shadowed(self: &Arc<Self>, read: ShadowRead<'_>) {
        if let Some(mirror) = &self.mirror {
            mirror.compare(self, read);
        }
    }

    fn replay(&self, journal: Arc<Journal>) -> Replay {
        let Self { storage, clock, replayed, latest, .. } = self;
        let (storage, clock, counts, latest) = (storage.clone(), clock.clone(), replayed.clone(), latest.clone());
        Replay { journal, storage, clock, counts, latest }
    }

    fn spool_status(&self, journal: &Journal) -> SpoolStatus {
        let (depth, oldest) = {
            let view = journal.view();
            (view.len(), view.oldest())
        };
        SpoolStatus {
            path: journal.path().to_owned(),
            depth,
            limit: self.config().spool.as_ref().map_or(0, |spool| spool.limit),
            oldest: oldest.map(|then| age(then, self.seconds())),
            replayed: self.replayed.stored.load(Ordering::Relaxed),
            superseded: self.replayed.superseded.load(Ordering::Relaxed),
            rejected: journal.rejected(),
            paused: lock(&self.paused).clone(),
            damaged: journal.damaged().map(|(path, _)| path.clone()),
            unreadable: journal.damaged().map_or(0, |(_, unreadable)| *unreadable),
        }
    }
}
