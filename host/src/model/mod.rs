//! The rows that a bot stores.

mod backend;
pub(crate) mod migration;
mod operation;
pub(crate) mod packed;

pub use self::backend::{Description, Discards, Limits};
pub use self::operation::Operation;
use crate::error::{Error, ErrorKind, Result};

/// The greatest number of characters in a channel, thread, message or user id.
pub const MAX_ID_CHARACTERS: usize = 255;

/// The last message that the bot processed in one channel or thread.
///
/// Identified by `channel_id` and `thread_id` together; no thread is one key of its own. Ids are 1 to
/// [`MAX_ID_CHARACTERS`] characters without NUL and compare byte for byte. Timestamps are whole seconds since
/// the Unix epoch, UTC.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageState {
    /// The row's number in its database. Ignored when writing.
    pub id: i64,
    /// The channel, or the thread itself for a message in a thread.
    pub channel_id: String,
    /// The thread, if any. `Some("")` is invalid.
    pub thread_id: Option<String>,
    /// The message that was processed last.
    pub last_message_id: String,
    /// When it was processed.
    pub last_seen_timestamp: i64,
    /// When the row was first written. 0 in an upsert means now.
    pub created_at: i64,
    /// When the row was last written. Ignored by an upsert.
    pub updated_at: i64,
}

impl MessageState {
    /// A state to upsert: `id`, `created_at` and `updated_at` are left to the storage.
    pub fn new(
        channel_id: impl Into<String>,
        thread_id: Option<&str>,
        last_message_id: impl Into<String>,
        last_seen_timestamp: i64,
    ) -> Self {
        Self {
            id: 0,
            channel_id: channel_id.into(),
            thread_id: thread_id.map(Into::into),
            last_message_id: last_message_id.into(),
            last_seen_timestamp,
            created_at: 0,
            updated_at: 0,
        }
    }

    /// Checks the rules of the ids.
    pub(crate) fn validate(&self) -> Result<()> {
        validate_id("channel-id", &self.channel_id)?;
        self.thread_id.as_deref().map_or(Ok(()), |thread_id| validate_id("thread-id", thread_id))?;
        validate_id("last-message-id", &self.last_message_id)
    }
}

/// Checks an id: 1 to [`MAX_ID_CHARACTERS`] characters, no NUL. Backends do the same, in the same words; this is for
/// writes that do not reach one. The error names the field and not its value.
fn validate_id(field: &str, value: &str) -> Result<()> {
    let problem = if value.is_empty() {
        "is empty".to_owned()
    } else if value.len() > MAX_ID_CHARACTERS && value.chars().count() > MAX_ID_CHARACTERS {
        format!("has {} characters", value.chars().count())
    } else if value.as_bytes().contains(&0) {
        "contains a NUL character".to_owned()
    } else {
        return Ok(());
    };
    let message = format!("{field} {problem}: give 1 to {MAX_ID_CHARACTERS} characters without NUL");
    Err(Error::new(ErrorKind::InvalidInput, message))
}

/// A thread that the bot created and answers in without being mentioned. Identified by `thread_id`.
///
/// Ids and timestamps are as in [`MessageState`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ThreadOwnership {
    /// The row's number in its database. Ignored when writing.
    pub id: i64,
    /// The thread.
    pub thread_id: String,
    /// The user for whom the thread was created.
    pub original_user_id: String,
    /// The bot's own user id.
    pub created_by: String,
    /// When the thread was created.
    pub creation_time: i64,
    /// When the row was first written. Ignored by an upsert.
    pub created_at: i64,
    /// When the row was last written. Ignored by an upsert.
    pub updated_at: i64,
}

impl ThreadOwnership {
    /// An ownership to upsert: `id`, `created_at` and `updated_at` are left to the storage.
    pub fn new(
        thread_id: impl Into<String>,
        original_user_id: impl Into<String>,
        created_by: impl Into<String>,
        creation_time: i64,
    ) -> Self {
        Self {
            id: 0,
            thread_id: thread_id.into(),
            original_user_id: original_user_id.into(),
            created_by: created_by.into(),
            creation_time,
            created_at: 0,
            updated_at: 0,
        }
    }

    /// Checks the rules of the ids.
    pub(crate) fn validate(&self) -> Result<()> {
        validate_id("thread-id", &self.thread_id)?;
        validate_id("original-user-id", &self.original_user_id)?;
        validate_id("created-by", &self.created_by)
    }
}

/// The key of a message state, where a page of an export ended. Ordered as pages are: bytewise, and no thread first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKey {
    /// The channel.
    pub channel_id: String,
    /// The thread, if any.
    pub thread_id: Option<String>,
}

/// Which row wins in an import if both have the same `updated_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnEqual {
    /// The stored row: the imported one is at best as new.
    Keep,
    /// The imported row: it is known to be the later one.
    Replace,
}

/// What became of the rows of one import. The three add up to the rows given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOutcome {
    /// The key was new.
    pub inserted: u64,
    /// The key was there with a smaller `updated_at`, or with an equal one that was to be replaced.
    pub replaced: u64,
    /// The key was there with a greater `updated_at`, or with an equal one that was to be kept, and was left as it is.
    pub kept: u64,
}

/// How many rows there are, and how new they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// States.
    pub message_states: u64,
    /// Ownerships.
    pub thread_ownerships: u64,
    /// The greatest `updated_at` of either: what nobody writes keeps it.
    pub newest: Option<i64>,
}

/// The outcome of an acknowledged write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Written<T = ()> {
    /// The database has acknowledged it, with this answer.
    Stored(T),
    /// The database is unavailable: the write is durable in the spool, survives the end of this process, and is replayed
    /// when the database is back. Reads of this process already see it.
    Spooled,
}

impl<T> Written<T> {
    /// What the database answered; `None` while the write waits in the spool.
    pub fn stored(self) -> Option<T> {
        match self {
            Self::Stored(answer) => Some(answer),
            Self::Spooled => None,
        }
    }

    /// Whether the write waits in the spool.
    pub fn is_spooled(&self) -> bool {
        matches!(self, Self::Spooled)
    }
}
