//! Messages, as Discord writes them.

use serde_json::{Value, json};

use super::World;
use super::user::Kind;
use crate::id::{Id, timestamp};

/// Types of messages.
pub(crate) const DEFAULT: u8 = 0;
pub(crate) const THREAD_CREATED: u8 = 18;
pub(crate) const REPLY: u8 = 19;
pub(crate) const THREAD_STARTER: u8 = 21;

/// The flag of a message that a thread was made from.
const HAS_THREAD: u64 = 1 << 5;

#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: Id,
    pub(crate) channel: Id,
    pub(crate) author: Id,
    pub(crate) kind: u8,
    pub(crate) content: String,
    pub(crate) edited_ms: Option<u64>,
    pub(crate) mentions: Vec<Id>,
    pub(crate) everyone: bool,
    /// The nonce as it was given, a text or a number; only the answer and the event of the creation have it.
    pub(crate) nonce: Option<Value>,
    pub(crate) reference: Option<Reference>,
    pub(crate) embeds: Vec<Value>,
    pub(crate) flags: u64,
}

/// The message that another is a reply to, or, without a message, the thread that it tells of.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    pub(crate) channel: Id,
    pub(crate) message: Option<Id>,
}

impl Message {
    pub(crate) fn new(id: Id, channel: Id, author: Id, content: &str) -> Self {
        Self {
            id,
            channel,
            author,
            kind: DEFAULT,
            content: content.to_owned(),
            edited_ms: None,
            mentions: mentions(content),
            everyone: content.contains("@everyone") || content.contains("@here"),
            nonce: None,
            reference: None,
            embeds: Vec::new(),
            flags: 0,
        }
    }
}

/// The users that a text mentions, each once.
pub(crate) fn mentions(content: &str) -> Vec<Id> {
    let mut found = Vec::new();
    for part in content.split("<@").skip(1) {
        let Some((id, _)) = part.split_once('>') else { continue };
        if let Ok(id) = id.strip_prefix('!').unwrap_or(id).parse()
            && !found.contains(&id)
        {
            found.push(id);
        }
    }
    found
}

impl World {
    /// The message without what only its own event has.
    pub(crate) fn message_json(&self, message: &Message) -> Value {
        let mut json = self.basic_json(message);
        if message.kind == REPLY || message.kind == THREAD_STARTER {
            let target = message.reference.as_ref();
            let found = target.and_then(|reference| self.message(reference.channel, reference.message?).ok());
            json["referenced_message"] = found.map_or(Value::Null, |found| self.basic_json(found));
        }
        json
    }

    fn basic_json(&self, message: &Message) -> Value {
        let thread = self.channels.get(&message.id).filter(|_| message.channel != message.id);
        let flags = message.flags | if thread.is_some() { HAS_THREAD } else { 0 };
        let author = self.users.get(&message.author);
        let mentioned = message.mentions.iter().filter_map(|id| self.users.get(id));
        let mut json = json!({
            "id": message.id,
            "channel_id": message.channel,
            "author": author.map(|author| author.json()),
            "type": message.kind,
            "content": message.content,
            "timestamp": message.id.timestamp(),
            "edited_timestamp": message.edited_ms.map(timestamp),
            "mentions": mentioned.map(|user| user.json()).collect::<Value>(),
            "mention_roles": [],
            "mention_everyone": message.everyone,
            "attachments": [],
            "embeds": message.embeds,
            "components": [],
            "flags": flags,
            "pinned": false,
            "tts": false,
        });
        if author.is_some_and(|author| author.kind == Kind::Webhook) {
            json["webhook_id"] = json!(message.author);
        }
        if let Some(reference) = &message.reference {
            let mut json_reference = json!({ "type": 0, "channel_id": reference.channel });
            if let Some(message) = reference.message {
                json_reference["message_id"] = json!(message);
            }
            if let Some(guild) = self.channels.get(&message.channel).and_then(|channel| channel.guild) {
                json_reference["guild_id"] = json!(guild);
            }
            json["message_reference"] = json_reference;
        }
        if let Some(thread) = thread {
            json["thread"] = self.channel_json(thread);
        }
        json
    }

    /// The message as its event brings it: with the guild, the author as a member, and the nonce.
    pub(crate) fn message_event_json(&self, message: &Message) -> Value {
        let mut json = self.message_json(message);
        if let Some(nonce) = &message.nonce {
            json["nonce"] = nonce.clone();
        }
        let guild = self.channels.get(&message.channel).and_then(|channel| channel.guild);
        let Some(guild) = guild.and_then(|guild| self.guilds.get(&guild)) else { return json };
        json["guild_id"] = json!(guild.id);
        let member =
            |id: Id| self.users.get(&id).filter(|_| guild.members.contains(&id)).map(|user| user.member_json());
        if let Some(member) = member(message.author) {
            json["member"] = member;
        }
        let known = message.mentions.iter().copied().filter(|id| self.users.contains_key(id));
        for (place, id) in known.enumerate() {
            if let Some(member) = member(id) {
                json["mentions"][place]["member"] = member;
            }
        }
        json
    }
}

/// Takes out what a bot without the intent for it does not see.
pub(crate) fn hide_content(json: &mut Value) {
    json["content"] = "".into();
    for list in ["embeds", "attachments", "components"] {
        json[list] = json!([]);
    }
    if let Some(referenced) = json.get_mut("referenced_message").filter(|value| value.is_object()) {
        referenced["content"] = "".into();
    }
}
