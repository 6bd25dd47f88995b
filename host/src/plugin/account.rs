//! What the instances of a storage cost, whichever plugin they are of.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::model::Discards;

/// Shared by all plugins that answer one after the other, since who watches it expects counts to grow only.
#[derive(Debug, Default)]
pub(crate) struct Account {
    memory: Arc<AtomicUsize>,
    given_up: AtomicU64,
    trapped: AtomicU64,
    at_limit: AtomicU64,
    left_behind: AtomicU64,
}

/// What becomes of an instance after its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    /// The operation's deadline passed, or its future was dropped.
    GivenUp,
    Trapped,
    AtLimit,
    LeftBehind,
}

impl Account {
    /// Bytes of linear memory of the instances that exist.
    pub fn memory(&self) -> &Arc<AtomicUsize> {
        &self.memory
    }

    /// Counts an instance that was not kept.
    pub(super) fn add(&self, fate: Fate) {
        let count = match fate {
            Fate::Kept => return,
            Fate::GivenUp => &self.given_up,
            Fate::Trapped => &self.trapped,
            Fate::AtLimit => &self.at_limit,
            Fate::LeftBehind => &self.left_behind,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Instances that were not kept.
    pub fn discards(&self) -> Discards {
        let [given_up, trapped, at_limit, left_behind] =
            [&self.given_up, &self.trapped, &self.at_limit, &self.left_behind]
                .map(|count| count.load(Ordering::Relaxed));
        Discards { given_up, trapped, at_limit, left_behind }
    }
}
