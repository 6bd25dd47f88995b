//! Events: what happened, before it is known who hears of it.

use serde_json::{Value, json};

use super::intents;
use crate::id::Id;
use crate::world::World;
use crate::world::channel::{Channel, DIRECT};
use crate::world::guild::Guild;
use crate::world::message::Message;

#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) name: &'static str,
    /// The intent without which nobody hears of it; 0 for none.
    pub(crate) intent: u64,
    /// Its guild, which decides the shard.
    pub(crate) guild: Option<Id>,
    pub(crate) channel: Option<Id>,
    pub(crate) subject: Option<Id>,
    /// Whether its content is hidden from those without the intent for that.
    pub(crate) private: bool,
    pub(crate) data: Value,
}

impl Event {
    /// An event of a session itself.
    pub(crate) fn own(name: &'static str, data: Value) -> Self {
        Self { name, intent: 0, guild: None, channel: None, subject: None, private: false, data }
    }
}

impl World {
    pub(crate) fn guild_event(&self, name: &'static str, guild: &Guild) -> Event {
        Event {
            name,
            intent: intents::GUILDS,
            guild: Some(guild.id),
            channel: None,
            subject: Some(guild.id),
            private: false,
            data: self.whole_guild_json(guild),
        }
    }

    /// A message was created or updated.
    pub(crate) fn message_event(&self, name: &'static str, channel: &Channel, message: &Message) -> Event {
        let mentioned = message.mentions.contains(&self.bot) || message.author == self.bot;
        Event {
            name,
            intent: if channel.kind == DIRECT { intents::DIRECT_MESSAGES } else { intents::GUILD_MESSAGES },
            guild: channel.guild,
            channel: Some(channel.id),
            subject: Some(message.id),
            private: channel.kind != DIRECT && !mentioned,
            data: self.message_event_json(message),
        }
    }

    pub(crate) fn message_deleted(&self, channel: &Channel, message: Id) -> Event {
        let mut data = json!({ "id": message, "channel_id": channel.id });
        if let Some(guild) = channel.guild {
            data["guild_id"] = json!(guild);
        }
        Event {
            name: "MESSAGE_DELETE",
            intent: if channel.kind == DIRECT { intents::DIRECT_MESSAGES } else { intents::GUILD_MESSAGES },
            guild: channel.guild,
            channel: Some(channel.id),
            subject: Some(message),
            private: false,
            data,
        }
    }

    /// A channel or thread was created or updated, or a channel deleted.
    pub(crate) fn channel_event(&self, name: &'static str, channel: &Channel) -> Event {
        self.structure(name, channel, self.channel_json(channel))
    }

    /// A thread was deleted: little is said of it.
    pub(crate) fn thread_deleted(&self, channel: &Channel) -> Event {
        let data = json!({
            "id": channel.id,
            "guild_id": channel.guild,
            "parent_id": channel.parent,
            "type": channel.kind,
        });
        self.structure("THREAD_DELETE", channel, data)
    }

    fn structure(&self, name: &'static str, channel: &Channel, data: Value) -> Event {
        Event {
            name,
            intent: if channel.kind == DIRECT { 0 } else { intents::GUILDS },
            guild: channel.guild,
            channel: Some(channel.id),
            subject: Some(channel.id),
            private: false,
            data,
        }
    }

    pub(crate) fn typing(&self, channel: &Channel, user: Id, unix_seconds: u64) -> Event {
        let direct = channel.kind == DIRECT;
        let mut data = json!({ "channel_id": channel.id, "user_id": user, "timestamp": unix_seconds });
        if let Some(guild) = channel.guild {
            data["guild_id"] = json!(guild);
            data["member"] = self.users.get(&user).map(|user| user.full_member_json()).unwrap_or_default();
        }
        Event {
            name: "TYPING_START",
            intent: if direct { intents::DIRECT_MESSAGE_TYPING } else { intents::GUILD_MESSAGE_TYPING },
            guild: channel.guild,
            channel: Some(channel.id),
            subject: Some(user),
            private: false,
            data,
        }
    }
}
