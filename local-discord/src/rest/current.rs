//! The bot itself, and where its gateway is.

use axum::extract::State;
use bytes::Bytes;
use serde_json::{Value, json};

use super::body::Fields;
use super::refusal::Refusal;
use super::{Answer, Shared, ok};
use crate::app::State as Inside;
use crate::gateway::DAY_MS;
use crate::world::channel::{Channel, DIRECT};

pub(super) async fn gateway(State(app): Shared) -> Answer {
    ok(&json!({ "url": format!("ws://{}", app.address) }))
}

pub(super) async fn gateway_bot(State(app): Shared) -> Answer {
    let mut state = app.lock();
    let now_ms = state.clock.now_ms();
    state.gateway.forget_identifies(now_ms);
    let oldest = state.gateway.identifies.front().map_or(0, |at| (at + DAY_MS).saturating_sub(now_ms));
    let used = u32::try_from(state.gateway.identifies.len()).unwrap_or(u32::MAX);
    let limits = &state.settings.limits;
    ok(&json!({
        "url": format!("ws://{}", app.address),
        "shards": state.settings.shards,
        "session_start_limit": {
            "total": limits.identifies,
            "remaining": limits.identifies.saturating_sub(used),
            "reset_after": oldest,
            "max_concurrency": limits.max_concurrency,
        },
    }))
}

pub(super) async fn user(State(app): Shared) -> Answer {
    let state = app.lock();
    let bot = state.world.user(state.world.bot).map_err(|_| Refusal::unknown_user())?;
    ok(&bot.current_json())
}

pub(super) async fn application(State(app): Shared) -> Answer {
    ok(&application_json(&app.lock()))
}

/// Opens a direct channel, or finds it again.
pub(super) async fn open_direct(State(app): Shared, body: Bytes) -> Answer {
    let fields = Fields::read(&body)?;
    let required = || Refusal::field("recipient_id", "BASE_TYPE_REQUIRED", "This field is required");
    let recipient = fields.id("recipient_id")?.ok_or_else(required)?;
    let mut state = app.lock();
    state.world.user(recipient).map_err(|_| Refusal::unknown_user())?;
    let id = state.direct_channel(recipient);
    let channel = state.world.channel(id).map_err(|_| Refusal::unknown_channel())?;
    ok(&state.world.channel_json(channel))
}

impl Inside {
    /// The direct channel with a user.
    pub(crate) fn direct_channel(&mut self, user: crate::id::Id) -> crate::id::Id {
        let found = self.world.channels.values().find(|c| c.kind == DIRECT && c.recipients.contains(&user));
        if let Some(channel) = found {
            return channel.id;
        }
        let mut channel = Channel::new(self.next_id(), DIRECT, None, "");
        channel.recipients.push(user);
        let id = channel.id;
        let event = self.world.channel_event("CHANNEL_CREATE", &channel);
        self.world.channels.insert(id, channel);
        self.dispatch(event);
        id
    }
}

fn application_json(state: &Inside) -> Value {
    let world = &state.world;
    let user = |id| world.users.get(&id).map(|user| user.json());
    let name = world.users.get(&world.bot).map(|bot| bot.name.as_str());
    let flags = state.application_flags();
    json!({
        "id": world.bot,
        "name": name,
        "icon": null,
        "description": "",
        "type": null,
        "bot": user(world.bot),
        "bot_public": true,
        "bot_require_code_grant": false,
        "verify_key": "0".repeat(64),
        "flags": flags,
        "flags_new": flags.to_string(),
        "redirect_uris": [],
        "interactions_endpoint_url": null,
        "role_connections_verification_url": null,
        "owner": user(world.owner),
        "approximate_guild_count": world.guilds.len(),
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "team": null,
        "eligible_oauth2_scopes": [],
    })
}
