//! Changes of what exists, by others than the bot.

use super::Discord;
use crate::actions::{Change, NewThread};
use crate::error::{Error, Result};
use crate::id::Id;
use crate::world::channel::{Channel, PUBLIC_THREAD, TEXT};
use crate::world::guild::Guild;
use crate::world::message::{Message, mentions};
use crate::world::user::{Kind, User};

impl Discord {
    /// Makes a guild in which the bot and the owner are members.
    pub fn create_guild(&self, name: &str) -> Id {
        let mut state = self.app.lock();
        let id = state.next_id();
        // Guilds are told apart by the time of their ids, also by shards: one made in the same millisecond would be alike.
        let id = Id(((id.0 >> 22) + state.world.guilds.len() as u64) << 22 | id.0 & 0x3f_ffff);
        let members = [state.world.owner, state.world.bot].into();
        let guild = Guild::new(id, name, members);
        let event = state.world.guild_event("GUILD_CREATE", &guild);
        state.world.guilds.insert(id, guild);
        state.dispatch(event);
        id
    }

    /// Makes a text channel.
    ///
    /// # Errors
    ///
    /// The guild does not exist.
    pub fn create_channel(&self, guild: Id, name: &str) -> Result<Id> {
        let mut state = self.app.lock();
        state.world.guild(guild)?;
        let channel = Channel::new(state.next_id(), TEXT, Some(guild), name);
        let id = channel.id;
        let event = state.world.channel_event("CHANNEL_CREATE", &channel);
        state.world.channels.insert(id, channel);
        state.dispatch(event);
        Ok(id)
    }

    /// Makes a user, who is a member of all guilds there are unless it is a webhook.
    pub fn create_user(&self, name: &str, kind: Kind) -> Id {
        let mut state = self.app.lock();
        let id = state.next_id();
        state.world.users.insert(id, User::new(id, name, kind));
        if kind != Kind::Webhook {
            for guild in state.world.guilds.values_mut() {
                guild.members.insert(id);
            }
        }
        id
    }

    /// The direct channel of the bot with a user.
    ///
    /// # Errors
    ///
    /// The user does not exist.
    pub fn direct_channel(&self, user: Id) -> Result<Id> {
        let mut state = self.app.lock();
        state.world.user(user)?;
        Ok(state.direct_channel(user))
    }

    /// Somebody says something that the bot need not answer.
    ///
    /// # Errors
    ///
    /// The channel or the author does not exist.
    pub fn say(&self, channel: Id, author: Id, content: &str) -> Result<Id> {
        self.message(channel, author, content, false, None)
    }

    /// Somebody says something that the bot is to answer once. An answer contains the key; without one it is a reply to the
    /// message, or the first message of the bot in the thread made from it.
    ///
    /// # Errors
    ///
    /// The channel or the author does not exist.
    pub fn ask(&self, channel: Id, author: Id, content: &str, key: Option<&str>) -> Result<Id> {
        self.message(channel, author, content, true, key)
    }

    fn message(&self, channel: Id, author: Id, content: &str, asks: bool, key: Option<&str>) -> Result<Id> {
        let mut state = self.app.lock();
        state.world.user(author)?;
        state.world.channel(channel)?;
        let message = Message::new(state.next_id(), channel, author, content);
        let id = message.id;
        if asks {
            state.questions.ask(id, channel, key.map(str::to_owned));
        }
        state.create_message(message)?;
        Ok(id)
    }

    /// A message of anybody is edited.
    ///
    /// # Errors
    ///
    /// The channel or the message does not exist.
    pub fn edit(&self, channel: Id, message: Id, content: &str) -> Result<()> {
        self.app.lock().edit_message(channel, message, |message| {
            message.mentions = mentions(content);
            message.content = content.to_owned();
        })
    }

    /// A message of anybody is deleted. A question without an answer is withdrawn by that.
    ///
    /// # Errors
    ///
    /// The channel or the message does not exist.
    pub fn delete(&self, channel: Id, message: Id) -> Result<()> {
        self.app.lock().delete_message(channel, message)
    }

    /// The messages of a channel, oldest first: id, author and content.
    ///
    /// # Errors
    ///
    /// The channel does not exist.
    pub fn messages(&self, channel: Id) -> Result<Vec<(Id, Id, String)>> {
        let state = self.app.lock();
        let messages = state.world.channel(channel)?.messages.values();
        Ok(messages.map(|message| (message.id, message.author, message.content.clone())).collect())
    }

    /// Somebody makes a public thread, from a message or without.
    ///
    /// # Errors
    ///
    /// The channel or the message does not exist, or the message has a thread.
    pub fn create_thread(&self, channel: Id, message: Option<Id>, owner: Id, name: &str) -> Result<Id> {
        let mut state = self.app.lock();
        if let Some(id) = message.filter(|message| state.world.channels.contains_key(message)) {
            return Err(Error::Unfit { what: "message", id, problem: "has a thread already" });
        }
        let new = NewThread { parent: channel, message, kind: PUBLIC_THREAD, name, owner, auto_archive: 1_440 };
        state.create_thread(&new)
    }

    /// A thread is archived or comes back, and is locked or unlocked.
    ///
    /// # Errors
    ///
    /// The thread does not exist, or is none.
    pub fn archive(&self, thread: Id, archived: bool, locked: bool) -> Result<()> {
        let mut state = self.app.lock();
        if state.world.channel(thread)?.thread.is_none() {
            return Err(Error::Unfit { what: "channel", id: thread, problem: "is no thread" });
        }
        state.change_channel(thread, Change { archived: Some(archived), locked: Some(locked), ..Change::default() })
    }

    /// A channel or thread gets another name.
    ///
    /// # Errors
    ///
    /// The channel does not exist.
    pub fn rename(&self, channel: Id, name: &str) -> Result<()> {
        self.app.lock().change_channel(channel, Change { name: Some(name.to_owned()), ..Change::default() })
    }

    /// A channel with its threads, or a thread, is deleted.
    ///
    /// # Errors
    ///
    /// The channel does not exist.
    pub fn delete_channel(&self, channel: Id) -> Result<()> {
        self.app.lock().delete_channel(channel)
    }

    /// Takes permissions away from the bot in a channel and its threads; 0 gives all back. See [`crate::permissions`].
    ///
    /// # Errors
    ///
    /// The channel does not exist.
    pub fn deny(&self, channel: Id, permissions: u64) -> Result<()> {
        let mut state = self.app.lock();
        state.world.channel_mut(channel)?.denied = permissions;
        state.change_channel(channel, Change::default())
    }
}
