//! How a plugin fails: whether it is left alone for a while, and whether it stands its trial.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::threads::lock;

/// Failures in a row after which a plugin is left alone for a while.
const FAILURES_BEFORE_PAUSE: u32 = 5;
/// The first pause; every further failure doubles it, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The operations of a trial. A bot makes all kinds of them in so many, and a bug in any kind shows.
pub(crate) const TRIAL: u32 = 100;
/// Failures in a trial that end it. Fewer than those before a pause, so that a plugin which always fails is replaced before it
/// is left alone; more than one, which may be the fault of one row that the plugin before would have failed on too.
pub(crate) const TRIAL_FAILURES: u32 = 3;

/// The failures of one plugin, on the way of every operation.
#[derive(Default)]
pub(super) struct Failures {
    /// Whether there is anything in `inner`: spares a lock in every operation of a sound plugin.
    noted: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Without a success between them.
    in_a_row: u32,
    paused_until: Option<Instant>,
    last: String,
    trial: Option<Trial>,
}

#[derive(Default)]
struct Trial {
    operations: u32,
    failures: u32,
    /// The reason of the last one.
    last: String,
}

impl Trial {
    fn failed(&mut self, reason: &str) {
        self.operations = self.operations.saturating_add(1);
        self.failures = self.failures.saturating_add(1);
        reason.clone_into(&mut self.last);
    }
}

/// How a trial stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on.
    Open,
    /// The plugin may stay.
    Passed,
    /// The plugin has to go, for this reason.
    Failed(String),
}

impl Failures {
    /// Refuses an operation while the plugin is left alone.
    pub fn check(&self, plugin: &str) -> Result<()> {
        if !self.noted.load(Ordering::Relaxed) {
            return Ok(());
        }
        let inner = lock(&self.inner);
        let Some(until) = inner.paused_until else { return Ok(()) };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let Inner { in_a_row, last, .. } = &*inner;
        let message = format!(
            "plugin {plugin} failed {in_a_row} times in a row, the last time because {last}; the next attempt is in {} ms",
            left.as_millis().max(1)
        );
        Err(Error::new(ErrorKind::Unavailable, message))
    }

    /// For how long it is left alone, and its last failure.
    pub fn pause(&self) -> Option<(Duration, String)> {
        if !self.noted.load(Ordering::Relaxed) {
            return None;
        }
        let inner = lock(&self.inner);
        let left = inner.paused_until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| (left, inner.last.clone()))
    }

    /// Counts a failure of the plugin itself and makes it an error.
    pub fn failed(&self, plugin: &str, reason: String) -> Error {
        let mut inner = lock(&self.inner);
        inner.in_a_row = inner.in_a_row.saturating_add(1);
        if let Some(trial) = &mut inner.trial {
            trial.failed(&reason);
        }
        self.noted.store(true, Ordering::Relaxed);
        if let Some(beyond) = inner.in_a_row.checked_sub(FAILURES_BEFORE_PAUSE) {
            let pause = FIRST_PAUSE.saturating_mul(1 << beyond.min(16)).min(LONGEST_PAUSE);
            inner.paused_until = Some(Instant::now() + pause);
        }
        tracing::error!(backend = plugin, in_a_row = inner.in_a_row, reason, "the plugin failed");
        let error = Error::new(ErrorKind::Internal, format!("plugin {plugin} failed: {reason}"));
        inner.last = reason;
        error
    }

    /// Counts what is no failure at other times, where there is a trial: an operation that hung, or a mistake that the plugin itself
    /// reports.
    pub fn disappointed(&self, plugin: &str, reason: impl FnOnce() -> String) {
        if !self.noted.load(Ordering::Relaxed) {
            return;
        }
        if let Some(trial) = &mut lock(&self.inner).trial {
            let reason = reason();
            tracing::warn!(backend = plugin, reason, "the plugin on trial failed");
            trial.failed(&reason);
        }
    }

    /// Counts a success, where that matters.
    pub fn succeeded(&self) {
        if !self.noted.load(Ordering::Relaxed) {
            return;
        }
        let mut inner = lock(&self.inner);
        inner.in_a_row = 0;
        inner.paused_until = None;
        if let Some(trial) = &mut inner.trial {
            trial.operations = trial.operations.saturating_add(1);
        }
        self.noted.store(inner.trial.is_some(), Ordering::Relaxed);
    }

    /// Forgets everything, and counts from now on for a trial where there is to be one.
    pub fn start_over(&self, on_trial: bool) {
        let mut inner = lock(&self.inner);
        *inner = Inner { trial: on_trial.then(Trial::default), ..Inner::default() };
        self.noted.store(on_trial, Ordering::Relaxed);
    }

    /// Ends a trial.
    pub fn acquit(&self) {
        lock(&self.inner).trial = None;
    }

    /// How the trial stands, if there is one.
    pub fn verdict(&self) -> Option<Verdict> {
        if !self.noted.load(Ordering::Relaxed) {
            return None;
        }
        let inner = lock(&self.inner);
        inner.trial.as_ref().map(|Trial { operations, failures, last }| match (*operations, *failures) {
            (operations, failures @ TRIAL_FAILURES..) => Verdict::Failed(format!(
                "it failed in {failures} of its first {operations} operations, the last time because {last}"
            )),
            (TRIAL.., _) => Verdict::Passed,
            _ => Verdict::Open,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_ends_with_the_third_failure_or_the_hundredth_operation() {
        let failures = Failures::default();
        assert_eq!(failures.verdict(), None);
        failures.start_over(true);
        for _ in 0..TRIAL_FAILURES - 1 {
            failures.failed("p", "it panicked".into());
            failures.succeeded();
        }
        assert_eq!(failures.verdict(), Some(Verdict::Open));
        failures.failed("p", "it recursed".into());
        let reason = "it failed in 3 of its first 5 operations, the last time because it recursed";
        assert_eq!(failures.verdict(), Some(Verdict::Failed(reason.into())));

        failures.start_over(true);
        for _ in 1..TRIAL {
            failures.succeeded();
        }
        assert_eq!(failures.verdict(), Some(Verdict::Open));
        failures.succeeded();
        assert_eq!(failures.verdict(), Some(Verdict::Passed));
        failures.acquit();
        failures.succeeded();
        assert_eq!(failures.verdict(), None);
    }

    #[test]
    fn what_counts_only_in_a_trial_pauses_nothing() {
        let failures = Failures::default();
        failures.disappointed("p", || unreachable!("there is no trial"));
        failures.start_over(true);
        for _ in 0..FAILURES_BEFORE_PAUSE {
            failures.disappointed("p", || "it hung".into());
        }
        assert!(failures.check("p").is_ok() && failures.pause().is_none());
        let reason = "it failed in 5 of its first 5 operations, the last time because it hung";
        assert_eq!(failures.verdict(), Some(Verdict::Failed(reason.into())));
    }

    #[test]
    fn a_pause_is_forgotten_with_everything_else() {
        let failures = Failures::default();
        for _ in 0..FAILURES_BEFORE_PAUSE {
            assert!(failures.check("p").is_ok());
            failures.failed("p", "it panicked".into());
        }
        assert!(failures.check("p").is_err());
        failures.start_over(false);
        assert!(failures.check("p").is_ok());
    }
}
