use std::sync::atomic::{AtomicU64, Ordering};

/// Counts groups of writes that shared a commit.
#[derive(Debug, Default)]
pub(super) struct Tally {
    groups: AtomicU64,
    grouped: AtomicU64,
}

impl Tally {
    /// Counts one more group, of so many writes.
    pub fn add(&self, writes: usize) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.grouped.fetch_add(writes as u64, Ordering::Relaxed);
    }

    /// The groups, and the writes in them.
    pub fn count(&self) -> (u64, u64) {
        (self.groups.load(Ordering::Relaxed), self.grouped.load(Ordering::Relaxed))
    }
}
