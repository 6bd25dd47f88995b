//! What the storage knew at the start, and what has been added since: the threads that the bot owns, and the last message of
//! each channel that it dealt with. It is loaded before anything is answered.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use cofferdam::{MessageState, Result, StorageService, ThreadOwnership};

use crate::ids::{self, ChannelId, MessageId};

/// The bot's memory.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// When each thread was made, in seconds.
    owned: HashMap<ChannelId, i64>,
    cursors: HashMap<ChannelId, MessageId>,
}

impl Memory {
    /// Reads everything. Ids that are not Discord's are somebody else's, and left alone.
    pub async fn load(&self, storage: &dyn StorageService) -> Result<(usize, usize)> {
        let ownerships = storage.get_all_thread_ownerships().await?;
        // All of them: a channel that was quiet for a week may have been asked something a minute ago.
        let states = storage.get_all_message_states().await?;
        self.known(|known| {
            for ThreadOwnership { thread_id, creation_time, .. } in &ownerships {
                if let Some(thread) = ids::read(thread_id) {
                    known.owned.insert(thread, *creation_time);
                }
            }
            for MessageState { channel_id, last_message_id, .. } in &states {
                if let (Some(channel), Some(message)) = (ids::read(channel_id), ids::read(last_message_id)) {
                    let cursor = known.cursors.entry(channel).or_insert(message);
                    *cursor = message.max(*cursor);
                }
            }
        });
        Ok((states.len(), ownerships.len()))
    }

    /// Whether the bot answers in this thread without being mentioned.
    pub fn owns(&self, thread: ChannelId) -> bool {
        self.known(|known| known.owned.contains_key(&thread))
    }

    /// The bot has made this thread.
    pub fn own(&self, thread: ChannelId, creation_time: i64) {
        self.known(|known| known.owned.insert(thread, creation_time));
    }

    /// The thread has been deleted.
    pub fn disown(&self, thread: ChannelId) {
        self.known(|known| known.owned.remove(&thread));
    }

    /// Forgets threads that were made before this second, as the storage does.
    pub fn disown_before(&self, second: i64) {
        self.known(|known| known.owned.retain(|_, creation_time| *creation_time >= second));
    }

    /// How many threads the bot owns.
    pub fn owned(&self) -> usize {
        self.known(|known| known.owned.len())
    }

    /// The last message of this channel whose state was recorded: what is newer may have been missed.
    pub fn cursor(&self, channel: ChannelId) -> Option<MessageId> {
        self.known(|known| known.cursors.get(&channel).copied())
    }

    /// Moves the cursor of a channel, forwards only, and gives where it is then.
    pub fn advance(&self, channel: ChannelId, message: MessageId) -> MessageId {
        self.known(|known| {
            let cursor = known.cursors.entry(channel).or_insert(message);
            *cursor = message.max(*cursor);
            *cursor
        })
    }

    fn known<T>(&self, look: impl FnOnce(&mut Known) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
