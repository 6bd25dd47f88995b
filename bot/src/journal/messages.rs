//! The messages that are in hand.

use twilight_model::id::Id;

use super::{Journal, JournalError};
use crate::clock;
use crate::ids::{ChannelId, MessageId, UserId};

/// What is known of a message that was begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// How often it was begun, in all lives of the bot, with this time.
    pub attempts: u32,
    /// The answer, once there is one: it is not asked for again.
    pub answer: Option<String>,
    /// How many parts of it have been sent.
    pub sent: usize,
    /// Whether it has been dealt with, and only its state is still to be recorded.
    pub ended: bool,
}

/// A message that has been dealt with and whose state is not in the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unrecorded {
    /// The message.
    pub id: MessageId,
    /// Its channel.
    pub channel: ChannelId,
    /// Whether that is a thread.
    pub in_thread: bool,
    /// Who wrote it.
    pub author: UserId,
    /// The thread that was made for it.
    pub thread: Option<ChannelId>,
}

impl Journal {
    /// Takes a message in hand, before anything is done about it: so each attempt counts, whatever it ends in.
    pub fn begin(
        &self,
        message: MessageId,
        channel: ChannelId,
        in_thread: bool,
        author: UserId,
    ) -> Result<Entry, JournalError> {
        self.change(|connection| {
            let mut upsert = connection.prepare_cached(
                "INSERT INTO messages (id, channel, in_thread, author, begun, attempts) VALUES (?1, ?2, ?3, ?4, ?5, 1)
                 ON CONFLICT (id) DO UPDATE SET attempts = attempts + 1 RETURNING attempts, answer, sent, ended",
            )?;
            let values = (number(message), number(channel), in_thread, number(author), clock::local_ms());
            upsert.query_row(values, |row| {
                Ok(Entry {
                    attempts: row.get(0)?,
                    answer: row.get(1)?,
                    sent: row.get::<_, u32>(2)? as usize,
                    ended: row.get(3)?,
                })
            })
        })
    }

    /// Keeps the answer, before its first part is sent: the next attempt sends the same.
    pub fn keep_answer(&self, message: MessageId, answer: &str) -> Result<(), JournalError> {
        self.write("UPDATE messages SET answer = ?2 WHERE id = ?1", (number(message), answer))
    }

    /// Keeps that this thread was made for the message.
    pub fn keep_thread(&self, message: MessageId, thread: ChannelId) -> Result<(), JournalError> {
        self.write("UPDATE messages SET thread = ?2 WHERE id = ?1", (number(message), number(thread)))
    }

    /// Keeps that so many parts of the answer have been sent.
    pub fn keep_sent(&self, message: MessageId, sent: usize) -> Result<(), JournalError> {
        self.write("UPDATE messages SET sent = ?2 WHERE id = ?1", (number(message), sent as i64))
    }

    /// The message has been dealt with: from now on it is answered no more.
    pub fn end(&self, message: MessageId) -> Result<(), JournalError> {
        self.write("UPDATE messages SET ended = 1, answer = NULL WHERE id = ?1", [number(message)])
    }

    /// The state of this channel is in the storage, up to this message.
    pub fn recorded(&self, channel: ChannelId, last: MessageId) -> Result<(), JournalError> {
        self.write("DELETE FROM messages WHERE channel = ?1 AND id <= ?2 AND ended", (number(channel), number(last)))
    }

    /// What has been dealt with and is not recorded, oldest first.
    pub fn unrecorded(&self) -> Result<Vec<Unrecorded>, JournalError> {
        self.read(|connection| {
            let mut select = connection
                .prepare("SELECT id, channel, in_thread, author, thread FROM messages WHERE ended ORDER BY id")?;
            let rows = select.query_map([], |row| {
                let thread: Option<i64> = row.get(4)?;
                let of = |id: Option<i64>| id.and_then(|id| Id::new_checked(id as u64));
                Ok((of(row.get(0)?), of(row.get(1)?), row.get(2)?, of(row.get(3)?), of(thread)))
            })?;
            let mut found = Vec::new();
            for row in rows {
                if let (Some(id), Some(channel), in_thread, Some(author), thread) = row? {
                    let (id, author) = (id.cast(), author.cast());
                    found.push(Unrecorded { id, channel, in_thread, author, thread });
                }
            }
            Ok(found)
        })
    }
}

/// As SQLite has numbers. The first bit of Discord's ids will be set in the year 2084.
fn number<T>(id: Id<T>) -> i64 {
    id.get() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_count_over_lives_and_an_answer_stays_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let (message, channel, author) = (Id::new(10), Id::new(1), Id::new(5));
        let begin = |journal: &Journal| journal.begin(message, channel, false, author).unwrap();
        let journal = Journal::open(&path).unwrap();
        assert_eq!(begin(&journal), Entry { attempts: 1, ..Entry::default() });
        journal.keep_answer(message, "yes").unwrap();
        journal.keep_sent(message, 2).unwrap();
        drop(journal);
        let journal = Journal::open(&path).unwrap();
        assert_eq!(begin(&journal), Entry { attempts: 2, answer: Some("yes".into()), sent: 2, ended: false });
        journal.recorded(channel, message).unwrap();
        journal.keep_thread(message, message.cast()).unwrap();
        journal.end(message).unwrap();
        let thread = Some(message.cast());
        assert_eq!(
            journal.unrecorded().unwrap(),
            [Unrecorded { id: message, channel, in_thread: false, author, thread }]
        );
        assert!(begin(&journal).ended);
        journal.recorded(channel, message).unwrap();
        assert_eq!(journal.unrecorded().unwrap(), []);
        assert_eq!(begin(&journal).attempts, 1);
    }
}
