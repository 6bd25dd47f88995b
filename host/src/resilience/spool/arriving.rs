//! Writes that were ordered and are not in the spool yet. Their callers may have gone: a disk that is slow for a moment holds a write
//! up for longer than its deadline. A later write to the same row still comes after it, or the spool would show, and replay, the
//! older one over the newer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::entry::SpooledWrite;
use super::view::{Key, queues_up};
use crate::threads::lock;

/// What arrives at a spool.
#[derive(Default)]
pub struct Arrivals {
    /// To be looked at before each write.
    count: AtomicUsize,
    kinds: Mutex<Kinds>,
}

#[derive(Default)]
struct Kinds {
    rows: HashMap<Key, usize>,
    ownerships: usize,
    cleanups: usize,
}

impl Arrivals {
    /// A write is about to be ordered: it arrives until the result is dropped.
    pub fn begin(self: &Arc<Self>, write: &SpooledWrite) -> Arrival {
        let arrival = Arrival { arrivals: Arc::clone(self), key: Key::of(write) };
        arrival.count(|count| *count += 1);
        self.count.fetch_add(1, Ordering::Release);
        arrival
    }

    /// Whether nothing arrives.
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Whether a write has to queue up behind one that arrives, for the same reasons as behind one that waits.
    pub fn precedes(&self, write: &SpooledWrite) -> bool {
        if self.is_empty() {
            return false;
        }
        let kinds = lock(&self.kinds);
        queues_up(write, |key| kinds.rows.contains_key(key), kinds.ownerships > 0, kinds.cleanups > 0)
    }
}

/// A write that arrives.
pub struct Arrival {
    arrivals: Arc<Arrivals>,
    /// None of a cleanup.
    key: Option<Key>,
}

impl Arrival {
    fn count(&self, change: impl Fn(&mut usize)) {
        let kinds = &mut *lock(&self.arrivals.kinds);
        let Some(key) = &self.key else { return change(&mut kinds.cleanups) };
        if matches!(key, Key::Ownership(_)) {
            change(&mut kinds.ownerships);
        }
        let count = kinds.rows.entry(key.clone()).or_default();
        change(count);
        if *count == 0 {
            kinds.rows.remove(key);
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.count(|count| *count -= 1);
        self.arrivals.count.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MessageState, ThreadOwnership};

    #[test]
    fn each_kind_comes_after_what_it_would_be_overtaken_by() {
        let state = |channel: &str| SpooledWrite::State(MessageState::new(channel, None, "m", 1));
        let ownership = |thread: &str| SpooledWrite::Ownership(ThreadOwnership::new(thread, "u", "b", 1));
        let cleanup = SpooledWrite::Cleanup { cutoff: 1 };
        let arrivals = Arc::<Arrivals>::default();
        let (first, second) = (arrivals.begin(&state("a")), arrivals.begin(&state("a")));
        assert!(arrivals.precedes(&state("a")) && !arrivals.precedes(&state("b")) && !arrivals.precedes(&cleanup));
        drop(first);
        assert!(arrivals.precedes(&state("a")));
        drop(second);
        assert!(arrivals.is_empty() && !arrivals.precedes(&state("a")));
        let thread = arrivals.begin(&ownership("t"));
        assert!(
            arrivals.precedes(&cleanup) && arrivals.precedes(&ownership("t")) && !arrivals.precedes(&ownership("u"))
        );
        drop(thread);
        let _cleanup = arrivals.begin(&cleanup);
        assert!(arrivals.precedes(&ownership("u")) && arrivals.precedes(&cleanup) && !arrivals.precedes(&state("a")));
    }
}
