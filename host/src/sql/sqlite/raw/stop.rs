//! When a statement is to end early.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// What stops a running statement, looked at by the progress handler.
pub struct Stop {
    /// Who has the connection at the moment, as a number that grows with each lease.
    lease: AtomicU64,
    /// The lease whose statements are to fail, because nobody wants their results any more. A cancellation that
    /// comes too late meets another lease, which it does not concern.
    cancelled: AtomicU64,
    /// Nanoseconds after `base`; 0 for no deadline.
    deadline: AtomicU64,
    /// Whether the statement has begun to commit. SQLite looks here once more when a statement has ended, and would say that it
    /// was interrupted though it is committed.
    is_committing: AtomicBool,
    base: Instant,
}

impl Stop {
    pub(super) fn new() -> Self {
        let (lease, cancelled, deadline) = (AtomicU64::new(1), AtomicU64::new(0), AtomicU64::new(0));
        Self { lease, cancelled, deadline, is_committing: AtomicBool::new(false), base: Instant::now() }
    }

    /// The present lease, for [`cancel`](Self::cancel).
    pub fn lease(&self) -> u64 {
        self.lease.load(Ordering::Relaxed)
    }

    /// Makes what this lease runs fail.
    pub fn cancel(&self, lease: u64) {
        self.cancelled.store(lease, Ordering::Relaxed);
    }

    pub(super) fn end_lease(&self) {
        self.lease.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn at(&self, deadline: tokio::time::Instant) {
        let after = deadline.into_std().saturating_duration_since(self.base).as_nanos();
        self.deadline.store(u64::try_from(after).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
        self.is_committing.store(false, Ordering::Relaxed);
    }

    pub(super) fn never(&self) {
        self.deadline.store(0, Ordering::Relaxed);
        self.is_committing.store(false, Ordering::Relaxed);
    }

    pub(super) fn commits(&self) {
        self.is_committing.store(true, Ordering::Relaxed);
    }

    /// Whether the running statement is to be interrupted.
    pub(super) fn is_due(&self) -> bool {
        let deadline = self.deadline.load(Ordering::Relaxed);
        let is_late = || deadline != 0 && self.base.elapsed().as_nanos() >= deadline.into();
        (self.cancelled.load(Ordering::Relaxed) == self.lease() || is_late())
            && !self.is_committing.load(Ordering::Relaxed)
    }
}
