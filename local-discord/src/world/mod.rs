//! Guilds, channels, users and messages, and how Discord writes them.

pub(crate) mod channel;
pub(crate) mod guild;
pub(crate) mod message;
pub mod permissions;
pub(crate) mod user;

use std::collections::{BTreeMap, HashMap};

use crate::error::{Error, Result};
use crate::id::{Id, Ids};
use channel::Channel;
use guild::Guild;
use message::Message;
use user::{Kind, User};

/// Everything that exists.
#[derive(Debug)]
pub(crate) struct World {
    ids: Ids,
    /// The bot's user, whose id is that of its application too.
    pub(crate) bot: Id,
    /// Who owns the guilds and the application.
    pub(crate) owner: Id,
    pub(crate) users: BTreeMap<Id, User>,
    pub(crate) guilds: BTreeMap<Id, Guild>,
    pub(crate) channels: BTreeMap<Id, Channel>,
    /// The message that each author made with a nonce, and when: in milliseconds since the Unix epoch.
    nonces: HashMap<(Id, String), (Message, u64)>,
}

impl World {
    pub(crate) fn new(bot: &str, now_ms: u64) -> Self {
        let mut ids = Ids::default();
        let owner = User::new(ids.next(now_ms), "owner", Kind::Person);
        let bot = User::new(ids.next(now_ms), bot, Kind::Bot);
        Self {
            ids,
            bot: bot.id,
            owner: owner.id,
            users: [(owner.id, owner), (bot.id, bot)].into(),
            guilds: BTreeMap::new(),
            channels: BTreeMap::new(),
            nonces: HashMap::new(),
        }
    }

    pub(crate) fn next_id(&mut self, now_ms: u64) -> Id {
        self.ids.next(now_ms)
    }

    pub(crate) fn user(&self, id: Id) -> Result<&User> {
        self.users.get(&id).ok_or(Error::Unknown { what: "user", id })
    }

    pub(crate) fn guild(&self, id: Id) -> Result<&Guild> {
        self.guilds.get(&id).ok_or(Error::Unknown { what: "guild", id })
    }

    pub(crate) fn channel(&self, id: Id) -> Result<&Channel> {
        self.channels.get(&id).ok_or(Error::Unknown { what: "channel", id })
    }

    pub(crate) fn channel_mut(&mut self, id: Id) -> Result<&mut Channel> {
        self.channels.get_mut(&id).ok_or(Error::Unknown { what: "channel", id })
    }

    pub(crate) fn message(&self, channel: Id, id: Id) -> Result<&Message> {
        self.channel(channel)?.messages.get(&id).ok_or(Error::Unknown { what: "message", id })
    }

    pub(crate) fn message_mut(&mut self, channel: Id, id: Id) -> Result<&mut Message> {
        self.channel_mut(channel)?.messages.get_mut(&id).ok_or(Error::Unknown { what: "message", id })
    }

    /// The first message that `author` made with `nonce`, if that is remembered, though it may have been deleted since.
    pub(crate) fn remembered(&self, author: Id, nonce: &str, now_ms: u64, memory_ms: u64) -> Option<Message> {
        let (message, made) = self.nonces.get(&(author, nonce.to_owned()))?;
        (now_ms.saturating_sub(*made) < memory_ms).then(|| message.clone())
    }

    pub(crate) fn remember(&mut self, nonce: String, message: &Message, now_ms: u64) {
        self.nonces.insert((message.author, nonce), (message.clone(), now_ms));
    }

    /// The threads below a channel.
    pub(crate) fn threads_of(&self, parent: Id) -> Vec<Id> {
        self.channels.values().filter(|channel| channel.parent == Some(parent)).map(|channel| channel.id).collect()
    }
}
