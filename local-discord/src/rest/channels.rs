//! Channels and threads themselves.

use axum::extract::{Path, State};
use bytes::Bytes;

use super::body::Fields;
use super::refusal::Refusal;
use super::{Answer, Shared, allowed, done, id, ok, visible};
use crate::actions::Change;
use crate::app::State as Inside;
use crate::id::Id;
use crate::world::channel::DIRECT;
use crate::world::permissions::{MANAGE_CHANNELS, MANAGE_THREADS, SEND_MESSAGES, SEND_MESSAGES_IN_THREADS};

/// Minutes after which a quiet thread may be archived.
pub(super) const AUTO_ARCHIVE: [u64; 4] = [60, 1_440, 4_320, 10_080];

pub(super) async fn one(State(app): Shared, Path(channel): Path<String>) -> Answer {
    let state = app.lock();
    let channel = visible(&state, id("channel_id", &channel)?)?;
    ok(&state.world.channel_json(channel))
}

pub(super) async fn modify(State(app): Shared, Path(channel): Path<String>, body: Bytes) -> Answer {
    let mut state = app.lock();
    let channel = id("channel_id", &channel)?;
    let fields = Fields::read(&body)?;
    let change = Change {
        name: fields.text("name", 1, 100)?.map(str::to_owned),
        topic: fields.text("topic", 0, 1_024)?.map(str::to_owned),
        archived: fields.flag("archived")?,
        locked: fields.flag("locked")?,
        auto_archive: fields.choice("auto_archive_duration", &AUTO_ARCHIVE)?,
    };
    check_change(&state, channel, &change)?;
    state.change_channel(channel, change).map_err(|_| Refusal::unknown_channel())?;
    answer(&state, channel)
}

pub(super) async fn delete(State(app): Shared, Path(channel): Path<String>) -> Answer {
    let mut state = app.lock();
    let channel = id("channel_id", &channel)?;
    let found = visible(&state, channel)?;
    // A direct channel is closed and not deleted: it is found again.
    if found.kind == DIRECT {
        return answer(&state, channel);
    }
    let permission = if found.thread.is_some() { MANAGE_THREADS } else { MANAGE_CHANNELS };
    allowed(&state, channel, permission)?;
    let last = answer(&state, channel);
    state.delete_channel(channel).map_err(|_| Refusal::unknown_channel())?;
    last
}

pub(super) async fn typing(State(app): Shared, Path(channel): Path<String>) -> Answer {
    let mut state = app.lock();
    let channel = visible(&state, id("channel_id", &channel)?)?;
    let permission = if channel.thread.is_some() { SEND_MESSAGES_IN_THREADS } else { SEND_MESSAGES };
    let channel = allowed(&state, channel.id, permission)?;
    let event = state.world.typing(channel, state.world.bot, state.clock.now_ms() / 1_000);
    state.dispatch(event);
    done()
}

/// Whether the bot may change the channel so.
fn check_change(state: &Inside, id: Id, change: &Change) -> Result<(), Refusal> {
    let channel = visible(state, id)?;
    let Some(thread) = &channel.thread else {
        if channel.kind == DIRECT {
            return Err(Refusal::wrong_channel());
        }
        return allowed(state, id, MANAGE_CHANNELS).map(|_| ());
    };
    let owner = thread.owner == state.world.bot;
    let locks = change.locked.is_some_and(|locked| locked != thread.locked) || (thread.locked && thread.archived);
    if locks || !owner {
        allowed(state, id, MANAGE_THREADS)?;
    }
    // Nothing else of an archived thread can be changed before it is back.
    let back = change.archived == Some(false);
    if thread.archived && !back && (change.name.is_some() || change.auto_archive.is_some()) {
        return Err(Refusal::archived());
    }
    Ok(())
}

fn answer(state: &Inside, channel: Id) -> Answer {
    let channel = state.world.channel(channel).map_err(|_| Refusal::unknown_channel())?;
    ok(&state.world.channel_json(channel))
}
