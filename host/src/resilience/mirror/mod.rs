//! A second database that gets every write too, so that a bot moves there while it works.
//!
//! Every write marks its row first. Once the bot's own database has it, a worker reads the row there and imports it, as it
//! is, into the second one, and the mark goes. So the order of marks does not matter: whatever is read last includes the
//! last write. Nothing that happens to the second database is felt by an operation.
//!
//! Marks are kept as a spool keeps writes: in a file beside the spool where there is one, so that a host that is killed
//! goes on where it was, else in memory.
//!
//! - `flight`: writes that are under way, whose marks stay.
//! - `worker`: what brings marked rows over.
//! - `shadow`: reads whose answers are compared.

mod flight;
mod shadow;
mod worker;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use self::flight::{Flight, Flights};
use self::shadow::Shadow;
pub(super) use self::shadow::ShadowRead;
pub(super) use self::worker::work;
use super::ResilientStorage;
use super::spool::{Journal, SpoolError, SpooledWrite};
use super::status::{LastError, MirrorStatus, age};
use crate::config::{MirrorConfig, OnUnavailable, SpoolConfig};
use crate::error::Error;
use crate::files::marks_beside;
use crate::service::StorageService;
use crate::threads::lock;

/// How long an operation waits for its mark to be on the disk. It goes on after that, and the mark is on its way.
const MARK_WAIT: Duration = Duration::from_millis(100);

pub(super) struct Mirror {
    secondary: ResilientStorage,
    name: String,
    /// Open from `initialize` to `close`.
    marks: RwLock<Option<Arc<Journal>>>,
    flights: Mutex<Flights>,
    /// There is something to do for the worker.
    wake: Notify,
    /// Rows that were brought over.
    mirrored: AtomicU64,
    /// Rows that were left as they are in the second database, since they are newer there.
    newer: AtomicU64,
    /// Writes that the second database may never get.
    missed: AtomicU64,
    last_error: Mutex<Option<(Error, Instant)>>,
    shadow: Shadow,
}

impl Mirror {
    pub fn new(config: &MirrorConfig, build: impl FnOnce(crate::Config) -> StartResult) -> Result<Self, StartFailure> {
        let mut target = (*config.config).clone();
        target.resilience.on_unavailable = OnUnavailable::Degrade;
        target.resilience.spool = None;
        target.mirror = None;
        Ok(Self {
            secondary: build(target)?,
            name: config.name.clone(),
            marks: RwLock::default(),
            flights: Mutex::default(),
            wake: Notify::new(),
            mirrored: AtomicU64::new(0),
            newer: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            last_error: Mutex::default(),
            shadow: Shadow::new(config.shadow_reads),
        })
    }

    /// Opens the marks, in a file where there is a spool. Blocks for the time of a few file accesses.
    pub fn open(&self, spool: Option<&SpoolConfig>) -> Result<(), SpoolError> {
        let marks = match spool {
            Some(spool) => Journal::open(&SpoolConfig { path: marks_beside(&spool.path), limit: spool.limit })?,
            None => Journal::in_memory(SpoolConfig::LIMIT)?,
        };
        if marks.depth() > 0 {
            tracing::warn!(
                mirror = self.name,
                waiting = marks.depth(),
                "the mirror has to catch up with rows of an earlier run"
            );
        }
        self.set_marks(Some(Arc::new(marks)));
        Ok(())
    }

    pub fn is_open(&self) -> bool {
        self.marks().is_some()
    }

    pub async fn close(&self) {
        let Some(marks) = self.set_marks(None) else { return };
        let left = marks.depth();
        if left > 0 && marks.is_in_memory() {
            self.missed.fetch_add(left as u64, Ordering::Relaxed);
            tracing::warn!(
                mirror = self.name,
                rows = left,
                "the mirror lacks the last write of some rows: run `cofferdam migrate` again, or keep them in a spool"
            );
        } else if left > 0 {
            tracing::warn!(mirror = self.name, waiting = left, "the mirror catches up after the next start");
        }
        marks.close().await;
    }

    /// Closes the connections of the second database.
    pub async fn end(&self) {
        if let Err(error) = self.secondary.close().await {
            tracing::debug!(mirror = self.name, %error, "the mirror was not closed");
        }
    }

    /// Marks what is about to be written. Never fails: what cannot be marked is counted as missed.
    pub async fn begin(self: &Arc<Self>, write: SpooledWrite, now: i64) -> Flight {
        let mut flight = Flight::begin(self.clone(), write, now);
        flight.sequence = timeout(MARK_WAIT, self.mark(flight.write.clone(), now)).await.ok().flatten();
        flight
    }

    /// Accepts a mark also where nobody waits for that any more, and says its number.
    async fn mark(self: &Arc<Self>, write: SpooledWrite, now: i64) -> Option<i64> {
        let marks = self.marks()?;
        let mirror = self.clone();
        let accepted = tokio::spawn(async move {
            let accepted = marks.accept(write, now).await;
            accepted.map_err(|error| mirror.miss(&error)).ok()
        });
        accepted.await.ok().flatten()
    }

    fn miss(&self, error: &SpoolError) {
        match self.missed.fetch_add(1, Ordering::Relaxed) {
            0 => tracing::error!(mirror = self.name, %error, "the mirror lacks writes: verify it, and migrate again"),
            _ => tracing::debug!(mirror = self.name, %error, "the mirror lacks a write"),
        }
    }

    fn marks(&self) -> Option<Arc<Journal>> {
        self.marks.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn set_marks(&self, marks: Option<Arc<Journal>>) -> Option<Arc<Journal>> {
        std::mem::replace(&mut *self.marks.write().unwrap_or_else(std::sync::PoisonError::into_inner), marks)
    }

    fn failed(&self, error: Error) {
        *lock(&self.last_error) = Some((error, Instant::now()));
    }

    /// `now` is in seconds since the Unix epoch.
    pub fn status(&self, now: i64) -> MirrorStatus {
        let secondary = self.secondary.status();
        let (waiting, oldest) = self.marks().map_or((0, None), |marks| {
            let view = marks.view();
            (view.len(), view.oldest())
        });
        let last_error = lock(&self.last_error).clone();
        MirrorStatus {
            name: self.name.clone(),
            readiness: secondary.readiness,
            breaker: secondary.breaker,
            waiting,
            oldest: oldest.map(|then| age(then, now)),
            mirrored: self.mirrored.load(Ordering::Relaxed),
            newer: self.newer.load(Ordering::Relaxed),
            missed: self.missed.load(Ordering::Relaxed),
            shadow: self.shadow.status(),
            last_error: last_error.map(|(error, at)| LastError { error, age: at.elapsed() }),
        }
    }
}

type StartResult = Result<ResilientStorage, StartFailure>;
type StartFailure = crate::StartError;
