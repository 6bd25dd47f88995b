//! Messages.

use axum::extract::{Extension, Path, State};
use axum::http::Uri;
use bytes::Bytes;
use serde_json::Value;

use super::body::{Fields, read_id};
use super::layer::Stale;
use super::refusal::Refusal;
use super::{Answer, Shared, allowed, done, id, ok, visible};
use crate::app::State as Inside;
use crate::gateway::intents::MESSAGE_CONTENT;
use crate::id::Id;
use crate::query::Query;
use crate::record::What;
use crate::world::channel::DIRECT;
use crate::world::message::{Message, REPLY, Reference, hide_content, mentions};
use crate::world::permissions::{
    MANAGE_MESSAGES, READ_MESSAGE_HISTORY, SEND_MESSAGES, SEND_MESSAGES_IN_THREADS, VIEW_CHANNEL,
};

/// The most characters of a message.
const LONGEST: usize = 2_000;

/// A page of the history, newest first.
pub(super) async fn list(
    State(app): Shared,
    Path(channel): Path<String>,
    uri: Uri,
    stale: Option<Extension<Stale>>,
) -> Answer {
    let state = app.lock();
    let query = Query::new(uri.query());
    let at = |name: &str| query.get(name).map(|text| id(name, text)).transpose();
    let (after, before, around) = (at("after")?, at("before")?, at("around")?);
    let limit = match query.get("limit").map(str::parse::<usize>) {
        None => 50,
        Some(Ok(limit)) if (1..=100).contains(&limit) => limit,
        Some(_) => return Err(Refusal::field("limit", "NUMBER_TYPE_MAX", "int value should be between 1 and 100.")),
    };
    if [after, before, around].into_iter().flatten().count() > 1 {
        return Err(Refusal::field("around", "BASE_TYPE_CONFLICT", "Only one of around, before, after may be given."));
    }
    let channel = visible(&state, id("channel_id", &channel)?)?;
    if !state.world.may(channel, READ_MESSAGE_HISTORY) {
        return ok(&Value::Array(Vec::new()));
    }
    let newest = match stale {
        Some(Extension(Stale(ms))) => Id::at(state.clock.now_ms().saturating_sub(ms)),
        None => Id(u64::MAX),
    };
    let messages = || channel.messages.values().filter(|message| message.id <= newest);
    let mut page: Vec<&Message> = if let Some(after) = after {
        messages().filter(|message| message.id > after).take(limit).collect()
    } else if let Some(around) = around {
        let mut older: Vec<_> = messages().rev().filter(|message| message.id <= around).take(limit / 2 + 1).collect();
        let newer = messages().filter(|message| message.id > around).take(limit - older.len().min(limit));
        older.extend(newer);
        older
    } else {
        let before = before.unwrap_or(Id(u64::MAX));
        messages().rev().filter(|message| message.id < before).take(limit).collect()
    };
    page.sort_by_key(|message| std::cmp::Reverse(message.id));
    page.truncate(limit);
    ok(&page.into_iter().map(|message| read(&state, message)).collect::<Value>())
}

pub(super) async fn one(State(app): Shared, Path((channel, message)): Path<(String, String)>) -> Answer {
    let state = app.lock();
    let (channel, message) = (id("channel_id", &channel)?, id("message_id", &message)?);
    allowed(&state, channel, READ_MESSAGE_HISTORY)?;
    let message = state.world.message(channel, message).map_err(|_| Refusal::unknown_message())?;
    ok(&read(&state, message))
}

pub(super) async fn create(State(app): Shared, Path(channel): Path<String>, body: Bytes) -> Answer {
    let mut state = app.lock();
    let channel = id("channel_id", &channel)?;
    let fields = Fields::read(&body)?;
    let found = visible(&state, channel)?;
    let thread = found.thread.as_ref();
    let locked = thread.is_some_and(|thread| thread.archived && thread.locked);
    allowed(&state, channel, if thread.is_some() { SEND_MESSAGES_IN_THREADS } else { SEND_MESSAGES })?;
    if locked {
        return Err(Refusal::archived());
    }
    let content = fields.text("content", 0, LONGEST)?.unwrap_or_default().trim();
    let embeds = embeds(&fields)?;
    if content.is_empty() && embeds.is_empty() {
        return Err(Refusal::empty_message());
    }
    let nonce = nonce(&fields)?;
    let author = state.world.bot;
    let now_ms = state.clock.now_ms();
    let key = nonce.as_ref().map(|nonce| nonce.as_str().map_or_else(|| nonce.to_string(), str::to_owned));
    if let Some(key) = key.as_ref().filter(|_| fields.flag("enforce_nonce").is_ok_and(|enforce| enforce == Some(true)))
    {
        let memory_ms = u64::try_from(state.settings.nonce_memory.as_millis()).unwrap_or(u64::MAX);
        if let Some(first) = state.world.remembered(author, key, now_ms, memory_ms) {
            state.record.add(now_ms, What::SameNonce { message: first.id });
            return answer(&state, &first);
        }
    }
    let mut message = Message::new(state.next_id(), channel, author, content);
    message.embeds = embeds;
    message.nonce = nonce;
    message.flags = fields.get("flags").and_then(Value::as_u64).unwrap_or(0);
    reply(&state, &fields, &mut message)?;
    allow_mentions(&fields, &mut message);
    if let Some(key) = key {
        state.world.remember(key, &message, now_ms);
    }
    state.create_message(message.clone()).map_err(|_| Refusal::unknown_channel())?;
    answer(&state, &message)
}

pub(super) async fn edit(State(app): Shared, Path((channel, message)): Path<(String, String)>, body: Bytes) -> Answer {
    let mut state = app.lock();
    let (channel, message) = (id("channel_id", &channel)?, id("message_id", &message)?);
    let fields = Fields::read(&body)?;
    let place = visible(&state, channel)?;
    let archived = place.thread.as_ref().is_some_and(|thread| thread.archived);
    let found = state.world.message(channel, message).map_err(|_| Refusal::unknown_message())?;
    if found.author != state.world.bot {
        return Err(Refusal::not_the_author());
    }
    if archived {
        return Err(Refusal::archived());
    }
    let content = fields.text("content", 0, LONGEST)?.map(|text| text.trim().to_owned());
    let embeds = fields.get("embeds").map(|_| embeds(&fields)).transpose()?;
    let empty = |text: &Option<String>, embeds: &Option<Vec<Value>>| {
        text.as_ref().unwrap_or(&found.content).is_empty() && embeds.as_ref().unwrap_or(&found.embeds).is_empty()
    };
    if empty(&content, &embeds) {
        return Err(Refusal::empty_message());
    }
    let change = |message: &mut Message| {
        if let Some(content) = content {
            message.mentions = mentions(&content);
            message.content = content;
        }
        if let Some(embeds) = embeds {
            message.embeds = embeds;
        }
    };
    state.edit_message(channel, message, change).map_err(|_| Refusal::unknown_message())?;
    let message = state.world.message(channel, message).map_err(|_| Refusal::unknown_message())?;
    ok(&state.world.message_json(message))
}

pub(super) async fn delete(State(app): Shared, Path((channel, message)): Path<(String, String)>) -> Answer {
    let mut state = app.lock();
    let (channel, message) = (id("channel_id", &channel)?, id("message_id", &message)?);
    let place = allowed(&state, channel, VIEW_CHANNEL)?;
    let archived = place.thread.as_ref().is_some_and(|thread| thread.archived);
    let found = state.world.message(channel, message).map_err(|_| Refusal::unknown_message())?;
    if found.author != state.world.bot {
        allowed(&state, channel, MANAGE_MESSAGES)?;
    }
    if archived {
        return Err(Refusal::archived());
    }
    state.delete_message(channel, message).map_err(|_| Refusal::unknown_message())?;
    done()
}

/// The message as the bot may read it.
fn read(state: &Inside, message: &Message) -> Value {
    let mut json = state.world.message_json(message);
    let direct = state.world.channels.get(&message.channel).is_some_and(|channel| channel.kind == DIRECT);
    let meant = direct || message.author == state.world.bot || message.mentions.contains(&state.world.bot);
    if !meant && state.settings.privileged & MESSAGE_CONTENT == 0 {
        hide_content(&mut json);
    }
    json
}

/// The message that was made, with its nonce.
fn answer(state: &Inside, message: &Message) -> Answer {
    let mut json = state.world.message_json(message);
    if let Some(nonce) = &message.nonce {
        json["nonce"] = nonce.clone();
    }
    ok(&json)
}

/// A nonce: a text of at most 25 characters, or a number.
fn nonce(fields: &Fields) -> Result<Option<Value>, Refusal> {
    match fields.get("nonce") {
        None => Ok(None),
        Some(Value::String(text)) if text.chars().count() <= 25 => Ok(Some(Value::String(text.clone()))),
        Some(Value::String(_)) => Err(Refusal::length("nonce", 0, 25)),
        Some(number) if number.is_i64() => Ok(Some(number.clone())),
        Some(_) => Err(Refusal::field("nonce", "NONCE_TYPE_INVALID", "The nonce is neither a string nor an integer.")),
    }
}

fn embeds(fields: &Fields) -> Result<Vec<Value>, Refusal> {
    let Some(value) = fields.get("embeds") else { return Ok(Vec::new()) };
    let Some(embeds) = value.as_array().filter(|embeds| embeds.iter().all(Value::is_object)) else {
        return Err(Refusal::field("embeds", "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType"));
    };
    if embeds.len() > 10 {
        return Err(Refusal::length("embeds", 0, 10));
    }
    let mut embeds = embeds.clone();
    for embed in &mut embeds {
        embed["type"] = "rich".into();
    }
    Ok(embeds)
}

/// Makes a reply of it, if it is one.
fn reply(state: &Inside, fields: &Fields, message: &mut Message) -> Result<(), Refusal> {
    let Some(reference) = fields.get("message_reference") else { return Ok(()) };
    let target = read_id("message_id", &reference["message_id"])?;
    let channel = match &reference["channel_id"] {
        Value::Null => message.channel,
        channel => read_id("channel_id", channel)?,
    };
    match state.world.message(channel, target) {
        Ok(found) => {
            message.kind = REPLY;
            message.reference = Some(Reference { channel, message: Some(target) });
            let ping = fields.get("allowed_mentions").is_none_or(|allowed| allowed["replied_user"] == true);
            if ping && !message.mentions.contains(&found.author) {
                message.mentions.push(found.author);
            }
            Ok(())
        }
        // A plain message instead, if that was asked for.
        Err(_) if reference["fail_if_not_exists"] == false => Ok(()),
        Err(_) => Err(Refusal::field("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")),
    }
}

/// Leaves out the mentions that were not allowed.
fn allow_mentions(fields: &Fields, message: &mut Message) {
    let Some(allowed) = fields.get("allowed_mentions") else { return };
    let parse = |kind: &str| allowed["parse"].as_array().is_some_and(|kinds| kinds.iter().any(|found| found == kind));
    message.everyone &= parse("everyone");
    if !parse("users") {
        let named = |user: Id| {
            let users = allowed["users"].as_array();
            users.is_some_and(|users| users.iter().any(|found| read_id("users", found).is_ok_and(|id| id == user)))
        };
        let replied = allowed["replied_user"] == true;
        let written = mentions(&message.content);
        message.mentions.retain(|user| named(*user) || (replied && !written.contains(user)));
    }
}
