//! What kind of channel each is, as far as events have told or the bot had to ask.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use twilight_model::channel::{Channel, ChannelType};

use crate::api::{Api, ApiError};
use crate::ids::ChannelId;

/// How a channel is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Threads can be made from its messages.
    Text,
    /// It is a thread.
    Thread,
    /// Neither: an answer is a reply in the channel itself.
    Other,
}

impl Kind {
    /// The kind of this channel.
    pub fn of(channel: &Channel) -> Self {
        match channel.kind {
            ChannelType::GuildText | ChannelType::GuildAnnouncement => Self::Text,
            ChannelType::PublicThread | ChannelType::PrivateThread | ChannelType::AnnouncementThread => Self::Thread,
            _ => Self::Other,
        }
    }
}

/// The channels.
#[derive(Debug, Default)]
pub struct Channels(Mutex<HashMap<ChannelId, Kind>>);

impl Channels {
    /// Takes note of a channel or thread.
    pub fn note(&self, channel: &Channel) {
        self.known(|known| known.insert(channel.id, Kind::of(channel)));
    }

    /// Takes note of a thread.
    pub fn note_thread(&self, thread: ChannelId) {
        self.known(|known| known.insert(thread, Kind::Thread));
    }

    /// Forgets a channel that has been deleted.
    pub fn forget(&self, channel: ChannelId) {
        self.known(|known| known.remove(&channel));
    }

    /// The kind of a channel. A session that was resumed does not list channels again, so an unknown one is asked for, once.
    pub async fn kind(&self, channel: ChannelId, api: &Api) -> Result<Kind, ApiError> {
        if let Some(kind) = self.known(|known| known.get(&channel).copied()) {
            return Ok(kind);
        }
        let channel = api.channel(channel).await?;
        self.note(&channel);
        Ok(Kind::of(&channel))
    }

    fn known<T>(&self, look: impl FnOnce(&mut HashMap<ChannelId, Kind>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
