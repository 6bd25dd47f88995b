//! Putting the spool's writes into the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::entry::{SpoolEntry, SpooledWrite};
use super::journal::Journal;
use crate::clock::Clock;
use crate::error::Result;
use crate::resilience::row::{Row, is_of_a_row, look_up};
use crate::service::StorageService;
use crate::storage::Storage;

/// Writes that go to the database together: few enough for one short transaction.
const BATCH: usize = 500;

/// How many writes have left the spool, and how.
#[derive(Default)]
pub(in crate::resilience) struct ReplayCounts {
    /// Put into the database.
    pub stored: AtomicU64,
    /// Left out because the row in the database is newer, or is the same already.
    pub superseded: AtomicU64,
}

impl ReplayCounts {
    /// Before the writes leave the spool, so that whoever finds it empty finds them counted.
    fn add(&self, stored: u64, superseded: u64) {
        self.stored.fetch_add(stored, Ordering::Relaxed);
        self.superseded.fetch_add(superseded, Ordering::Relaxed);
    }
}

/// A spool and the database that its writes are for.
#[derive(Clone)]
pub(in crate::resilience) struct Replay {
    pub journal: Arc<Journal>,
    pub storage: Arc<Storage>,
    pub clock: Arc<dyn Clock>,
    pub counts: Arc<ReplayCounts>,
}

/// Rows of one table, each with the number of its write.
struct Rows<R> {
    sequences: Vec<i64>,
    rows: Vec<R>,
}

impl<R> Default for Rows<R> {
    fn default() -> Self {
        Self { sequences: Vec::new(), rows: Vec::new() }
    }
}

impl Replay {
    /// Puts the oldest writes into the database and takes them out of the spool. `false` where there are none.
    ///
    /// # Errors
    ///
    /// The database is away, or refuses writes for now: what is not in it is still in the spool.
    pub async fn next(&self) -> Result<bool> {
        let batch = self.journal.view().oldest_writes(BATCH);
        let found = !batch.is_empty();
        let (mut states, mut ownerships) = (Rows::default(), Rows::default());
        for SpoolEntry { sequence, write, .. } in batch {
            match write {
                SpooledWrite::State(state) => states.push(sequence, state),
                SpooledWrite::Ownership(ownership) => ownerships.push(sequence, ownership),
                SpooledWrite::Cleanup { cutoff } => self.clean_up(sequence, cutoff).await?,
            }
        }
        self.put(states).await?;
        self.put(ownerships).await?;
        Ok(found)
    }

    async fn clean_up(&self, sequence: i64, cutoff: i64) -> Result<()> {
        let age = age_until(cutoff, self.clock.now());
        self.storage.cleanup_old_thread_ownerships(age).await?;
        self.counts.add(1, 0);
        Ok(self.journal.remove(vec![sequence]).await?)
    }

    async fn put<R: Row>(&self, given: Rows<R>) -> Result<()> {
        if given.rows.is_empty() {
            return Ok(());
        }
        let stored = look_up(&self.storage, &given.rows).await?;
        let (mut rows, mut superseded) = (Rows::default(), Vec::new());
        for ((sequence, row), stored) in given.sequences.into_iter().zip(given.rows).zip(stored) {
            match decide(row, stored) {
                Some(row) => rows.push(sequence, row),
                None => superseded.push(sequence),
            }
        }
        self.counts.add(0, superseded.len() as u64);
        self.journal.remove(superseded).await?;
        match R::import(&*self.storage, &rows.rows).await {
            Ok(kept) => {
                self.counts.add((rows.rows.len() as u64).saturating_sub(kept), kept);
                Ok(self.journal.remove(rows.sequences).await?)
            }
            Err(error) if is_of_a_row(&error) => self.put_one_by_one(rows).await,
            Err(error) => Err(error),
        }
    }

    /// Finds the row that the backend does not take, so that it does not hold up the others.
    async fn put_one_by_one<R: Row>(&self, rows: Rows<R>) -> Result<()> {
        for (sequence, row) in rows.sequences.into_iter().zip(rows.rows) {
            match R::import(&*self.storage, std::slice::from_ref(&row)).await {
                Ok(kept) => {
                    self.counts.add(1 - kept.min(1), kept.min(1));
                    self.journal.remove(vec![sequence]).await?;
                }
                Err(error) if is_of_a_row(&error) => {
                    tracing::error!(sequence, %error, "a write of the spool is refused for good and kept aside");
                    self.journal.reject(sequence, error.to_string()).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The age that makes a backend, which looks at the clock a little later, come to this cutoff, in seconds since the Unix
/// epoch. `now` is the time since then.
pub(in crate::resilience) fn age_until(cutoff: i64, now: Duration) -> Duration {
    let half_a_second = 500_000_000;
    let now = i128::try_from(now.as_nanos()).unwrap_or(i128::MAX);
    let age = now - i128::from(cutoff) * 1_000_000_000 - half_a_second;
    Duration::from_nanos(u64::try_from(age.max(1)).unwrap_or(u64::MAX))
}

/// How a row is to be written over the one that is stored; `None` where that is newer or says the same.
fn decide<R: Row>(row: R, stored: Option<R>) -> Option<R> {
    let Some(stored) = stored else { return Some(row) };
    if stored.updated_at() > row.updated_at() || row.says_the_same(&stored) && stored.updated_at() == row.updated_at() {
        return None;
    }
    Some(row.over(&stored))
}

impl<R> Rows<R> {
    fn push(&mut self, sequence: i64, row: R) {
        self.sequences.push(sequence);
        self.rows.push(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MessageState;

    fn row(message: &str, created_at: i64, updated_at: i64) -> MessageState {
        MessageState { created_at, updated_at, ..MessageState::new("c", None, message, 1) }
    }

    #[test]
    fn a_newer_row_stays_and_an_older_one_gives_way_but_for_when_it_was_made() {
        assert_eq!(decide(row("spooled", 5, 5), None), Some(row("spooled", 5, 5)));
        assert_eq!(decide(row("spooled", 5, 5), Some(row("stored", 1, 6))), None);
        assert_eq!(decide(row("spooled", 5, 5), Some(row("stored", 1, 4))), Some(row("spooled", 1, 5)));
    }

    #[test]
    fn of_one_second_the_spooled_write_is_the_later_one() {
        assert_eq!(decide(row("spooled", 5, 5), Some(row("stored", 1, 5))), Some(row("spooled", 1, 5)));
        assert_eq!(decide(row("same", 5, 5), Some(row("same", 1, 5))), None);
    }
}
