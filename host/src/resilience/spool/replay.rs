//! Putting the spool's writes into the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::entry::{SpoolEntry, SpooledWrite};
use super::journal::Journal;
use super::times::{Times, is_future};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::resilience::row::{Row, look_up, may_be_of_a_row};
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
    /// The time that is noted as that of the last write, in seconds since the Unix epoch.
    pub latest: Arc<AtomicI64>,
}

/// How many rows are refused in a row before it is asked whether any row goes through.
const SUSPECTS: usize = 8;

/// How many rows are tried as a witness, of those that wait and of those that are stored.
const CANDIDATES: usize = 8;

/// How long a stored row must have rested, in seconds, to be written again as it is: a write that comes in between then has a
/// later time.
const RESTED: i64 = 60;

/// A write on its way to the database.
#[derive(Clone)]
struct Item<R> {
    sequence: i64,
    row: R,
    /// Whether it is written over what is there whatever its time is.
    over: bool,
    /// The number that the spool gave next when this was the last write of its row.
    next: i64,
}

impl Replay {
    /// Puts the oldest writes into the database and takes them out of the spool. `false` where there are none.
    ///
    /// # Errors
    ///
    /// The database is away, or refuses writes for now: what is not in it is still in the spool.
    pub async fn next(&self) -> Result<bool> {
        let next = self.journal.next();
        let batch = self.journal.view().oldest_writes(BATCH);
        let found = !batch.is_empty();
        let (mut states, mut ownerships) = (Vec::new(), Vec::new());
        for SpoolEntry { sequence, write, .. } in batch {
            match write {
                SpooledWrite::State(state) => states.push((sequence, state)),
                SpooledWrite::Ownership(ownership) => ownerships.push((sequence, ownership)),
                SpooledWrite::Cleanup { cutoff } => self.clean_up(sequence, cutoff).await?,
            }
        }
        match self.put(states, next).await {
            // What one table refuses the other may take.
            Err(error) if may_be_of_a_row(&error) => self.put(ownerships, next).await.and(Err(error)),
            Err(error) => Err(error),
            Ok(()) => self.put(ownerships, next).await.map(|()| found),
        }
    }

    async fn clean_up(&self, sequence: i64, cutoff: i64) -> Result<()> {
        let age = age_until(cutoff, self.clock.now());
        self.storage.cleanup_old_thread_ownerships(age).await?;
        self.counts.add(1, 0);
        Ok(self.journal.remove(vec![sequence]).await?)
    }

    fn now(&self) -> i64 {
        i64::try_from(self.clock.now().as_secs()).unwrap_or(i64::MAX)
    }

    /// What is to be done with a write whose row is stored like this: nothing where that one is later or says the same.
    fn item<R: Row>(&self, sequence: i64, row: R, stored: Option<R>, next: i64) -> Option<Item<R>> {
        let now = self.now();
        let keeps_its_time = !is_future(row.updated_at(), now);
        let (row, over) = decide(row, sequence, stored, self.journal.times(), now)?;
        if over || !keeps_its_time {
            self.note_time(now, next);
        }
        Some(Item { sequence, row, over, next })
    }

    /// Notes that a row is given the clock's time now. The next write of the bot notes its own again.
    fn note_time(&self, now: i64, first: i64) {
        self.journal.times().replay(now, self.journal.next(), first);
        self.latest.store(i64::MIN, Ordering::Relaxed);
    }

    async fn put<R: Row>(&self, given: Vec<(i64, R)>, next: i64) -> Result<()> {
        if given.is_empty() {
            return Ok(());
        }
        let (sequences, rows): (Vec<i64>, Vec<R>) = given.into_iter().unzip();
        let stored = look_up(&self.storage, &rows).await?;
        let (mut items, mut superseded) = (Vec::new(), Vec::new());
        for ((sequence, row), stored) in sequences.into_iter().zip(rows).zip(stored) {
            match self.item(sequence, row, stored, next) {
                Some(item) => items.push(item),
                None => superseded.push(sequence),
            }
        }
        self.counts.add(0, superseded.len() as u64);
        self.journal.remove(superseded).await?;
        if items.iter().any(|item| item.over) {
            return self.put_one_by_one(items).await;
        }
        let rows: Vec<R> = items.iter().map(|item| item.row.clone()).collect();
        match R::import(&*self.storage, &rows).await {
            Ok(kept) => {
                self.counts.add((rows.len() as u64).saturating_sub(kept), kept);
                Ok(self.journal.remove(items.into_iter().map(|item| item.sequence).collect()).await?)
            }
            Err(error) if may_be_of_a_row(&error) => self.put_one_by_one(items).await,
            Err(error) => Err(error),
        }
    }

    /// Writes one row. `false` where a newer one was there.
    async fn write<R: Row>(&self, item: &Item<R>) -> Result<bool> {
        match item.over {
            true => {
                let result = item.row.upsert(&*self.storage).await;
                // That may have taken long, and have been stored though it failed.
                self.note_time(self.now(), item.next);
                result.map(|()| true)
            }
            false => R::import(&*self.storage, std::slice::from_ref(&item.row)).await.map(|kept| kept == 0),
        }
    }

    /// Takes a write out of the spool that is in the database, or has a newer row there.
    async fn left(&self, sequence: i64, is_stored: bool) -> Result<()> {
        self.counts.add(is_stored.into(), (!is_stored).into());
        Ok(self.journal.remove(vec![sequence]).await?)
    }

    /// Finds the rows that are not taken, so that they do not hold up the others. One is put aside only where another goes
    /// through before and after it: otherwise the reason is one that holds for all, and nobody's write may go for it.
    async fn put_one_by_one<R: Row>(&self, items: Vec<Item<R>>) -> Result<()> {
        let mut suspects: Vec<(Item<R>, Error)> = Vec::new();
        // In the database, and still in the spool: what comes meanwhile to its row queues up there.
        let mut witness = None;
        for item in items {
            match self.write(&item).await {
                Ok(true) if witness.is_none() => witness = Some(item),
                Ok(is_stored) => self.left(item.sequence, is_stored).await?,
                Err(error) if may_be_of_a_row(&error) => {
                    suspects.push((item, error));
                    if suspects.len() == SUSPECTS && witness.is_none() {
                        witness = Some(self.witness(&suspects).await?);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        let witness = match witness {
            Some(witness) => witness,
            None if suspects.is_empty() => return Ok(()),
            None => self.witness(&suspects).await?,
        };
        let mut refused = Vec::new();
        for (item, _) in suspects {
            match self.write(&item).await {
                Ok(is_stored) => self.left(item.sequence, is_stored).await?,
                Err(error) if may_be_of_a_row(&error) => refused.push((item, error)),
                Err(error) => return Err(error),
            }
        }
        if let Some((_, error)) = refused.first()
            && !matches!(self.write(&witness).await, Ok(true))
        {
            return Err(unproven(error, refused.len()));
        }
        for (item, error) in refused {
            let sequence = item.sequence;
            tracing::error!(sequence, %error, "the database refuses a write of the spool and stores others: that \
                write is set aside");
            self.journal.reject(sequence, error.to_string()).await?;
        }
        match witness.sequence {
            STORED => Ok(()),
            sequence => self.left(sequence, true).await,
        }
    }

    /// Another row of the same table that goes through: one that waits too, or one that is stored, as it is.
    async fn witness<R: Row>(&self, suspects: &[(Item<R>, Error)]) -> Result<Item<R>> {
        let is_suspect = |row: &R| suspects.iter().any(|(suspect, _)| suspect.row.is_same(row));
        let next = self.journal.next();
        let waiting: Vec<(i64, R)> = {
            let view = self.journal.view();
            let row = |entry: &SpoolEntry| Some((entry.sequence, R::of(&entry.write)?.clone()));
            let rows = view.movable().filter_map(row).filter(|(_, row)| !is_suspect(row));
            // All that was accepted at one time may be at fault: the newest first.
            rows.rev().take(CANDIDATES).collect()
        };
        for (sequence, row) in waiting {
            let stored = row.stored(&*self.storage).await?;
            let Some(item) = self.item(sequence, row, stored, next) else { continue };
            match self.write(&item).await {
                Ok(true) => return Ok(item),
                Err(error) if !may_be_of_a_row(&error) => return Err(error),
                _ => {}
            }
        }
        let rested = |row: &R| row.updated_at() < self.now() - RESTED;
        let stored = R::some(&self.storage, 100).await?.into_iter();
        let is_free = |row: &R| rested(row) && !is_suspect(row) && !self.journal.precedes(&row.write());
        for row in stored.filter(is_free).take(CANDIDATES) {
            let item = Item { sequence: STORED, row, over: false, next };
            match self.write(&item).await {
                Ok(true) => return Ok(item),
                Err(error) if !may_be_of_a_row(&error) => return Err(error),
                _ => {}
            }
        }
        let error = suspects.last().map(|(_, error)| error.clone());
        Err(error.map_or_else(stopped, |error| unproven(&error, suspects.len())))
    }
}

/// Stands for the number of a row that does not wait in the spool.
const STORED: i64 = 0;

fn stopped() -> Error {
    Error::new(ErrorKind::Internal, "a witness was looked for without a reason")
}

/// Why replay pauses: nothing shows that the rows are the reason.
fn unproven(error: &Error, rows: usize) -> Error {
    let message = format!(
        "{}; the database accepts no other row at the moment either, so replay is paused: {rows} or more writes wait \
         in the spool until it accepts one",
        error.message()
    );
    let unproven = Error::new(error.kind(), message);
    match error.code() {
        Some(code) => unproven.with_code(code),
        None => unproven,
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

/// How a row is to be written over the one that is stored, and whether that is done whatever its time is; `None` where the
/// stored one is later or says the same. `now` is the clock's time.
fn decide<R: Row>(row: R, sequence: i64, stored: Option<R>, times: &Times, now: i64) -> Option<(R, bool)> {
    // Accepted while the clock was ahead: not earlier than anything that is there, and not later than now.
    let updated_at = if is_future(row.updated_at(), now) { now } else { row.updated_at() };
    let Some(stored) = stored else { return Some((row.at(updated_at), false)) };
    let before = stored.updated_at();
    if before <= updated_at {
        let is_there = before == row.updated_at() && row.says_the_same(&stored);
        return (!is_there).then(|| (row.over(&stored, updated_at), false));
    }
    if is_future(before, now) {
        // That time says nothing, and would be the greatest for ever. An import does not replace it.
        return Some((row, true));
    }
    // By its own time another write of this second is not replaced by it, but that of this row is.
    times.was_before(before, sequence, row.updated_at()).then(|| (row.over(&stored, before), false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MessageState;

    const NOW: i64 = 1_790_000_000;
    const YEAR_2099: i64 = 4_070_908_800;

    fn row(message: &str, created_at: i64, updated_at: i64) -> MessageState {
        MessageState { created_at, updated_at, ..MessageState::new("c", None, message, 1) }
    }

    fn decide_now(row: MessageState, stored: Option<MessageState>) -> Option<(MessageState, bool)> {
        let times = Times::noted(None);
        times.give(NOW, 1);
        decide(row, 1, stored, &times, NOW)
    }

    #[test]
    fn a_newer_row_stays_and_an_older_one_gives_way_but_for_when_it_was_made() {
        assert_eq!(decide_now(row("spooled", 5, NOW), None), Some((row("spooled", 5, NOW), false)));
        assert_eq!(decide_now(row("spooled", 5, NOW), Some(row("stored", 1, NOW + 1))), None);
        let over = Some((row("spooled", 1, NOW), false));
        assert_eq!(decide_now(row("spooled", 5, NOW), Some(row("stored", 1, NOW - 1))), over);
    }

    #[test]
    fn of_one_second_the_spooled_write_is_the_later_one() {
        let over = Some((row("spooled", 1, NOW), false));
        assert_eq!(decide_now(row("spooled", 5, NOW), Some(row("stored", 1, NOW))), over);
        assert_eq!(decide_now(row("same", 5, NOW), Some(row("same", 1, NOW))), None);
    }

    #[test]
    fn a_row_from_the_future_gives_way_and_no_write_from_there_goes_over() {
        let over = Some((row("spooled", 5, NOW), true));
        assert_eq!(decide_now(row("spooled", 5, NOW), Some(row("stored", 1, YEAR_2099))), over);
        let back = Some((row("spooled", 1, NOW), false));
        assert_eq!(decide_now(row("spooled", 5, YEAR_2099), Some(row("stored", 1, NOW - 9))), back);
    }

    #[test]
    fn a_write_accepted_in_1970_goes_over_what_this_host_wrote_before_and_not_over_what_came_after() {
        let times = Times::noted(None);
        times.give(NOW, 1);
        times.give(77, 2);
        let decide = |stored| decide(row("spooled", 5, 77), 2, Some(row("stored", 1, stored)), &times, NOW + 5000);
        assert_eq!(decide(NOW), Some((row("spooled", 1, NOW), false)));
        assert_eq!(decide(NOW + 4000), None);
    }
}
