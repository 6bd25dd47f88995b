//! What backends say of a migration.

use super::packed::{MessageStateColumns, ThreadOwnershipColumns};
use super::{MessageKey, MessageState};

/// One of the two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// States of channels and threads.
    MessageStates,
    /// Threads that the bot created.
    ThreadOwnerships,
}

impl Table {
    /// Its name in databases.
    pub fn name(self) -> &'static str {
        match self {
            Self::MessageStates => "message_states",
            Self::ThreadOwnerships => "thread_ownerships",
        }
    }

    /// The names of a row's values in order, without the id.
    pub fn columns(self) -> [&'static str; 6] {
        match self {
            Self::MessageStates => {
                ["channel_id", "thread_id", "last_message_id", "last_seen_timestamp", "created_at", "updated_at"]
            }
            Self::ThreadOwnerships => {
                ["thread_id", "original_user_id", "created_by", "creation_time", "created_at", "updated_at"]
            }
        }
    }
}

/// What is in one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableOverview {
    /// All rows.
    pub rows: u64,
    /// The smallest `updated_at`, in seconds since the Unix epoch.
    pub oldest: Option<i64>,
    /// The greatest `updated_at`.
    pub newest: Option<i64>,
    /// Rows that give way to another one of the same key.
    pub duplicates: u64,
    /// Rows that break the rules of their types and cannot be moved.
    pub unfit: u64,
}

/// What is in a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// What the database says of where it is; empty where it cannot tell.
    pub identity: String,
    /// `None` where there is no table of a bot's.
    pub schema_version: Option<u32>,
    /// States.
    pub message_states: TableOverview,
    /// Ownerships.
    pub thread_ownerships: TableOverview,
    /// How many rows a page that is read should have.
    pub page_rows: u32,
    /// How many rows a page that is written should have.
    pub batch_rows: u32,
    /// How many pages should be written at a time.
    pub writes_at_a_time: u32,
    /// The newest run into this database that was not forgotten.
    pub last_run: Option<Run>,
    /// Whether there are tables in which runs are remembered, also such as remember none.
    pub remembers: bool,
}

impl Overview {
    /// The rows of both tables.
    pub fn rows(&self) -> u64 {
        self.message_states.rows + self.thread_ownerships.rows
    }
}

/// Where a run has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// States after this key come next.
    MessageStates(Option<MessageKey>),
    /// Ownerships after this thread come next; all states are through.
    ThreadOwnerships(Option<String>),
    /// Everything is through.
    End,
}

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// It is not at its end.
    Importing,
    /// It came to its end.
    Finished,
    /// A part of it was undone already.
    Undoing,
}

/// What became of the rows of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows that were offered to the destination.
    pub read: u64,
    /// Their key was new.
    pub inserted: u64,
    /// Their key was there with a smaller `updated_at`.
    pub replaced: u64,
    /// Their key was there with an equal or greater `updated_at`, and was left as it is.
    pub kept: u64,
    /// Rows of the source that gave way to another one of the same key.
    pub merged: u64,
    /// Rows of the source that cannot be moved.
    pub rejected: u64,
}

impl Tally {
    /// The rows of the source that are through.
    pub fn rows(&self) -> u64 {
        self.read + self.merged + self.rejected
    }
}

/// A run, as the destination remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Counted from 1.
    pub number: u32,
    /// What the source is called.
    pub source: String,
    /// What it is doing.
    pub state: RunState,
    /// When it began, in seconds since the Unix epoch.
    pub started_at: i64,
    /// Pages that were written.
    pub pages: u64,
    /// Where it has come to.
    pub position: Position,
    /// What became of its rows.
    pub tally: Tally,
    /// Whether it goes without indexes that only reads need, which are created before it ends.
    pub lacks_indexes: bool,
}

/// A row that cannot be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Where it is.
    pub table: Table,
    /// Its number there.
    pub id: i64,
    /// Why it cannot be moved.
    pub reason: String,
    /// Its values as text in the order of [`Table::columns`]; `None` for null.
    pub values: Vec<Option<String>>,
}

/// A row that a rollback did not touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Where it is.
    pub table: Table,
    /// Its key; an ownership's thread is `channel_id`.
    pub key: MessageKey,
    /// Whether somebody deleted it since; else somebody changed it.
    pub is_gone: bool,
}

/// What became of one page that was undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Undone {
    pub run: u32,
    pub removed: u64,
    pub restored: u64,
    pub left: Vec<Left>,
    pub more: bool,
}

/// Who may write a run into a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub owner: String,
    pub beats: u64,
}

/// What is written beside a page.
pub(crate) struct Progress<'a> {
    pub run: u32,
    pub page: u64,
    pub merged: u64,
    pub rejected: u64,
    pub next: &'a Position,
}

/// A page of states, packed as a backend returned it.
pub(crate) struct StatesPage {
    pub rows: MessageStateColumns,
    pub merged: Vec<MessageState>,
    pub rejects: Vec<Reject>,
    pub next: Option<MessageKey>,
}

/// A page of ownerships, packed as a backend returned it.
pub(crate) struct OwnershipsPage {
    pub rows: ThreadOwnershipColumns,
    pub rejects: Vec<Reject>,
    pub next: Option<String>,
}
