//! How strictly times are judged: to what is promised where they are measured, and in tests, which share their machine with each
//! other, only so far that an operation without a deadline, or a service that does not come back, is found.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::scene::DEADLINE;

/// What an operation may take beyond its deadline.
const GRACE: Duration = Duration::from_millis(100);

static IS_MEASURED: AtomicBool = AtomicBool::new(false);

/// From now on times are judged by what is promised.
pub(super) fn measure() {
    IS_MEASURED.store(true, Ordering::Relaxed);
}

fn is_measured() -> bool {
    IS_MEASURED.load(Ordering::Relaxed)
}

/// The longest that an operation with this deadline may take. In tests that is less than a second attempt would end with.
pub(super) fn limit(deadline: Duration) -> Duration {
    deadline + if is_measured() { GRACE } else { deadline * 9 / 10 }
}

/// Within which service must be back that is promised to be back so soon.
pub(super) fn back_within(promised: Duration) -> Duration {
    promised * if is_measured() { 1 } else { 3 }
}

/// The deadline of operations in faults that no deadline decides: a disk may be slow for a moment, unless that is measured.
pub(super) fn unhurried() -> Duration {
    DEADLINE * if is_measured() { 1 } else { 10 }
}
