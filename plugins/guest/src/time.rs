//! The clock and what is reckoned from it.

use std::time::{SystemTime, UNIX_EPOCH};

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// Nanoseconds since the Unix epoch, from the host's wall clock.
fn now_nanos() -> i128 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos().cast_signed(),
        Err(before) => -before.duration().as_nanos().cast_signed(),
    }
}

/// Whole seconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    seconds(now_nanos())
}

/// `floor(now - age)` in whole seconds since the Unix epoch, for an age in nanoseconds.
pub(crate) fn cutoff(age: u64) -> i64 {
    seconds(now_nanos() - i128::from(age))
}

fn seconds(nanos: i128) -> i64 {
    let seconds = nanos.div_euclid(NANOS_PER_SECOND);
    i64::try_from(seconds).unwrap_or(if seconds < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_down_on_both_sides_of_the_epoch() {
        assert_eq!(seconds(1_999_999_999), 1);
        assert_eq!(seconds(0), 0);
        assert_eq!(seconds(-1), -1);
        assert_eq!(seconds(-1_000_000_000), -1);
        assert_eq!(seconds(-1_000_000_001), -2);
    }

    #[test]
    fn no_age_overflows() {
        let cutoff = cutoff(u64::MAX);
        assert!(cutoff < now() - 18_000_000_000, "{cutoff}");
        assert_eq!(seconds(i128::MAX), i64::MAX);
        assert_eq!(seconds(i128::MIN), i64::MIN);
    }

    #[test]
    fn an_age_of_zero_is_now() {
        let before = now();
        let cutoff = cutoff(0);
        assert!((before..=now()).contains(&cutoff));
    }
}
