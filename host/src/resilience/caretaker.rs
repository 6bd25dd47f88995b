//! What a storage does by itself: initialising, probing, replaying.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until, timeout};

use super::breaker::Breaker;
use super::{Phase, Shared};
use crate::error::{Error, ErrorKind, Result};
use crate::service::StorageService;
use crate::threads::lock;

/// Works until it is aborted. `initializing` is an attempt that is still under way.
pub(super) async fn tend(shared: Arc<Shared>, mut initializing: Option<JoinHandle<Result<()>>>) {
    while matches!(shared.standing().phase, Phase::Degraded(_)) {
        match initializing.take() {
            // An upgrade takes its time, but one that has met a dead connection would wait for longer than it is worth.
            Some(attempt) => match shared.reach().await {
                Err(error) => {
                    attempt.abort();
                    shared.initialized(Err(error));
                }
                Ok(()) => shared.initialized(attempt.await.unwrap_or_else(|_| Err(stopped()))),
            },
            None => {
                sleep(shared.config().breaker.probe_interval).await;
                shared.initialize_late().await;
            }
        }
    }
    loop {
        if let Some(due) = shared.breaker.probe_due() {
            sleep_until(due).await;
            shared.probe().await;
        } else if !shared.replay_some().await {
            shared.wake.notified().await;
        }
    }
}

impl Shared {
    /// Tries to initialise a storage that was started without its database.
    async fn initialize_late(&self) {
        let result = match self.reach().await {
            Ok(()) => self.storage.initialize().await,
            Err(error) => Err(error),
        };
        self.initialized(result);
    }

    /// Whether the database is there at all, told by something that is quick, unlike an upgrade. A refusal is an answer.
    async fn reach(&self) -> Result<()> {
        let limit = self.config().breaker.probe_timeout;
        match timeout(limit, self.storage.schema_version()).await {
            Ok(Err(error)) if Breaker::counts(&error) => Err(error),
            Ok(_) => Ok(()),
            Err(_) => Err(Error::new(ErrorKind::Timeout, format!("the database did not answer within {limit:?}"))),
        }
    }

    /// Notes what became of an attempt to initialise.
    fn initialized(&self, result: Result<()>) {
        match result {
            Ok(()) => {
                tracing::info!("the database is available: the storage is initialised");
                self.breaker.succeeded();
                self.set_phase(Phase::Ready);
            }
            Err(error) => {
                if error.is_retryable() {
                    tracing::warn!(%error, "the database is still unavailable");
                } else {
                    tracing::error!(%error, "the storage cannot be initialised: retrying");
                }
                self.note(&error);
                self.set_phase(Phase::Degraded(error));
            }
        }
    }

    /// Asks a database that is away whether it is back.
    async fn probe(&self) {
        let limit = self.config().breaker.probe_timeout;
        self.breaker.probe_begins();
        let result = match timeout(limit, self.storage.health_check()).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(ErrorKind::Timeout, format!("a probe had no answer within {limit:?}"))),
        };
        if let Err(error) = &result {
            tracing::debug!(%error, "a probe failed");
        }
        self.breaker.probe_ended(result);
    }

    /// Puts some of the spool into the database, and says whether there may be more.
    async fn replay_some(&self) -> bool {
        let Some(journal) = self.standing().journal.filter(|journal| journal.depth() > 0) else { return false };
        let replay = self.replay(journal.clone());
        let failure = match timeout(self.timeouts().operation, replay.next()).await {
            Ok(Ok(false)) => return false,
            Ok(Ok(true)) => {
                self.stalled.store(false, Ordering::Relaxed);
                *lock(&self.paused) = None;
                self.breaker.succeeded();
                if journal.depth() == 0 {
                    tracing::info!(spool = %journal.path().display(), "the spool is empty again");
                }
                return true;
            }
            Ok(Err(error)) => error,
            Err(_) => Error::new(ErrorKind::Timeout, "the deadline passed while the spool was being replayed"),
        };
        self.stalled.store(true, Ordering::Relaxed);
        self.note(&failure);
        let is_known = lock(&self.paused).replace(failure.clone()).is_some_and(|before| before == failure);
        if self.breaker.probe_due().is_none() {
            let waiting = journal.depth();
            match is_known {
                false => tracing::warn!(error = %failure, waiting, "the spool cannot be replayed: retrying"),
                true => tracing::debug!(error = %failure, waiting, "the spool still cannot be replayed"),
            }
            // Who waited for a lock has waited already.
            let pause = match self.waited_for_lock(&failure) {
                true => self.config().retry.first_pause,
                false => self.config().breaker.probe_interval,
            };
            sleep(pause).await;
        }
        true
    }
}

pub(super) fn stopped() -> Error {
    Error::new(ErrorKind::Internal, "the runtime stopped while the storage was being initialised")
}
