//! The rows that are read and written, and what a right answer is.
//!
//! Every write has a number, which is in the row that it writes. A row must hold a write that was made, whole, and none
//! that was overwritten before the read began.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cofferdam::MessageState;

/// Of the size that Discord's ids have.
const FIRST_CHANNEL: u64 = 1_300_000_000_000_000_000;
/// A message's id is this, the number of the write and the row, so that it has 19 digits like Discord's.
const MESSAGES: u64 = 1 << 62;
const ROW_BITS: u32 = 20;
/// When the rows as they are before the first write were seen.
const FIRST_SEEN: i64 = 1_700_000_000;

/// The most rows there can be.
pub const MOST_ROWS: u64 = 1 << ROW_BITS;

/// One plugin's rows.
pub struct Rows {
    rows: Vec<Mutex<Row>>,
    writes: AtomicU64,
}

/// What is known of a row. Writes that overlap in time form a group: any of them may be the last.
#[derive(Default)]
struct Row {
    /// Every write with a smaller number has been overwritten.
    oldest: u64,
    in_flight: u32,
    /// The first write of the group that is in flight.
    group: u64,
    /// A write failed, and may still take effect at any time.
    is_unknown: bool,
}

impl Rows {
    pub fn new(count: usize) -> Self {
        Self { rows: std::iter::repeat_with(Mutex::default).take(count).collect(), writes: AtomicU64::new(0) }
    }

    pub fn count(&self) -> usize {
        self.rows.len()
    }

    fn row(&self, row: usize) -> MutexGuard<'_, Row> {
        self.rows[row].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row as this write leaves it; write 0 is how it is in the beginning. Every other row has a thread.
    pub fn state(row: usize, write: u64) -> MessageState {
        let channel = (FIRST_CHANNEL + row as u64).to_string();
        let thread = (row % 2 == 1).then(|| channel.clone());
        let message = MESSAGES + (write << ROW_BITS) + row as u64;
        MessageState::new(channel, thread.as_deref(), message.to_string(), FIRST_SEEN + write as i64)
    }

    /// The row with this key, if there can be one.
    pub fn row_of(&self, state: &MessageState) -> Option<usize> {
        let row = state.channel_id.parse::<u64>().ok()?.checked_sub(FIRST_CHANNEL)?;
        usize::try_from(row).ok().filter(|row| *row < self.count())
    }

    /// What a read that begins now must not be older than.
    pub fn oldest(&self, row: usize) -> u64 {
        self.row(row).oldest
    }

    /// Begins a write and gives its number.
    pub fn begin_write(&self, row: usize) -> u64 {
        let mut row = self.row(row);
        let write = self.writes.fetch_add(1, Ordering::Relaxed) + 1;
        if row.in_flight == 0 {
            row.group = write;
        }
        row.in_flight += 1;
        write
    }

    /// Ends a write.
    pub fn end_write(&self, row: usize, succeeded: bool) {
        let mut row = self.row(row);
        row.in_flight -= 1;
        row.is_unknown |= !succeeded;
        if row.in_flight == 0 && !row.is_unknown {
            row.oldest = row.group;
        }
    }

    /// Whether this is what a read of the row may find, given what [`oldest`](Self::oldest) was when it began; if not,
    /// what is wrong.
    pub fn check(&self, row: usize, found: Option<&MessageState>, oldest: u64) -> Result<(), &'static str> {
        let found = found.ok_or("wrong answer: a row was not found")?;
        let message = found.last_message_id.parse::<u64>().ok().and_then(|message| message.checked_sub(MESSAGES));
        let Some(message) = message else { return Err("wrong answer: a row holds values that were never written") };
        let (write, of) = (message >> ROW_BITS, message % MOST_ROWS);
        let expected = Self::state(row, write);
        if (&found.channel_id, &found.thread_id) != (&expected.channel_id, &expected.thread_id) || of != row as u64 {
            return Err("wrong answer: another row was found");
        }
        if found.last_seen_timestamp != expected.last_seen_timestamp {
            return Err("wrong answer: a row holds parts of two writes");
        }
        if write > self.writes.load(Ordering::Relaxed) {
            return Err("wrong answer: a row holds values that were never written");
        }
        if write < oldest {
            return Err("wrong answer: a row holds what was overwritten before");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rows: &Rows, row: usize, write: u64) -> Result<(), &'static str> {
        rows.check(row, Some(&Rows::state(row, write)), rows.oldest(row))
    }

    #[test]
    fn a_finished_write_makes_all_before_it_wrong() {
        let rows = Rows::new(4);
        assert_eq!(check(&rows, 1, 0), Ok(()));
        let first = rows.begin_write(1);
        assert_eq!((check(&rows, 1, 0), check(&rows, 1, first)), (Ok(()), Ok(())));
        rows.end_write(1, true);
        assert!(check(&rows, 1, 0).is_err());
        assert_eq!((check(&rows, 1, first), check(&rows, 2, 0)), (Ok(()), Ok(())));
    }

    #[test]
    fn of_writes_that_overlap_any_may_be_the_last() {
        let rows = Rows::new(1);
        let (first, second) = (rows.begin_write(0), rows.begin_write(0));
        rows.end_write(0, true);
        let third = rows.begin_write(0);
        rows.end_write(0, true);
        rows.end_write(0, true);
        assert!(check(&rows, 0, 0).is_err());
        for write in [first, second, third] {
            assert_eq!(check(&rows, 0, write), Ok(()));
        }
    }

    #[test]
    fn a_write_that_failed_may_take_effect_later() {
        let rows = Rows::new(1);
        let failed = rows.begin_write(0);
        rows.end_write(0, false);
        let write = rows.begin_write(0);
        rows.end_write(0, true);
        assert_eq!((check(&rows, 0, failed), check(&rows, 0, write)), (Ok(()), Ok(())));
    }

    #[test]
    fn what_was_not_written_is_wrong() {
        let rows = Rows::new(2);
        assert!(rows.check(0, None, 0).is_err());
        assert!(check(&rows, 0, 1).is_err(), "a write to come");
        assert!(rows.check(0, Some(&Rows::state(1, 0)), 0).is_err(), "another row");
        let parts = MessageState { last_seen_timestamp: 0, ..Rows::state(0, 0) };
        assert!(rows.check(0, Some(&parts), 0).is_err());
        let message = MessageState { last_message_id: "m".into(), ..Rows::state(0, 0) };
        assert!(rows.check(0, Some(&message), 0).is_err());
    }
}
