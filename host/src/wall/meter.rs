use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often a running guest is looked at: the grain of every limit on time.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// A count of ticks since the engine was made, which all that have it share.
#[derive(Clone, Default)]
pub(crate) struct Ticks(Arc<AtomicU64>);

impl Ticks {
    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Another tick is over.
    pub(crate) fn pass(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Measures how long a guest computes in one operation, in ticks, leaving out what the host does for it.
#[derive(Clone)]
pub(crate) struct Meter {
    ticks: Ticks,
    limit: u64,
    started: u64,
    in_host: u64,
}

impl Meter {
    pub(crate) fn new(ticks: Ticks, limit: Duration) -> Self {
        let limit = u64::try_from(limit.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX).max(1);
        let started = ticks.now();
        Self { ticks, limit, started, in_host: 0 }
    }

    pub(crate) fn restart(&mut self) {
        self.started = self.ticks.now();
        self.in_host = 0;
    }

    /// Notes that the guest waits for the host; what it returns goes to [`leave_host`](Self::leave_host).
    pub(crate) fn enter_host(&self) -> u64 {
        self.ticks.now()
    }

    /// Notes that the guest goes on.
    pub(crate) fn leave_host(&mut self, entered: u64) {
        self.in_host += self.ticks.now() - entered;
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.ticks.now() - self.started > self.in_host + self.limit
    }
}
