//! Putting the spool's writes into the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio::task::JoinSet;

use super::entry::{SpoolEntry, SpooledWrite};
use super::journal::Journal;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{MessageState, ThreadOwnership};
use crate::service::{StorageService, TransferService};
use crate::storage::Storage;

/// Writes that go to the database together: few enough for one short transaction.
const BATCH: usize = 500;

/// How many rows are looked up at a time: less than a pool has connections by default, so that the bot has some too.
const LOOKUPS: usize = 8;

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
    /// The greatest time that a write was given.
    pub latest: Arc<AtomicI64>,
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

/// A row of either table, as far as replaying is the same for both.
trait Spooled: Clone + Send + Sync + Sized + 'static {
    /// The row in the database.
    fn stored(&self, storage: &Storage) -> impl Future<Output = Result<Option<Self>>> + Send;
    /// Says how many rows were kept as they are, since they are newer.
    fn import(storage: &Storage, rows: &[Self]) -> impl Future<Output = Result<u64>> + Send;
    /// Whether a write of this would change nothing that its caller gave.
    fn says_the_same(&self, stored: &Self) -> bool;
    fn updated_at(&self) -> i64;
    /// The row as an upsert would leave it: it keeps when the row was made.
    fn over(self, stored: &Self, updated_at: i64) -> Self;
}

impl Spooled for MessageState {
    async fn stored(&self, storage: &Storage) -> Result<Option<Self>> {
        storage.get_message_state(&self.channel_id, self.thread_id.as_deref()).await
    }

    async fn import(storage: &Storage, rows: &[Self]) -> Result<u64> {
        storage.import_message_states(rows).await.map(|outcome| outcome.kept)
    }

    fn says_the_same(&self, stored: &Self) -> bool {
        self.last_message_id == stored.last_message_id && self.last_seen_timestamp == stored.last_seen_timestamp
    }

    fn updated_at(&self) -> i64 {
        self.updated_at
    }

    fn over(self, stored: &Self, updated_at: i64) -> Self {
        Self { created_at: stored.created_at, updated_at, ..self }
    }
}

impl Spooled for ThreadOwnership {
    async fn stored(&self, storage: &Storage) -> Result<Option<Self>> {
        storage.get_thread_ownership(&self.thread_id).await
    }

    async fn import(storage: &Storage, rows: &[Self]) -> Result<u64> {
        storage.import_thread_ownerships(rows).await.map(|outcome| outcome.kept)
    }

    fn says_the_same(&self, stored: &Self) -> bool {
        self.original_user_id == stored.original_user_id
            && self.created_by == stored.created_by
            && self.creation_time == stored.creation_time
    }

    fn updated_at(&self) -> i64 {
        self.updated_at
    }

    fn over(self, stored: &Self, updated_at: i64) -> Self {
        Self { created_at: stored.created_at, updated_at, ..self }
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
        // An age that makes the backend, which looks at the clock a little later, come to the same whole second.
        let half_a_second = 500_000_000;
        let now = i128::try_from(self.clock.now().as_nanos()).unwrap_or(i128::MAX);
        let age = now - i128::from(cutoff) * 1_000_000_000 - half_a_second;
        let age = std::time::Duration::from_nanos(u64::try_from(age.max(1)).unwrap_or(u64::MAX));
        self.storage.cleanup_old_thread_ownerships(age).await?;
        self.counts.add(1, 0);
        Ok(self.journal.remove(vec![sequence]).await?)
    }

    async fn put<R: Spooled>(&self, given: Rows<R>) -> Result<()> {
        if given.rows.is_empty() {
            return Ok(());
        }
        let written = self.beside_stored(given.rows).await?;
        let (mut rows, mut superseded) = (Rows::default(), Vec::new());
        for (sequence, row) in given.sequences.into_iter().zip(written) {
            match row {
                Some(row) => rows.push(sequence, row),
                None => superseded.push(sequence),
            }
        }
        self.counts.add(0, superseded.len() as u64);
        // What is written from now on is later, also than what got the next second.
        if let Some(latest) = rows.rows.iter().map(R::updated_at).max() {
            self.latest.fetch_max(latest, Ordering::Relaxed);
        }
        self.journal.remove(superseded).await?;
        match R::import(&self.storage, &rows.rows).await {
            Ok(kept) => {
                self.counts.add((rows.rows.len() as u64).saturating_sub(kept), kept);
                Ok(self.journal.remove(rows.sequences).await?)
            }
            Err(error) if is_of_a_row(&error) => self.put_one_by_one(rows).await,
            Err(error) => Err(error),
        }
    }

    /// Finds the row that the backend does not take, so that it does not hold up the others.
    async fn put_one_by_one<R: Spooled>(&self, rows: Rows<R>) -> Result<()> {
        for (sequence, row) in rows.sequences.into_iter().zip(rows.rows) {
            match R::import(&self.storage, std::slice::from_ref(&row)).await {
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

    /// Each row as it is to be written over the one that is stored; `None` where that is newer or says the same.
    ///
    /// Two writes of one second have equal times, of which an import keeps the stored one. But a write that was spooled
    /// was accepted after the one that reached the database, so it gets the next second.
    async fn beside_stored<R: Spooled>(&self, rows: Vec<R>) -> Result<Vec<Option<R>>> {
        let mut written: Vec<Option<R>> = vec![None; rows.len()];
        let mut rows = rows.into_iter().enumerate();
        let mut lookups: JoinSet<Result<(usize, Option<R>)>> = JoinSet::new();
        loop {
            while lookups.len() < LOOKUPS
                && let Some((place, row)) = rows.next()
            {
                let storage = self.storage.clone();
                lookups.spawn(async move {
                    let stored = row.stored(&storage).await?;
                    Ok((place, decide(row, stored)))
                });
            }
            match lookups.join_next().await {
                None => return Ok(written),
                Some(Ok(found)) => {
                    let (place, row) = found?;
                    written[place] = row;
                }
                Some(Err(_)) => return Err(Error::new(ErrorKind::Internal, "looking up a row of the spool failed")),
            }
        }
    }
}

fn decide<R: Spooled>(row: R, stored: Option<R>) -> Option<R> {
    let Some(stored) = stored else { return Some(row) };
    if stored.updated_at() > row.updated_at() || row.says_the_same(&stored) && stored.updated_at() == row.updated_at() {
        return None;
    }
    let updated_at = row.updated_at().max(stored.updated_at().saturating_add(1));
    Some(row.over(&stored, updated_at))
}

impl<R> Rows<R> {
    fn push(&mut self, sequence: i64, row: R) {
        self.sequences.push(sequence);
        self.rows.push(row);
    }
}

/// Whether an error comes from the row itself, so that trying the same again leads nowhere: the backend refuses it, or the
/// database does, with its code. A plugin that has trapped is tried again.
fn is_of_a_row(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::InvalidInput => true,
        ErrorKind::Internal => error.code().is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(decide(row("spooled", 5, 5), Some(row("stored", 1, 5))), Some(row("spooled", 1, 6)));
        assert_eq!(decide(row("same", 5, 5), Some(row("same", 1, 5))), None);
    }
}
