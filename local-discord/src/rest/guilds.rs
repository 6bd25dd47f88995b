//! Guilds, their channels and members.

use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::{Answer, Shared, id, ok};
use crate::app::State as Inside;
use crate::world::channel::thread_member;
use crate::world::guild::Guild;

pub(super) async fn one(State(app): Shared, Path(guild): Path<String>) -> Answer {
    let state = app.lock();
    let guild = find(&state, &guild)?;
    ok(&state.world.guild_json(guild))
}

/// All channels but threads.
pub(super) async fn channels(State(app): Shared, Path(guild): Path<String>) -> Answer {
    let state = app.lock();
    let guild = find(&state, &guild)?;
    let channels = state.world.seen(guild.id).filter(|channel| channel.thread.is_none());
    ok(&channels.map(|channel| state.world.channel_json(channel)).collect::<Value>())
}

pub(super) async fn member(State(app): Shared, Path((guild, user)): Path<(String, String)>) -> Answer {
    let state = app.lock();
    let guild = find(&state, &guild)?;
    let user = id("user_id", &user)?;
    let user = state.world.users.get(&user).ok_or_else(Refusal::unknown_user)?;
    if !guild.members.contains(&user.id) {
        return Err(Refusal::unknown_member());
    }
    ok(&user.full_member_json())
}

pub(super) async fn active_threads(State(app): Shared, Path(guild): Path<String>) -> Answer {
    let state = app.lock();
    let guild = find(&state, &guild)?;
    let bot = state.world.bot;
    let threads = || state.world.active_threads(guild.id);
    let joined =
        threads().filter(|channel| channel.thread.as_ref().is_some_and(|thread| thread.members.contains(&bot)));
    ok(&json!({
        "threads": threads().map(|channel| state.world.channel_json(channel)).collect::<Value>(),
        "members": joined.map(|channel| thread_member(channel.id, bot)).collect::<Value>(),
        "has_more": false,
    }))
}

fn find<'a>(state: &'a Inside, guild: &str) -> Result<&'a Guild, Refusal> {
    let guild = state.world.guilds.get(&id("guild_id", guild)?).ok_or_else(Refusal::unknown_guild)?;
    if !guild.members.contains(&state.world.bot) {
        return Err(Refusal::no_access());
    }
    Ok(guild)
}
