//! REST: the routes, and what all of them share.

mod body;
mod channels;
mod current;
mod guilds;
mod layer;
mod messages;
mod refusal;
mod threads;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post, put};
use serde_json::Value;

use crate::app::{App, State};
use crate::id::Id;
use crate::world::channel::Channel;
use crate::world::permissions::VIEW_CHANNEL;
use refusal::Refusal;
pub(crate) use refusal::answer;

/// What handlers get.
type Shared = axum::extract::State<App>;
/// What handlers answer.
type Answer = Result<Response, Refusal>;

/// All routes, by the paths of Discord's documents.
pub(crate) fn routes(app: &App) -> Router<App> {
    Router::new()
        .route("/gateway", get(current::gateway))
        .route("/gateway/bot", get(current::gateway_bot))
        .route("/users/@me", get(current::user))
        .route("/users/@me/channels", post(current::open_direct))
        .route("/applications/@me", get(current::application))
        .route("/guilds/{guild_id}", get(guilds::one))
        .route("/guilds/{guild_id}/channels", get(guilds::channels))
        .route("/guilds/{guild_id}/members/{user_id}", get(guilds::member))
        .route("/guilds/{guild_id}/threads/active", get(guilds::active_threads))
        .route("/channels/{channel_id}", get(channels::one).patch(channels::modify).delete(channels::delete))
        .route("/channels/{channel_id}/typing", post(channels::typing))
        .route("/channels/{channel_id}/messages", get(messages::list).post(messages::create))
        .route(
            "/channels/{channel_id}/messages/{message_id}",
            get(messages::one).patch(messages::edit).delete(messages::delete),
        )
        .route("/channels/{channel_id}/messages/{message_id}/threads", post(threads::from_message))
        .route("/channels/{channel_id}/threads", post(threads::create))
        .route("/channels/{channel_id}/thread-members/@me", put(threads::join).delete(threads::leave))
        .method_not_allowed_fallback(async || Refusal::method())
        .route_layer(from_fn_with_state(app.clone(), layer::layer))
        .fallback(async || Refusal::no_route())
}

/// An answer of 200 with a body.
fn ok(body: &Value) -> Answer {
    Ok(refusal::answer(StatusCode::OK, body))
}

/// An answer of 201 with a body.
fn created(body: &Value) -> Answer {
    Ok(refusal::answer(StatusCode::CREATED, body))
}

/// An answer of 204.
fn done() -> Answer {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// An id of a path or a query.
fn id(field: &str, text: &str) -> Result<Id, Refusal> {
    text.parse().map_err(|_| Refusal::snowflake(field, text))
}

/// The channel, if it exists and the bot sees it.
fn visible(state: &State, id: Id) -> Result<&Channel, Refusal> {
    let channel = state.world.channels.get(&id).ok_or_else(Refusal::unknown_channel)?;
    if !state.world.may(channel, VIEW_CHANNEL) {
        return Err(Refusal::no_access());
    }
    Ok(channel)
}

/// The channel, if the bot may also do this there.
fn allowed(state: &State, id: Id, permission: u64) -> Result<&Channel, Refusal> {
    let channel = visible(state, id)?;
    if !state.world.may(channel, permission) {
        return Err(Refusal::no_permission());
    }
    Ok(channel)
}
