//! Making threads, joining and leaving them.

use axum::extract::{Path, State};
use bytes::Bytes;

use super::body::Fields;
use super::channels::AUTO_ARCHIVE;
use super::refusal::Refusal;
use super::{Answer, Shared, allowed, created, done, id, visible};
use crate::actions::NewThread;
use crate::app::State as Inside;
use crate::id::Id;
use crate::world::channel::{PRIVATE_THREAD, PUBLIC_THREAD, TEXT};
use crate::world::permissions::{CREATE_PRIVATE_THREADS, CREATE_PUBLIC_THREADS, SEND_MESSAGES_IN_THREADS};

/// A thread from a message has the message's id, so there can be one.
pub(super) async fn from_message(
    State(app): Shared,
    Path((channel, message)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    let mut state = app.lock();
    let (channel, message) = (id("channel_id", &channel)?, id("message_id", &message)?);
    let fields = Fields::read(&body)?;
    check_parent(&state, channel, CREATE_PUBLIC_THREADS)?;
    state.world.message(channel, message).map_err(|_| Refusal::unknown_message())?;
    if state.world.channels.contains_key(&message) {
        return Err(Refusal::thread_exists());
    }
    make(&mut state, channel, Some(message), PUBLIC_THREAD, &fields)
}

/// Without a type it is a private thread, as it was before there were others.
pub(super) async fn create(State(app): Shared, Path(channel): Path<String>, body: Bytes) -> Answer {
    let mut state = app.lock();
    let channel = id("channel_id", &channel)?;
    let fields = Fields::read(&body)?;
    let kinds = [PUBLIC_THREAD, PRIVATE_THREAD].map(u64::from);
    let public = fields.choice("type", &kinds)? == Some(u64::from(PUBLIC_THREAD));
    let (kind, permission) =
        if public { (PUBLIC_THREAD, CREATE_PUBLIC_THREADS) } else { (PRIVATE_THREAD, CREATE_PRIVATE_THREADS) };
    check_parent(&state, channel, permission)?;
    make(&mut state, channel, None, kind, &fields)
}

pub(super) async fn join(State(app): Shared, Path(thread): Path<String>) -> Answer {
    member(&mut app.lock(), &thread, true)
}

pub(super) async fn leave(State(app): Shared, Path(thread): Path<String>) -> Answer {
    member(&mut app.lock(), &thread, false)
}

fn member(state: &mut Inside, thread: &str, joins: bool) -> Answer {
    let id = id("channel_id", thread)?;
    if joins {
        allowed(state, id, SEND_MESSAGES_IN_THREADS)?;
    } else {
        visible(state, id)?;
    }
    let bot = state.world.bot;
    let channel = state.world.channel_mut(id).map_err(|_| Refusal::unknown_channel())?;
    let thread = channel.thread.as_mut().ok_or_else(Refusal::wrong_channel)?;
    if thread.archived {
        return Err(Refusal::archived());
    }
    if joins {
        thread.members.insert(bot);
    } else {
        thread.members.remove(&bot);
    }
    done()
}

fn check_parent(state: &Inside, channel: Id, permission: u64) -> Result<(), Refusal> {
    if visible(state, channel)?.kind != TEXT {
        return Err(Refusal::wrong_channel());
    }
    allowed(state, channel, permission).map(|_| ())
}

fn make(state: &mut Inside, parent: Id, message: Option<Id>, kind: u8, fields: &Fields) -> Answer {
    let required = || Refusal::field("name", "BASE_TYPE_REQUIRED", "This field is required");
    let name = fields.text("name", 1, 100)?.ok_or_else(required)?;
    let auto_archive = fields.choice("auto_archive_duration", &AUTO_ARCHIVE)?.unwrap_or(1_440);
    let owner = state.world.bot;
    let new = NewThread { parent, message, kind, name, owner, auto_archive };
    let id = state.create_thread(&new).map_err(|_| Refusal::unknown_channel())?;
    let channel = state.world.channel(id).map_err(|_| Refusal::unknown_channel())?;
    created(&state.world.channel_json(channel))
}
