//! What answers operations: a backend, and a database while the storage is open.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::not_initialized;
use crate::error::{Error, ErrorKind, Result};
use crate::plugin::Instances;
use crate::sql::Database;

/// Backend and database behind one lock, which every operation reads: two counters more than without a swap.
pub(super) struct Serving(RwLock<State>);

struct State {
    instances: Arc<Instances>,
    phase: Phase,
    /// When the backend began to answer, in seconds since the Unix epoch.
    since: i64,
    /// The backend before, as long as this one is on trial.
    before: Option<Arc<Instances>>,
    /// Those that answer no more, of which operations may still run.
    leaving: Vec<Weak<Instances>>,
}

/// How far a storage has come.
#[derive(Clone, Default)]
pub(super) enum Phase {
    /// Never initialised, or closed.
    #[default]
    Closed,
    /// Initialised.
    Open(Arc<dyn Database>),
    /// Operations wait until the schema is upgraded for another backend, and who waits is told.
    Shut(Arc<dyn Database>, watch::Receiver<()>),
}

/// What an operation runs on.
pub(super) type Seat = (Arc<Instances>, Arc<dyn Database>);

impl Serving {
    pub fn new(instances: Instances, since: i64) -> Self {
        let instances = Arc::new(instances);
        Self(RwLock::new(State { instances, phase: Phase::Closed, since, before: None, leaving: Vec::new() }))
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an operation that begins now runs on. Waits at most until `deadline`.
    pub async fn seat(&self, deadline: Instant) -> Result<Seat> {
        loop {
            let mut shut = match &*self.read() {
                State { instances, phase: Phase::Open(database), .. } => {
                    return Ok((instances.clone(), database.clone()));
                }
                State { phase: Phase::Closed, .. } => return Err(not_initialized()),
                State { phase: Phase::Shut(_, opened), .. } => opened.clone(),
            };
            // An error is that of a sender which is gone: it is open again.
            if timeout_at(deadline, shut.changed()).await.is_err() {
                return Err(Error::new(ErrorKind::Unavailable, "the schema is being upgraded for another plugin"));
            }
        }
    }

    pub fn instances(&self) -> Arc<Instances> {
        self.read().instances.clone()
    }

    /// The backend, since when it answers, and whether it is on trial.
    pub fn now(&self) -> (Arc<Instances>, i64, bool) {
        let state = self.read();
        (state.instances.clone(), state.since, state.before.is_some())
    }

    /// The database of an open storage.
    pub fn database(&self) -> Result<Arc<dyn Database>> {
        match &self.read().phase {
            Phase::Open(database) | Phase::Shut(database, _) => Ok(database.clone()),
            Phase::Closed => Err(not_initialized()),
        }
    }

    pub fn set_phase(&self, phase: Phase) -> Phase {
        std::mem::replace(&mut self.write().phase, phase)
    }

    /// Keeps operations from beginning until the answer is dropped.
    pub fn shut(&self, database: &Arc<dyn Database>) -> Shut<'_> {
        let (opens, opened) = watch::channel(());
        drop(self.set_phase(Phase::Shut(database.clone(), opened)));
        Shut { serving: self, database: database.clone(), _opens: opens }
    }

    /// All backends of which operations may run.
    pub fn everyone(&self) -> Vec<Arc<Instances>> {
        let state = self.read();
        let leaving = state.leaving.iter().filter_map(Weak::upgrade);
        leaving.chain(state.before.clone()).chain([state.instances.clone()]).collect()
    }

    /// Lets another backend answer from now on. On trial, the one before is kept to come back.
    pub fn install(&self, next: Arc<Instances>, now: i64, on_trial: bool) {
        next.start_over(on_trial);
        let (former, before) = {
            let mut state = self.write();
            let former = std::mem::replace(&mut state.instances, next);
            let before = std::mem::replace(&mut state.before, on_trial.then(|| former.clone()));
            state.since = now;
            state.leave(before.as_ref());
            state.leave((!on_trial).then_some(&former));
            (former, before)
        };
        // After the other has its place, where operations go that had not begun.
        former.retire();
        drop(before);
    }

    /// Lets the backend before answer again, which there is once at most. `None` where there is none, or `failed` has no part in
    /// this any more.
    pub fn take_back(&self, failed: &Arc<Instances>, now: i64) -> Option<Arc<Instances>> {
        let before = {
            let mut state = self.write();
            if !Arc::ptr_eq(&state.instances, failed) {
                return None;
            }
            let before = state.before.take()?;
            before.start_over(false);
            state.instances = before.clone();
            state.since = now;
            state.leave(Some(failed));
            before
        };
        failed.retire();
        Some(before)
    }

    /// Lets go of the backend before, where `passed` has stood its trial. `false` where there is none.
    pub fn confirm(&self, passed: &Arc<Instances>) -> bool {
        passed.acquit();
        let before = {
            let mut state = self.write();
            let before = if Arc::ptr_eq(&state.instances, passed) { state.before.take() } else { None };
            state.leave(before.as_ref());
            before
        };
        before.is_some()
    }
}

impl State {
    fn leave(&mut self, instances: Option<&Arc<Instances>>) {
        self.leaving.retain(|leaving| leaving.strong_count() > 0);
        self.leaving.extend(instances.map(Arc::downgrade));
    }
}

/// A storage in which no operation begins.
pub(super) struct Shut<'a> {
    serving: &'a Serving,
    database: Arc<dyn Database>,
    /// Tells those who wait by its end, after the phase has changed.
    _opens: watch::Sender<()>,
}

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        drop(self.serving.set_phase(Phase::Open(self.database.clone())));
    }
}
