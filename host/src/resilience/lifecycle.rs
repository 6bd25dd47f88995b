//! Starting and stopping.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::caretaker::{stopped, tend};
use super::spool::{Journal, SpoolError};
use super::{Phase, ResilientStorage, mirror};
use crate::config::{OnUnavailable, START_WAIT};
use crate::error::{Error, ErrorKind, Result};
use crate::service::StorageService;
use crate::threads::{self, lock};

/// What of the time for closing goes to the spool at the most, before the connections are closed.
const FLUSH_SHARE: u32 = 2;

impl ResilientStorage {
    pub(super) async fn start(&self) -> Result<()> {
        let deadline = Instant::now() + self.shared.timeouts().initialize;
        let _opening = self.alone(deadline).await?;
        if let Phase::Ready = self.shared.standing().phase {
            return self.shared.storage.initialize().await;
        }
        self.open_spool(deadline).await?;
        self.open_mirror(deadline).await?;
        let storage = self.shared.storage.clone();
        let mut attempt = tokio::spawn(async move { storage.initialize().await });
        let degrade = self.shared.config().on_unavailable == OnUnavailable::Degrade;
        let wait =
            if degrade { START_WAIT.min(self.shared.timeouts().initialize) } else { self.shared.timeouts().initialize };
        let result = match timeout(wait, &mut attempt).await {
            Ok(result) => result.unwrap_or_else(|_| Err(stopped())),
            Err(_) => Err(Error::new(ErrorKind::Timeout, format!("the database was not initialised within {wait:?}"))),
        };
        let still_trying = (!attempt.is_finished()).then_some(attempt);
        match result {
            Ok(()) => self.go_on(Phase::Ready, None),
            Err(error) if degrade && error.is_retryable() => {
                tracing::error!(%error, "the database is unavailable: starting without it");
                self.shared.note(&error);
                self.go_on(Phase::Degraded(error), still_trying);
            }
            Err(error) => {
                if let Some(attempt) = still_trying {
                    attempt.abort();
                }
                self.close_journals().await;
                return Err(error);
            }
        }
        Ok(())
    }

    fn go_on(&self, phase: Phase, initializing: Option<JoinHandle<Result<()>>>) {
        self.shared.set_phase(phase);
        self.dismiss();
        let mut background = lock(&self.background);
        background.push(tokio::spawn(tend(self.shared.clone(), initializing)));
        if let Some(mirror) = &self.shared.mirror {
            background.push(tokio::spawn(mirror::work(self.shared.clone(), mirror.clone())));
        }
    }

    /// Ends the work in the background.
    pub(super) fn dismiss(&self) {
        lock(&self.background).drain(..).for_each(|work| work.abort());
    }

    async fn alone(&self, deadline: Instant) -> Result<tokio::sync::MutexGuard<'_, ()>> {
        let busy = || Error::new(ErrorKind::Timeout, "the storage was still being opened or closed at the deadline");
        timeout_at(deadline, self.opening.lock()).await.map_err(|_| busy())
    }

    async fn open_mirror(&self, deadline: Instant) -> Result<()> {
        let Some(mirror) = self.shared.mirror.clone().filter(|mirror| !mirror.is_open()) else { return Ok(()) };
        let spool = self.shared.config().spool.clone();
        let late = Error::new(ErrorKind::Timeout, "the deadline passed while the mirror's marks were being opened");
        opened(deadline, late, move || mirror.open(spool.as_ref())).await
    }

    async fn open_spool(&self, deadline: Instant) -> Result<()> {
        let Some(config) = self.shared.config().spool.clone() else { return Ok(()) };
        if self.shared.standing().journal.is_some() {
            return Ok(());
        }
        let late = Error::new(ErrorKind::Timeout, "the deadline passed while the spool was being opened");
        let journal = opened(deadline, late, move || Journal::open(&config)).await?;
        if journal.depth() > 0 {
            tracing::warn!(spool = %journal.path().display(), waiting = journal.depth(), "the spool holds writes of \
                an earlier run");
        }
        self.shared.set_journal(Some(Arc::new(journal)));
        Ok(())
    }

    async fn close_journals(&self) {
        if let Some(journal) = self.shared.set_journal(None) {
            journal.close().await;
        }
        if let Some(mirror) = &self.shared.mirror {
            mirror.close().await;
        }
    }

    /// Refuses further operations, empties the spool as far as that is possible at once, waits for operations in flight,
    /// and closes everything.
    pub(super) async fn stop(&self) -> Result<()> {
        let timeout = self.shared.timeouts().close;
        let deadline = Instant::now() + timeout;
        let _opening = self.alone(deadline).await?;
        let before = self.shared.set_phase(Phase::Closed);
        self.dismiss();
        if matches!(before, Phase::Ready) {
            let _ = timeout_at(deadline - timeout / FLUSH_SHARE, self.flush()).await;
            if let Some(mirror) = &self.shared.mirror {
                let _ = timeout_at(deadline - timeout / FLUSH_SHARE / 2, mirror.flush(&self.shared)).await;
            }
        }
        let closed = self.shared.storage.close().await;
        if let Some(mirror) = &self.shared.mirror {
            let _ = timeout_at(deadline, mirror.end()).await;
        }
        self.close_journals().await;
        closed
    }

    async fn flush(&self) {
        let Some(journal) = self.shared.standing().journal else { return };
        let replay = self.shared.replay(journal.clone());
        while self.shared.breaker.check().is_ok() {
            match replay.next().await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, waiting = journal.depth(), "the spool keeps its writes for the next start");
                    return;
                }
            }
        }
    }
}

/// Opens a journal away from the threads of the runtime, and ends as `late` says where that takes too long.
async fn opened<T: Send + 'static>(
    deadline: Instant,
    late: Error,
    open: impl FnOnce() -> Result<T, SpoolError> + Send + 'static,
) -> Result<T> {
    let opened = timeout_at(deadline, threads::spawn(open)).await.map_err(|_| late)?;
    Ok(opened.map_err(|_| stopped())??)
}
