//! The time as Discord has it. How old a message is must not depend on this machine's clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::ids;

/// Discord's clock, as far as it is known from here.
#[derive(Debug, Default)]
pub struct Clock {
    /// How far Discord's clock is ahead of this machine's.
    ahead_ms: AtomicI64,
    /// The time of the newest message: Discord's clock shows at least that.
    newest_ms: AtomicI64,
}

impl Clock {
    /// Discord's time in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        let ours = local_ms().saturating_add(self.ahead_ms.load(Ordering::Relaxed));
        ours.max(self.newest_ms.load(Ordering::Relaxed))
    }

    /// Takes note of a message, which is not of the future.
    pub fn saw(&self, id: u64) {
        self.newest_ms.fetch_max(ids::time_ms(id), Ordering::Relaxed);
    }

    /// Takes the time from an answer's `Date`, which has whole seconds.
    pub fn set(&self, date: &str) {
        if let Ok(time) = jiff::fmt::rfc2822::parse(date) {
            self.ahead_ms.store(time.timestamp().as_millisecond() - local_ms(), Ordering::Relaxed);
        }
    }
}

/// This machine's time in milliseconds since the Unix epoch.
pub fn local_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discords_date_counts_and_so_does_a_newer_message() {
        let clock = Clock::default();
        clock.set("Sun, 06 Nov 1994 08:49:37 GMT");
        let now = clock.now_ms();
        assert!((784_111_777_000..784_111_787_000).contains(&now), "{now}");
        clock.saw(175_928_847_299_117_063);
        assert_eq!(clock.now_ms(), 1_462_015_105_796);
        clock.set("yesterday");
        assert_eq!(clock.now_ms(), 1_462_015_105_796);
    }
}
