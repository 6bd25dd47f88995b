//! Channels and threads, as Discord writes them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::World;
use super::message::Message;
use super::permissions::VIEW_CHANNEL;
use crate::id::{Id, timestamp};

/// Types of channels.
pub(crate) const TEXT: u8 = 0;
pub(crate) const DIRECT: u8 = 1;
pub(crate) const PUBLIC_THREAD: u8 = 11;
pub(crate) const PRIVATE_THREAD: u8 = 12;

#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) id: Id,
    pub(crate) kind: u8,
    pub(crate) guild: Option<Id>,
    pub(crate) name: String,
    pub(crate) topic: Option<String>,
    /// The channel that a thread is in.
    pub(crate) parent: Option<Id>,
    pub(crate) thread: Option<Thread>,
    /// Who is in a direct channel beside the bot.
    pub(crate) recipients: Vec<Id>,
    /// What the bot may not do here.
    pub(crate) denied: u64,
    pub(crate) messages: BTreeMap<Id, Message>,
    /// It stays if that message is deleted.
    pub(crate) last_message: Option<Id>,
}

/// What threads have more.
#[derive(Clone, Debug)]
pub(crate) struct Thread {
    pub(crate) owner: Id,
    pub(crate) members: BTreeSet<Id>,
    pub(crate) archived: bool,
    pub(crate) locked: bool,
    pub(crate) archive_changed_ms: u64,
    /// Minutes without a message until it is archived.
    pub(crate) auto_archive: u64,
    /// Messages ever sent, without the one that it was made from.
    pub(crate) sent: u64,
}

impl Channel {
    pub(crate) fn new(id: Id, kind: u8, guild: Option<Id>, name: &str) -> Self {
        Self {
            id,
            kind,
            guild,
            name: name.to_owned(),
            topic: None,
            parent: None,
            thread: None,
            recipients: Vec::new(),
            denied: 0,
            messages: BTreeMap::new(),
            last_message: None,
        }
    }
}

impl World {
    /// The channels of a guild that the bot sees.
    pub(crate) fn seen(&self, guild: Id) -> impl Iterator<Item = &Channel> {
        let channels = self.channels.values().filter(move |channel| channel.guild == Some(guild));
        channels.filter(|channel| self.may(channel, VIEW_CHANNEL))
    }

    pub(crate) fn active_threads(&self, guild: Id) -> impl Iterator<Item = &Channel> {
        self.seen(guild).filter(|channel| channel.thread.as_ref().is_some_and(|thread| !thread.archived))
    }

    pub(crate) fn channel_json(&self, channel: &Channel) -> Value {
        let mut json = json!({
            "id": channel.id,
            "type": channel.kind,
            "flags": 0,
            "last_message_id": channel.last_message,
        });
        if channel.kind == DIRECT {
            let recipients = channel.recipients.iter().filter_map(|id| self.users.get(id));
            json["recipients"] = recipients.map(|user| user.json()).collect();
            return json;
        }
        json["guild_id"] = json!(channel.guild);
        json["name"] = channel.name.as_str().into();
        json["parent_id"] = json!(channel.parent);
        json["rate_limit_per_user"] = 0.into();
        match &channel.thread {
            Some(thread) => self.thread_json(channel, thread, &mut json),
            None => {
                json["topic"] = json!(channel.topic);
                json["position"] = 0.into();
                json["nsfw"] = false.into();
                json["permission_overwrites"] = self.overwrites_json(channel);
            }
        }
        json
    }

    fn thread_json(&self, channel: &Channel, thread: &Thread, json: &mut Value) {
        json["owner_id"] = json!(thread.owner);
        json["thread_metadata"] = json!({
            "archived": thread.archived,
            "archive_timestamp": timestamp(thread.archive_changed_ms),
            "auto_archive_duration": thread.auto_archive,
            "locked": thread.locked,
            "create_timestamp": channel.id.timestamp(),
        });
        json["message_count"] = channel.messages.len().into();
        json["total_message_sent"] = thread.sent.into();
        json["member_count"] = thread.members.len().into();
        if thread.members.contains(&self.bot) {
            json["member"] = thread_member(channel.id, self.bot);
        }
    }

    fn overwrites_json(&self, channel: &Channel) -> Value {
        if channel.denied == 0 {
            return json!([]);
        }
        json!([{ "id": self.bot, "type": 1, "allow": "0", "deny": channel.denied.to_string() }])
    }
}

/// The bot as a member of a thread.
pub(crate) fn thread_member(thread: Id, user: Id) -> Value {
    json!({ "id": thread, "user_id": user, "join_timestamp": thread.timestamp(), "flags": 1 })
}
