//! Writes that are under way.
//!
//! A mark stays while its row is being written: what is read of the row meanwhile may be from before the write. A cleanup
//! stands between the marks from before and after it, and waits in its place until the bot's own database has made it. A
//! write that was under way beside a cleanup is marked once more, behind it: the database may have made it afterwards.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::Mirror;
use crate::resilience::spool::{Key, SpooledWrite};
use crate::threads::lock;

#[derive(Default)]
pub(super) struct Flights {
    rows: HashMap<Key, usize>,
    cleanups: usize,
    /// Cleanups that have ever begun.
    cleanups_begun: u64,
}

impl Flights {
    pub fn is_writing(&self, write: &SpooledWrite) -> bool {
        match Key::of(write) {
            Some(key) => self.rows.contains_key(&key),
            None => self.cleanups > 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.cleanups == 0
    }

    fn add(&mut self, write: &SpooledWrite) -> u64 {
        match Key::of(write) {
            Some(key) => *self.rows.entry(key).or_default() += 1,
            None => {
                self.cleanups += 1;
                self.cleanups_begun += 1;
            }
        }
        self.cleanups_begun
    }

    fn remove(&mut self, write: &SpooledWrite) {
        let Some(key) = Key::of(write) else {
            self.cleanups -= 1;
            return;
        };
        if let Some(count) = self.rows.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.rows.remove(&key);
            }
        }
    }
}

/// A write that is under way until this is dropped, also where its caller gives it up.
pub(in crate::resilience) struct Flight {
    mirror: Arc<Mirror>,
    pub(super) write: SpooledWrite,
    /// The number of its mark, where that is known.
    pub(super) sequence: Option<i64>,
    now: i64,
    cleanups_begun: u64,
    has_failed: bool,
}

impl Flight {
    pub(super) fn begin(mirror: Arc<Mirror>, write: SpooledWrite, now: i64) -> Self {
        let cleanups_begun = lock(&mirror.flights).add(&write);
        Self { mirror, write, sequence: None, now, cleanups_begun, has_failed: false }
    }

    /// The bot's own database has refused it.
    pub(in crate::resilience) fn failed(&mut self) {
        self.has_failed = true;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let (mirror, write, now) = (self.mirror.clone(), self.write.clone(), self.now);
        let land = move || {
            lock(&mirror.flights).remove(&write);
            mirror.wake.notify_one();
        };
        let Ok(runtime) = Handle::try_current() else { return land() };
        let (mirror, write) = (self.mirror.clone(), self.write.clone());
        match &self.write {
            // Better a row too many in the mirror, until the next cleanup, than one too few.
            SpooledWrite::Cleanup { .. } if self.has_failed => {
                let (Some(marks), Some(sequence)) = (mirror.marks(), self.sequence) else { return land() };
                runtime.spawn(async move {
                    let _ = marks.remove(vec![sequence]).await;
                    land();
                });
            }
            SpooledWrite::Ownership(_) if lock(&mirror.flights).cleanups_begun != self.cleanups_begun => {
                runtime.spawn(async move {
                    mirror.mark(write, now).await;
                    land();
                });
            }
            _ => land(),
        }
    }
}
