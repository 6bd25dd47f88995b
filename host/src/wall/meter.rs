use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often a running guest is looked at: the grain of every limit on time.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// An operation that was given up earlier tells nothing of the guest.
const LEAST_HUNG: u64 = 10;

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
    /// When the guest began to wait for the host, while it does.
    entered: Cell<Option<u64>>,
}

impl Meter {
    pub(crate) fn new(ticks: Ticks, limit: Duration) -> Self {
        let limit = u64::try_from(limit.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX).max(1);
        let started = ticks.now();
        Self { ticks, limit, started, in_host: 0, entered: Cell::new(None) }
    }

    pub(crate) fn restart(&mut self) {
        self.started = self.ticks.now();
        self.in_host = 0;
        self.entered.set(None);
    }

    /// Notes that the guest waits for the host; what it returns goes to [`leave_host`](Self::leave_host).
    pub(crate) fn enter_host(&self) -> u64 {
        let now = self.ticks.now();
        self.entered.set(Some(now));
        now
    }

    /// Notes that the guest goes on.
    pub(crate) fn leave_host(&mut self, entered: u64) {
        self.in_host += self.ticks.now() - entered;
        self.entered.set(None);
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.ticks.now() - self.started > self.in_host + self.limit
    }

    /// How long an operation that was given up had lasted, if the guest itself took at least half of that, and not the host for it.
    pub(crate) fn hung(&self) -> Option<Duration> {
        let now = self.ticks.now();
        let lasted = now - self.started;
        let waiting = self.entered.get().map_or(0, |entered| now - entered);
        let own = lasted.saturating_sub(self.in_host + waiting);
        let is_hung = lasted >= LEAST_HUNG && own * 2 >= lasted;
        is_hung.then(|| TICK * u32::try_from(lasted).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(ticks: &Ticks, count: u64) {
        (0..count).for_each(|_| ticks.pass());
    }

    #[test]
    fn who_waits_for_the_database_does_not_hang() {
        let ticks = Ticks::default();
        let mut meter = Meter::new(ticks.clone(), Duration::from_secs(60));
        pass(&ticks, 5);
        assert_eq!(meter.hung(), None, "so soon");
        let entered = meter.enter_host();
        pass(&ticks, 20);
        assert_eq!(meter.hung(), None, "it waits");
        meter.leave_host(entered);
        pass(&ticks, 10);
        assert_eq!(meter.hung(), None, "it has waited for the most part");
        pass(&ticks, 5);
        assert_eq!(meter.hung(), Some(TICK * 40));
        meter.restart();
        pass(&ticks, LEAST_HUNG);
        assert_eq!(meter.hung(), Some(Duration::from_millis(100)));
    }
}
