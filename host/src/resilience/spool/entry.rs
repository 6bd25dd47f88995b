//! What the spool keeps.

use sha2::{Digest, Sha256};

use crate::model::{MessageState, ThreadOwnership};

/// A write that waits for the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpooledWrite {
    /// An upsert of a state. `updated_at` is when it was accepted, `created_at` what a new row is to have.
    State(MessageState),
    /// An upsert of an ownership, likewise.
    Ownership(ThreadOwnership),
    /// A cleanup of ownerships with a `creation_time` before this, in seconds since the Unix epoch.
    Cleanup {
        /// Ownerships made before this go.
        cutoff: i64,
    },
}

/// A write in the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolEntry {
    /// Its number: a later write has a greater one.
    pub sequence: i64,
    /// When it was accepted, in seconds since the Unix epoch.
    pub accepted_at: i64,
    /// The write.
    pub write: SpooledWrite,
}

/// A write as a row of the journal.
pub(super) struct Columns<'a> {
    pub kind: i64,
    pub key: &'a str,
    pub thread: Option<&'a str>,
    pub first: &'a str,
    pub second: &'a str,
    pub time: i64,
    pub created_at: i64,
    pub updated_at: i64,
    pub accepted_at: i64,
}

const STATE: i64 = 0;
const OWNERSHIP: i64 = 1;
const CLEANUP: i64 = 2;

impl<'a> Columns<'a> {
    pub fn of(write: &'a SpooledWrite, accepted_at: i64) -> Self {
        match write {
            SpooledWrite::State(state) => Self {
                kind: STATE,
                key: &state.channel_id,
                thread: state.thread_id.as_deref(),
                first: &state.last_message_id,
                second: "",
                time: state.last_seen_timestamp,
                created_at: state.created_at,
                updated_at: state.updated_at,
                accepted_at,
            },
            SpooledWrite::Ownership(ownership) => Self {
                kind: OWNERSHIP,
                key: &ownership.thread_id,
                thread: None,
                first: &ownership.original_user_id,
                second: &ownership.created_by,
                time: ownership.creation_time,
                created_at: ownership.created_at,
                updated_at: ownership.updated_at,
                accepted_at,
            },
            SpooledWrite::Cleanup { cutoff } => Self {
                kind: CLEANUP,
                key: "",
                thread: None,
                first: "",
                second: "",
                time: *cutoff,
                created_at: 0,
                updated_at: 0,
                accepted_at,
            },
        }
    }

    /// `None` for a kind that this version does not know.
    pub fn write(&self) -> Option<SpooledWrite> {
        Some(match self.kind {
            STATE => SpooledWrite::State(MessageState {
                id: 0,
                channel_id: self.key.to_owned(),
                thread_id: self.thread.map(str::to_owned),
                last_message_id: self.first.to_owned(),
                last_seen_timestamp: self.time,
                created_at: self.created_at,
                updated_at: self.updated_at,
            }),
            OWNERSHIP => SpooledWrite::Ownership(ThreadOwnership {
                id: 0,
                thread_id: self.key.to_owned(),
                original_user_id: self.first.to_owned(),
                created_by: self.second.to_owned(),
                creation_time: self.time,
                created_at: self.created_at,
                updated_at: self.updated_at,
            }),
            CLEANUP => SpooledWrite::Cleanup { cutoff: self.time },
            _ => return None,
        })
    }

    /// The SHA-256 of all values: SQLite does not notice a byte of a text that the disk has changed.
    pub fn checksum(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let numbers = [self.kind, self.time, self.created_at, self.updated_at, self.accepted_at];
        numbers.iter().for_each(|number| hasher.update(number.to_le_bytes()));
        hasher.update([u8::from(self.thread.is_some())]);
        for text in [self.key, self.thread.unwrap_or_default(), self.first, self.second] {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
        hasher.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_becomes_a_row_and_a_write_again() {
        let state = MessageState { created_at: 3, updated_at: 4, ..MessageState::new("c", Some("t"), "m", -2) };
        let ownership = ThreadOwnership { created_at: 3, updated_at: 4, ..ThreadOwnership::new("t", "u", "b", 7) };
        for write in [
            SpooledWrite::State(state.clone()),
            SpooledWrite::State(MessageState { thread_id: None, ..state }),
            SpooledWrite::Ownership(ownership),
            SpooledWrite::Cleanup { cutoff: i64::MIN },
        ] {
            assert_eq!(Columns::of(&write, 1).write(), Some(write));
        }
    }

    #[test]
    fn every_value_counts_for_the_checksum() {
        let write = SpooledWrite::State(MessageState::new("ab", Some("c"), "d", 1));
        let of = |write: &SpooledWrite, at| Columns::of(write, at).checksum();
        let other = SpooledWrite::State(MessageState::new("a", Some("bc"), "d", 1));
        assert_ne!(of(&write, 1), of(&other, 1));
        assert_ne!(of(&write, 1), of(&write, 2));
        assert_eq!(of(&write, 1), of(&write.clone(), 1));
    }
}
