//! The errors of late, for whoever looks at the status.

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::time::Instant;

use super::status::RecentError;
use crate::error::Error;
use crate::threads::lock;

/// How many different errors are kept: what fits on a page.
const KEPT: usize = 10;

/// The last errors, each once: an outage fails the same way a thousand times, and must not push out what led to it.
#[derive(Default)]
pub(super) struct Recent(Mutex<VecDeque<Entry>>);

struct Entry {
    error: Error,
    last: Instant,
    times: u64,
}

impl Recent {
    pub fn add(&self, error: &Error) {
        let mut entries = lock(&self.0);
        let known = entries.iter().position(|entry| entry.error == *error).and_then(|at| entries.remove(at));
        let times = known.map_or(0, |entry| entry.times).saturating_add(1);
        if entries.len() == KEPT {
            entries.pop_front();
        }
        entries.push_back(Entry { error: error.clone(), last: Instant::now(), times });
    }

    /// The errors, the last one first.
    pub fn list(&self) -> Vec<RecentError> {
        let entries = lock(&self.0);
        let told =
            |entry: &Entry| RecentError { error: entry.error.clone(), age: entry.last.elapsed(), times: entry.times };
        entries.iter().rev().map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn what_happens_again_is_counted_and_not_kept_twice() {
        let recent = Recent::default();
        let away = Error::new(ErrorKind::Unavailable, "cannot connect");
        recent.add(&Error::new(ErrorKind::StorageFull, "the disk is full"));
        for _ in 0..1000 {
            recent.add(&away);
        }
        let list = recent.list();
        assert_eq!((list.len(), &list[0].error, list[0].times, list[1].times), (2, &away, 1000, 1));
        for number in 0..KEPT {
            recent.add(&Error::new(ErrorKind::Internal, number.to_string()));
        }
        assert_eq!((recent.list().len(), recent.list()[0].error.message()), (KEPT, "9"));
    }
}
