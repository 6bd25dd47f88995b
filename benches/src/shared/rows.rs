//! The rows in the tables, the order of the keys, and what the answers must be.
//!
//! Every time is a constant: a window or an age is reckoned from now to one of them when an operation begins.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use crate::model::{MessageState, ThreadOwnership};

/// Rows in each table. Half of the states have a thread.
pub const ROWS: u64 = 10_000;

/// States that were seen lately, one in 33.
pub const WINDOW_ROWS: u64 = 300;

/// Ownerships that a cleanup deletes.
pub const OLD_ROWS: u64 = 5;

/// When rows were written, and when most states were last seen.
const PAST: i64 = 1_700_000_000;

/// When the window begins, and how many seconds later the first state in it was seen: enough for the clock to move between
/// the caller and the statement.
const WINDOW_BEGINS: i64 = 1_750_000_000;
const WINDOW_MARGIN: i64 = 100;

/// When the threads were made that stay.
const THREADS_MADE: i64 = 1_760_000_000;

/// When the first of the threads was made that a cleanup deletes, and how many seconds lie between those of two
/// cleanups: enough for the clock to move between the caller and the statement.
const OLD: i64 = 1_000_000_000;
const OLD_STEP: u64 = 100;

/// Where the ids of old ownerships begin.
const OLD_IDS: u64 = 600_000_000_000_000_000;

/// Where the ids of new channels begin. Those of the table are less.
pub const NEW_CHANNELS: u64 = 200_000_000_000_000_000;

/// A place in the table for a number, in an order that is neither the key's nor the file's. All places come before
/// one comes again: 7,919 is prime.
pub fn scattered(number: u64) -> u64 {
    number * 7_919 % ROWS
}

/// Whole seconds since 1970, as a backend takes them for `updated_at`.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs().cast_signed())
}

/// The time that lies `age` before now, in whole seconds since 1970.
pub fn before_now(age: Duration) -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.saturating_sub(age).as_secs().cast_signed())
}

fn age_of(time: i64) -> Duration {
    Duration::from_secs(now().saturating_sub(time).unsigned_abs())
}

/// The window that holds [`WINDOW_ROWS`] states.
pub fn window() -> Duration {
    age_of(WINDOW_BEGINS)
}

/// The age for the cleanup at this place among those that are run together.
pub fn max_age(place: u64) -> Duration {
    age_of(OLD + (place * OLD_STEP + OLD_STEP / 2).cast_signed())
}

/// The rows that the cleanups with these indices delete.
pub fn old_ownerships(indices: std::ops::Range<u64>) -> impl Iterator<Item = ThreadOwnership> {
    let first = indices.start;
    indices.flat_map(move |index| {
        (0..OLD_ROWS).map(move |row| {
            let creation_time = OLD + ((index - first) * OLD_STEP).cast_signed();
            ThreadOwnership {
                id: 0,
                thread_id: (OLD_IDS + index * OLD_ROWS + row).to_string(),
                original_user_id: user(row, 0),
                created_by: bot(),
                creation_time,
                created_at: PAST,
                updated_at: PAST,
            }
        })
    })
}

/// An id of a message that tells its row, and which write it came with.
fn message(row: u64, write: u64) -> String {
    format!("9{row:07}{write:011}")
}

fn user(row: u64, write: u64) -> String {
    format!("4{row:07}{write:011}")
}

/// What comes before the number of the write in the ids of messages and users.
pub const ROW_DIGITS: usize = 8;

fn bot() -> String {
    "500000000000000001".to_owned()
}

/// What the tables hold at first.
pub struct Rows {
    states: Vec<MessageState>,
    ownerships: Vec<ThreadOwnership>,
    /// The rows of the states, newest first.
    newest: Vec<usize>,
}

impl Rows {
    /// Makes them, so that no time is spent on keys while operations are measured.
    pub fn new() -> Self {
        let states: Vec<_> = (0..ROWS).map(state).collect();
        let mut newest: Vec<_> = (0..states.len()).collect();
        newest.sort_by_key(|&row| std::cmp::Reverse(states[row].last_seen_timestamp));
        Self { states, ownerships: (0..ROWS).map(ownership).collect(), newest }
    }

    /// Sorts a list that the database left in any order, and checks it as [`check_list`](Self::check_list).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn sort_list(&self, mut found: Vec<MessageState>, length: u64) -> Result<u64> {
        found.sort_unstable_by(|a, b| {
            let newest = b.last_seen_timestamp.cmp(&a.last_seen_timestamp);
            newest.then_with(|| (&a.channel_id, &a.thread_id).cmp(&(&b.channel_id, &b.thread_id)))
        });
        self.check_list(&found, length)
    }

    /// The states, in the order of their keys.
    pub fn states(&self) -> &[MessageState] {
        &self.states
    }

    /// The ownerships, in the order of their keys.
    pub fn ownerships(&self) -> &[ThreadOwnership] {
        &self.ownerships
    }

    /// The state whose key belongs to an index. Only an upsert with this index knows the last message.
    pub fn state(&self, index: u64) -> &MessageState {
        &self.states[scattered(index) as usize]
    }

    /// The ownership whose key belongs to an index.
    pub fn ownership(&self, index: u64) -> &ThreadOwnership {
        &self.ownerships[scattered(index) as usize]
    }

    /// A write to a state that is there. Every write changes the row.
    pub fn existing(&self, index: u64) -> MessageState {
        let state = self.state(index);
        MessageState {
            id: 0,
            channel_id: state.channel_id.clone(),
            thread_id: state.thread_id.clone(),
            last_message_id: message(scattered(index), index + 1),
            created_at: 0,
            updated_at: 0,
            last_seen_timestamp: state.last_seen_timestamp,
        }
    }

    /// A write to an ownership that is there. Every write changes the row.
    pub fn existing_ownership(&self, index: u64) -> ThreadOwnership {
        let ownership = self.ownership(index);
        ThreadOwnership {
            id: 0,
            thread_id: ownership.thread_id.clone(),
            original_user_id: user(scattered(index), index + 1),
            created_by: ownership.created_by.clone(),
            creation_time: ownership.creation_time,
            created_at: 0,
            updated_at: 0,
        }
    }

    /// Whether a state that was read is the one that belongs to an index, whichever write came last.
    ///
    /// # Errors
    ///
    /// It is not.
    pub fn check_state(&self, index: u64, found: Option<MessageState>) -> Result<u64> {
        let (found, expected) = (found.context("a state is not there")?, self.state(index));
        same_state(&found, expected)?;
        ensure!(found.id > 0 && found.updated_at >= expected.updated_at, "a state has other numbers");
        Ok(1)
    }

    /// Whether an ownership that was read is the one that belongs to an index, whichever write came last.
    ///
    /// # Errors
    ///
    /// It is not.
    pub fn check_ownership(&self, index: u64, found: Option<ThreadOwnership>) -> Result<u64> {
        let (found, expected) = (found.context("an ownership is not there")?, self.ownership(index));
        ensure!(
            found.thread_id == expected.thread_id
                && found.original_user_id.get(..ROW_DIGITS) == expected.original_user_id.get(..ROW_DIGITS)
                && found.created_by == expected.created_by
                && found.creation_time == expected.creation_time
                && found.created_at == expected.created_at,
            "another ownership was found"
        );
        ensure!(found.id > 0 && found.updated_at >= expected.updated_at, "an ownership has other numbers");
        Ok(1)
    }

    /// Whether a list has all of its states, the newest first, and the right ones at its ends.
    ///
    /// # Errors
    ///
    /// It has not.
    pub fn check_list(&self, found: &[MessageState], length: u64) -> Result<u64> {
        ensure!(found.len() as u64 == length, "a list has {} states instead of {length}", found.len());
        for place in [0, found.len() - 1] {
            same_state(&found[place], &self.states[self.newest[place]])?;
        }
        Ok(length)
    }
}

impl Default for Rows {
    fn default() -> Self {
        Self::new()
    }
}

fn same_state(found: &MessageState, expected: &MessageState) -> Result<()> {
    ensure!(
        found.channel_id == expected.channel_id
            && found.thread_id == expected.thread_id
            && found.last_message_id.get(..ROW_DIGITS) == expected.last_message_id.get(..ROW_DIGITS)
            && found.last_seen_timestamp == expected.last_seen_timestamp
            && found.created_at == expected.created_at,
        "another state was found"
    );
    Ok(())
}

/// A write to a state that is not there yet.
pub fn new_state(index: u64) -> MessageState {
    let channel_id = (NEW_CHANNELS + index).to_string();
    MessageState {
        id: 0,
        thread_id: (index % 2 == 1).then(|| channel_id.clone()),
        channel_id,
        last_message_id: message(0, index + 1),
        last_seen_timestamp: PAST,
        created_at: 0,
        updated_at: 0,
    }
}

fn state(row: u64) -> MessageState {
    let channel_id = (100_000_000_000_000_000 + row).to_string();
    let is_recent = row.is_multiple_of(33) && row / 33 < WINDOW_ROWS;
    MessageState {
        id: 0,
        thread_id: (row % 2 == 1).then(|| channel_id.clone()),
        channel_id,
        last_message_id: message(row, 0),
        last_seen_timestamp: scattered(row).cast_signed()
            + if is_recent { WINDOW_BEGINS + WINDOW_MARGIN } else { PAST },
        created_at: PAST,
        updated_at: PAST,
    }
}

fn ownership(row: u64) -> ThreadOwnership {
    ThreadOwnership {
        id: 0,
        thread_id: (300_000_000_000_000_000 + row).to_string(),
        original_user_id: user(row, 0),
        created_by: bot(),
        creation_time: THREADS_MADE + scattered(row).cast_signed(),
        created_at: PAST,
        updated_at: PAST,
    }
}
