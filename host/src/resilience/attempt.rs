//! One operation: the breaker, the deadline, the repetitions and, for a write, the spool.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::spool::{Journal, SpoolError, SpooledWrite};
use super::{Shared, retry, within};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Written;

/// What of an operation's time is kept for writing to the spool: a tenth, and at most this, which is long for a disk.
const RESERVE: Duration = Duration::from_millis(250);

impl Shared {
    /// Runs an operation that has `timeout` in all, unless the database is known to be away. One that waits is answered
    /// when it becomes known.
    pub(super) async fn run<T, F: Future<Output = Result<T>>>(
        &self,
        timeout: Duration,
        operation: impl Fn() -> F,
    ) -> Result<T> {
        self.check()??;
        let mut work = pin!(self.repeat(Instant::now() + timeout, operation));
        let mut refused = pin!(self.breaker.refused());
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => refused.as_mut().poll(context).map(Err),
        })
        .await
    }

    async fn repeat<T, F: Future<Output = Result<T>>>(
        &self,
        deadline: Instant,
        operation: impl Fn() -> F,
    ) -> Result<T> {
        // The first attempt has a deadline of its own, the same.
        let mut error = match operation().await {
            Ok(answer) => {
                self.breaker.succeeded();
                return Ok(answer);
            }
            Err(error) => error,
        };
        for pause in retry::pauses(&self.config().retry) {
            self.note(&error);
            if !retry::can_help(&error) || Instant::now() + pause >= deadline {
                return Err(error);
            }
            sleep(pause).await;
            error = match timeout_at(deadline, operation()).await {
                Ok(Ok(answer)) => {
                    self.breaker.succeeded();
                    return Ok(answer);
                }
                Ok(Err(error)) => error,
                Err(_) => late(Some(&error)),
            };
        }
        self.note(&error);
        Err(error)
    }

    /// Runs a write. Where the database does not take it, the spool does, if there is one. `stored` is the answer for a write
    /// that has gone through the spool, where that can be told.
    pub(super) async fn write<T, F: Future<Output = Result<Written<T>>>>(
        &self,
        stored: Option<T>,
        spooled: impl Fn() -> Result<SpooledWrite>,
        operation: impl Fn() -> F,
    ) -> Result<Written<T>> {
        let timeout = self.timeouts().operation;
        let Some(journal) = self.standing().journal else { return self.run(timeout, operation).await };
        let (start, deadline) = (Instant::now(), Instant::now() + timeout);
        let deadline = within::earlier_than(deadline).unwrap_or(deadline);
        let timeout = deadline.saturating_duration_since(start);
        // Behind an earlier write to the same row, or it would be overwritten by that one.
        if journal.may_precede() {
            let may_leave = self.check()?.is_ok() && !self.stalled.load(Ordering::Relaxed);
            let write = spooled()?;
            if journal.precedes(&write) {
                let sequence = self.spool(&journal, write, deadline, None).await?;
                let limit = deadline.min(Instant::now() + PATIENCE);
                let refused = journal.rejected();
                let has_left = may_leave && timeout_at(limit, journal.until_left(sequence)).await.is_ok();
                // One of those that were refused meanwhile may be this one.
                let has_left = has_left && journal.rejected() == refused;
                return Ok(stored.filter(|_| has_left).map_or(Written::Spooled, Written::Stored));
            }
        }
        // Before it arrives: what is accepted later is later, whatever the clock says then.
        self.now();
        let limit = deadline - RESERVE.min(timeout / 10);
        let error = match timeout_at(limit, self.run(timeout, operation)).await {
            Ok(Err(error)) => error,
            Ok(result) => {
                self.now();
                if result.is_ok()
                    && journal.rejected() > 0
                    && let Ok(write) = spooled()
                    && let Err(error) = journal.forget(&write).await
                {
                    tracing::warn!(%error, "an earlier, refused write of a row cannot be removed from the spool");
                }
                return result;
            }
            Err(_) => {
                let error = late(None);
                // A caller in a hurry does not make a database slow. One that takes longer than a probe may is, whoever waits.
                if timeout >= self.config().breaker.probe_timeout || timeout >= self.timeouts().operation {
                    self.note(&error);
                }
                error
            }
        };
        match is_spoolable(&error) {
            true => self.spool(&journal, spooled()?, deadline, Some(error)).await.map(|_| Written::Spooled),
            false => Err(error),
        }
    }

    async fn spool(
        &self,
        journal: &Arc<Journal>,
        write: SpooledWrite,
        deadline: Instant,
        why: Option<Error>,
    ) -> Result<i64> {
        let result = timeout_at(deadline, journal.accept(write, self.now())).await;
        self.wake.notify_one();
        match result {
            Ok(Ok(sequence)) => Ok(sequence),
            Ok(Err(refusal)) => Err(refused(&refusal, why)),
            Err(_) => Err(late(why.as_ref())),
        }
    }
}

/// How long a write that has queued up in the spool waits for the database to have it. Without that, a row that is written
/// again at once would never leave the spool. Nobody waits while the database takes nothing from the spool.
const PATIENCE: Duration = Duration::from_millis(250);

/// Whether a write that failed like this is one for the spool: the database is away, has no time, or takes no writes for
/// now, for which a full disk and a changed password count too.
fn is_spoolable(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unavailable
            | ErrorKind::Timeout
            | ErrorKind::Conflict
            | ErrorKind::StorageFull
            | ErrorKind::PermissionDenied
    )
}

/// A write that neither the database nor the spool has taken.
fn refused(refusal: &SpoolError, why: Option<Error>) -> Error {
    match why {
        None => refusal.clone().into(),
        Some(error) => {
            let message = format!("{refusal}; the database: {}", error.message());
            let both = Error::new(error.kind(), message);
            match error.code() {
                Some(code) => both.with_code(code),
                None => both,
            }
        }
    }
}

pub(super) fn late(before: Option<&Error>) -> Error {
    let message = "the operation's deadline passed; whether a write took effect is unknown";
    match before {
        None => Error::new(ErrorKind::Timeout, message),
        Some(error) => Error::new(ErrorKind::Timeout, format!("{message}; the failure before: {error}")),
    }
}
