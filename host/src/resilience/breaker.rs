//! The circuit breaker: fails operations at once while the database is unavailable, and schedules probes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::{BreakerConfig, format_duration};
use crate::error::{Error, ErrorKind, Result};
use crate::threads::lock;

/// The state of the circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Operations pass.
    Closed,
    /// Operations fail at once, until a probe succeeds.
    Open,
    /// Operations fail at once while a probe is running.
    HalfOpen,
}

impl BreakerState {
    /// The state's name, such as `half-open`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// The status of the circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerStatus {
    /// Its state.
    pub state: BreakerState,
    /// Consecutive failures.
    pub failures: u32,
    /// How often it has opened.
    pub opened: u64,
    /// The time until the next probe, while it is open.
    pub next_probe: Option<Duration>,
    /// How long it has been open.
    pub since: Option<Duration>,
}

/// Counts failures of connections, and opens after too many of them without a success between.
pub(super) struct Breaker {
    config: BreakerConfig,
    /// Whether there is anything in `inner` beyond the default: spares a lock in every operation that succeeds.
    troubled: AtomicBool,
    inner: Mutex<Inner>,
    opened: Notify,
}

#[derive(Default)]
struct Inner {
    failures: u32,
    opened: u64,
    open: Option<Open>,
}

struct Open {
    since: Instant,
    probing: bool,
    next_probe: Instant,
    last: String,
}

impl Breaker {
    pub fn new(config: BreakerConfig) -> Self {
        Self { config, troubled: AtomicBool::new(false), inner: Mutex::default(), opened: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Refuses an operation while the database is left alone.
    pub fn check(&self) -> Result<()> {
        if !self.troubled.load(Ordering::Relaxed) {
            return Ok(());
        }
        let inner = self.lock();
        inner.open.as_ref().map_or(Ok(()), |open| Err(open.refusal(inner.failures)))
    }

    /// Ends when the breaker is open, with what it answers.
    pub async fn refused(&self) -> Error {
        loop {
            let opened = self.opened.notified();
            if let Err(error) = self.check() {
                return error;
            }
            opened.await;
        }
    }

    /// Whether an error tells of a database that cannot be reached or does not answer. A timeout behind another process's lock
    /// does not, which only the database can tell: see `Shared::waited_for_lock`.
    pub fn counts(error: &Error) -> bool {
        matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
    }

    /// Notes that the database answered.
    pub fn succeeded(&self) {
        if !self.troubled.load(Ordering::Relaxed) {
            return;
        }
        let mut inner = self.lock();
        self.troubled.store(false, Ordering::Relaxed);
        inner.failures = 0;
        if inner.open.take().is_some() {
            tracing::info!("the database is available again: the circuit breaker closes");
        }
    }

    /// Notes how an operation failed.
    pub fn failed(&self, error: &Error) {
        if !Self::counts(error) {
            return;
        }
        let mut inner = self.lock();
        self.troubled.store(true, Ordering::Relaxed);
        inner.failures = inner.failures.saturating_add(1);
        if let Some(open) = &mut inner.open {
            open.last = error.to_string();
        } else if self.config.failures > 0 && inner.failures >= self.config.failures {
            tracing::error!(failures = inner.failures, %error, "the database is unavailable: the circuit breaker \
                opens");
            inner.opened += 1;
            let (since, next_probe) = (Instant::now(), self.next_probe());
            inner.open = Some(Open { since, probing: false, next_probe, last: error.to_string() });
            drop(inner);
            self.opened.notify_waiters();
        }
    }

    /// A time after the interval, spread by a tenth so that hosts which lost a database together do not come back
    /// together.
    fn next_probe(&self) -> Instant {
        Instant::now() + self.config.probe_interval.mul_f64(0.9 + 0.2 * fastrand::f64())
    }

    /// When the next probe is due; `None` while the breaker is closed.
    pub fn probe_due(&self) -> Option<Instant> {
        if !self.troubled.load(Ordering::Relaxed) {
            return None;
        }
        self.lock().open.as_ref().map(|open| open.next_probe)
    }

    /// Notes that a probe begins.
    pub fn probe_begins(&self) {
        if let Some(open) = &mut self.lock().open {
            open.probing = true;
        }
    }

    /// Notes what a probe found. A database that answers, be it with a refusal, is there.
    pub fn probe_ended(&self, result: Result<()>) {
        match result {
            Err(error) if Self::counts(&error) => {
                let next_probe = self.next_probe();
                if let Some(open) = &mut self.lock().open {
                    *open = Open { since: open.since, probing: false, next_probe, last: error.to_string() };
                }
            }
            _ => self.succeeded(),
        }
    }

    pub fn status(&self) -> BreakerStatus {
        let inner = self.lock();
        let state = match &inner.open {
            None => BreakerState::Closed,
            Some(Open { probing: false, .. }) => BreakerState::Open,
            Some(Open { probing: true, .. }) => BreakerState::HalfOpen,
        };
        let next_probe = inner.open.as_ref().map(|open| open.next_probe.saturating_duration_since(Instant::now()));
        let since = inner.open.as_ref().map(|open| open.since.elapsed());
        BreakerStatus { state, failures: inner.failures, opened: inner.opened, next_probe, since }
    }
}

impl Open {
    fn refusal(&self, failures: u32) -> Error {
        let next = match self.next_probe.saturating_duration_since(Instant::now()) {
            _ if self.probing => "a probe is running".to_owned(),
            // Whole milliseconds, and never 0.
            left => {
                let left = Duration::from_millis(left.as_millis().max(1) as u64);
                format!("the next probe is in {}", format_duration(left))
            }
        };
        let message = format!(
            "the circuit breaker is open after {failures} failures in a row; {next}; the last failure: {}",
            self.last
        );
        Error::new(ErrorKind::Unavailable, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> Error {
        Error::new(ErrorKind::Unavailable, "cannot connect").with_code("2002")
    }

    fn breaker(failures: u32) -> Breaker {
        Breaker::new(BreakerConfig { failures, ..BreakerConfig::default() })
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_says_when_it_asks_again() {
        let breaker = breaker(3);
        for _ in 0..2 {
            breaker.failed(&away());
        }
        breaker.succeeded();
        for _ in 0..2 {
            breaker.failed(&away());
            assert!(breaker.check().is_ok());
        }
        breaker.failed(&away());
        let error = breaker.check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.message().contains("3 failures in a row; the next probe is in "), "{error}");
        assert!(error.message().contains("[2002]"), "{error}");
        assert_eq!(breaker.status().state, BreakerState::Open);
        assert!(breaker.probe_due().is_some());
    }

    #[test]
    fn a_probe_half_opens_it_and_what_it_finds_decides() {
        let breaker = breaker(1);
        breaker.failed(&away());
        breaker.probe_begins();
        assert_eq!(breaker.status().state, BreakerState::HalfOpen);
        breaker.probe_ended(Err(away()));
        assert_eq!(breaker.status().state, BreakerState::Open);
        assert!(breaker.check().is_err());
        breaker.probe_begins();
        breaker.probe_ended(Err(Error::new(ErrorKind::PermissionDenied, "it answers")));
        assert_eq!(
            breaker.status(),
            BreakerStatus { state: BreakerState::Closed, failures: 0, opened: 1, next_probe: None, since: None }
        );
    }

    #[test]
    fn what_the_database_answered_is_no_failure_and_0_never_opens() {
        let breaker = breaker(1);
        breaker.failed(&Error::new(ErrorKind::Conflict, "deadlock"));
        breaker.failed(&Error::new(ErrorKind::InvalidInput, "empty"));
        assert!(breaker.check().is_ok());
        let breaker = self::breaker(0);
        for _ in 0..100 {
            breaker.failed(&away());
        }
        assert!(breaker.check().is_ok());
    }

    #[tokio::test]
    async fn those_who_wait_hear_of_it() {
        let breaker = std::sync::Arc::new(breaker(1));
        let waiting = tokio::spawn({
            let breaker = breaker.clone();
            async move { breaker.refused().await }
        });
        tokio::task::yield_now().await;
        breaker.failed(&away());
        assert_eq!(waiting.await.unwrap().kind(), ErrorKind::Unavailable);
    }
}
