//! Writing states and ownerships: at once if the database takes them, in the background until it does if not.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cofferdam::{Error, MessageState, StorageService, ThreadOwnership};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::figures::Figures;
use crate::ids::{ChannelId, MessageId, UserId};
use crate::journal::Journal;

/// The pause between attempts while the database is away. The storage fails at once then, without asking it.
const PAUSE: Duration = Duration::from_millis(500);

/// A row to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Row {
    /// The last message of a channel that was dealt with.
    State { channel: ChannelId, in_thread: bool, message: MessageId, seen: i64 },
    /// A thread that the bot has made for a user.
    Ownership { thread: ChannelId, author: UserId, made: i64 },
}

/// Rows with the same key replace each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    State(ChannelId),
    Ownership(ChannelId),
}

impl Row {
    fn key(&self) -> Key {
        match self {
            Self::State { channel, .. } => Key::State(*channel),
            Self::Ownership { thread, .. } => Key::Ownership(*thread),
        }
    }
}

#[derive(Debug, Default)]
struct Rows {
    /// The newest of each key that is not written yet.
    waiting: HashMap<Key, Row>,
    /// Those that somebody is writing.
    busy: HashSet<Key>,
}

/// Writes rows. Each has one writer at a time, so that an older one never comes after a newer.
pub struct Recorder {
    storage: Arc<dyn StorageService>,
    journal: Arc<Journal>,
    figures: Arc<Figures>,
    me: UserId,
    rows: Mutex<Rows>,
}

impl Recorder {
    /// Writes into this storage; what is there is removed from the journal.
    pub fn new(storage: Arc<dyn StorageService>, journal: Arc<Journal>, figures: Arc<Figures>, me: UserId) -> Self {
        Self { storage, journal, figures, me, rows: Mutex::default() }
    }

    /// Records that a message has been dealt with. Comes back when it is written, or the database is known to be away; the
    /// journal knows of it in the meantime.
    pub async fn state(&self, channel: ChannelId, in_thread: bool, message: MessageId) {
        self.record(Row::State { channel, in_thread, message, seen: clock::local_ms() / 1000 }).await;
    }

    /// Records that the bot has made a thread for a user.
    pub async fn ownership(&self, thread: ChannelId, author: UserId, made: i64) {
        self.record(Row::Ownership { thread, author, made }).await;
    }

    /// Writes what waits, again and again, until cancelled.
    pub async fn work(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_some() {
            self.flush().await;
        }
    }

    /// Tries everything that waits once. True if nothing is left.
    pub async fn flush(&self) -> bool {
        let waiting: Vec<_> = self.rows(|rows| rows.waiting.keys().copied().collect());
        for key in waiting {
            if !self.write(key).await {
                return false;
            }
        }
        self.rows(|rows| rows.waiting.is_empty())
    }

    async fn record(&self, row: Row) {
        let key = row.key();
        self.rows(|rows| rows.waiting.insert(key, row));
        self.write(key).await;
    }

    /// Writes a row until it is the newest, unless somebody does already. False if the database is away.
    async fn write(&self, key: Key) -> bool {
        if !self.rows(|rows| rows.busy.insert(key)) {
            return true;
        }
        let _busy = Busy(self, key);
        while let Some(row) = self.rows(|rows| rows.waiting.get(&key).cloned()) {
            match self.send(&row).await {
                Ok(()) => {}
                Err(error) if error.is_retryable() => {
                    tracing::debug!("{row:?} waits for the database: {error}");
                    return false;
                }
                Err(error) => tracing::error!("{row:?} is not recorded, and will not be: {error}"),
            }
            self.rows(|rows| {
                if rows.waiting.get(&key) == Some(&row) {
                    rows.waiting.remove(&key);
                }
            });
        }
        true
    }

    async fn send(&self, row: &Row) -> Result<(), Error> {
        match row {
            Row::State { channel, in_thread, message, seen } => {
                let id = channel.to_string();
                let thread = in_thread.then_some(id.as_str());
                let state = MessageState::new(id.as_str(), thread, message.to_string(), *seen);
                self.storage.upsert_message_state(&state).await?;
                if let Err(error) = self.journal.recorded(*channel, *message) {
                    // It is done again after the next start.
                    tracing::debug!("{error}");
                }
            }
            Row::Ownership { thread, author, made } => {
                let (thread, author) = (thread.to_string(), author.to_string());
                let ownership = ThreadOwnership::new(thread, author, self.me.to_string(), *made);
                self.storage.upsert_thread_ownership(&ownership).await?;
            }
        }
        Ok(())
    }

    fn rows<T>(&self, look: impl FnOnce(&mut Rows) -> T) -> T {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let found = look(&mut rows);
        self.figures.unrecorded.set(rows.waiting.len() as i64);
        found
    }
}

/// Somebody writes a row, until this is dropped.
struct Busy<'a>(&'a Recorder, Key);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.rows(|rows| rows.busy.remove(&self.1));
    }
}
