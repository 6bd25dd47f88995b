//! How long things took: histograms without locks, for pools and operations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of a histogram's buckets. OpenTelemetry's advice for `db.client.operation.duration` begins at a
/// millisecond, which tells nothing of operations that take microseconds; from there on its bounds are among these.
pub const BOUNDS: [Duration; 20] = [
    Duration::from_micros(10),
    Duration::from_micros(25),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// With the one for what took longer than all bounds.
const BUCKETS: usize = BOUNDS.len() + 1;

/// A histogram that many tasks add to.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    nanoseconds: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], nanoseconds: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts something that took so long.
    pub fn add(&self, took: Duration) {
        let bucket = BOUNDS.partition_point(|bound| *bound < took);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Counts something that took no time, without a look at a clock.
    pub fn add_nothing(&self) {
        self.buckets[0].fetch_add(1, Ordering::Relaxed);
    }

    /// What it holds now.
    pub fn latencies(&self) -> Latencies {
        Latencies {
            buckets: std::array::from_fn(|bucket| self.buckets[bucket].load(Ordering::Relaxed)),
            nanoseconds: self.nanoseconds.load(Ordering::Relaxed),
        }
    }
}

/// How long something took since the start, as a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latencies {
    buckets: [u64; BUCKETS],
    nanoseconds: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], nanoseconds: 0 }
    }
}

impl Latencies {
    /// How often it happened.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// What all of them took together.
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds)
    }

    /// Each bucket's upper bound, and how many were in it and not in the one before; the last one has no bound.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        BOUNDS.iter().copied().map(Some).chain([None]).zip(self.buckets)
    }

    /// What was added since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            buckets: std::array::from_fn(|bucket| self.buckets[bucket].saturating_sub(before.buckets[bucket])),
            nanoseconds: self.nanoseconds.saturating_sub(before.nanoseconds),
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            buckets: std::array::from_fn(|bucket| self.buckets[bucket].saturating_add(other.buckets[bucket])),
            nanoseconds: self.nanoseconds.saturating_add(other.nanoseconds),
        }
    }

    /// The bound below which this share of them stayed, from 0 to 1; the longest bound for what took longer. `None` where
    /// nothing happened.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = ((count as f64 * share).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        for (bound, in_bucket) in self.buckets() {
            seen += in_bucket;
            if seen >= rank {
                return Some(bound.unwrap_or(BOUNDS[BOUNDS.len() - 1]));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_exactly_a_bound_is_below_it() {
        let histogram = Histogram::default();
        for micros in [0, 10, 11, 100, 31_000_000] {
            histogram.add(Duration::from_micros(micros));
        }
        histogram.add_nothing();
        let latencies = histogram.latencies();
        let counts: Vec<_> = latencies.buckets().map(|(_, count)| count).collect();
        assert_eq!((counts[0], counts[1], counts[3], counts[BUCKETS - 1]), (3, 1, 1, 1));
        assert_eq!((latencies.count(), latencies.total()), (6, Duration::from_micros(31_000_121)));
    }

    #[test]
    fn quantiles_are_bounds() {
        let histogram = Histogram::default();
        assert_eq!(histogram.latencies().quantile(0.5), None);
        for _ in 0..99 {
            histogram.add(Duration::from_micros(20));
        }
        histogram.add(Duration::from_secs(60));
        let latencies = histogram.latencies();
        assert_eq!(latencies.quantile(0.0), Some(Duration::from_micros(25)));
        assert_eq!(latencies.quantile(0.99), Some(Duration::from_micros(25)));
        assert_eq!(latencies.quantile(1.0), Some(Duration::from_secs(30)));
        assert_eq!(latencies.since(&latencies).count(), 0);
        assert_eq!(latencies.and(&latencies).count(), 200);
    }
}
