//! The wall clock that backends see.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

/// The wall clock of a backend.
pub trait Clock: Send + Sync + 'static {
    /// The time since the Unix epoch.
    fn now(&self) -> Duration;
}

/// `floor(now - age)` in seconds since the Unix epoch, for a `now` since then: the cutoff of a window, as backends reckon it.
pub fn seconds_before(now: Duration, age: Duration) -> i64 {
    let nanoseconds = |duration: Duration| i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX);
    let then = nanoseconds(now).saturating_sub(nanoseconds(age)).div_euclid(1_000_000_000);
    i64::try_from(then).unwrap_or(i64::MIN)
}

/// The machine's clock. A time before 1970 reads as 1970.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}

/// A clock that stands still until it is set, for tests.
#[derive(Debug)]
pub struct ManualClock {
    seconds: AtomicI64,
}

impl ManualClock {
    /// A clock that stands at this number of seconds since the Unix epoch; less than 0 reads as 0.
    pub fn at(seconds: i64) -> Self {
        Self { seconds: AtomicI64::new(seconds.max(0)) }
    }

    /// Sets the clock.
    pub fn set(&self, seconds: i64) {
        self.seconds.store(seconds.max(0), Ordering::Relaxed);
    }

    /// The seconds at which it stands.
    pub fn seconds(&self) -> i64 {
        self.seconds.load(Ordering::Relaxed)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        Duration::from_secs(self.seconds().unsigned_abs())
    }
}
