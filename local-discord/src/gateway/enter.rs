//! IDENTIFY and RESUME.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

use super::event::Event;
use super::session::{Out, Session};
use super::{close, intents};
use crate::app::State;
use crate::record::{Rule, What};

/// A day, in which IDENTIFYs are counted.
pub(crate) const DAY_MS: u64 = 86_400_000;

/// Why a client does not get in.
#[derive(Debug)]
pub(super) enum Refused {
    Close(u16),
    /// The session is invalid: identify anew.
    Invalid,
}

type Entered = Result<String, Refused>;

/// Begins a session.
pub(super) fn identify(
    state: &mut State,
    data: &Value,
    address: SocketAddr,
    number: u64,
    out: UnboundedSender<Out>,
) -> Entered {
    check_token(state, data)?;
    if !data["properties"].is_object() {
        return Err(Refused::Close(close::DECODE));
    }
    let shard = shard(data)?;
    let wanted = data["intents"].as_u64().ok_or(Refused::Close(close::INVALID_INTENTS))?;
    if wanted & !intents::ALL != 0 {
        return Err(Refused::Close(close::INVALID_INTENTS));
    }
    if wanted & intents::PRIVILEGED & !state.settings.privileged != 0 {
        return Err(Refused::Close(close::DISALLOWED_INTENTS));
    }
    let guilds = state.guilds_of(shard);
    if guilds.len() > state.settings.guilds_per_shard {
        return Err(Refused::Close(close::SHARDING_REQUIRED));
    }
    count(state, shard.0)?;

    let now_ms = state.clock.now_ms();
    state.gateway.made += 1;
    let id = format!("{:016x}{:016x}", now_ms, state.gateway.made);
    let mut session = Session {
        id: id.clone(),
        shard,
        intents: wanted,
        seq: 0,
        buffer: VecDeque::new(),
        connection: Some((number, out)),
        lost_ms: None,
    };
    state.record.add(now_ms, What::Identified { session: id.clone(), shard, intents: wanted });
    let room = state.settings.event_buffer;
    session.push(&ready(state, &session, &guilds, address), room);
    for guild in guilds.iter().filter_map(|id| state.world.guilds.get(id)) {
        let event = state.world.guild_event("GUILD_CREATE", guild);
        if session.hears(&event) {
            session.push(&event, room);
        }
    }
    state.gateway.sessions.insert(id.clone(), session);
    Ok(id)
}

/// Goes on with a session.
pub(super) fn resume(state: &mut State, data: &Value, number: u64, out: UnboundedSender<Out>) -> Entered {
    check_token(state, data)?;
    let (Some(id), Some(seq)) = (data["session_id"].as_str(), data["seq"].as_u64()) else {
        return Err(Refused::Close(close::DECODE));
    };
    let now_ms = state.clock.now_ms();
    let memory = u64::try_from(state.settings.session_memory.as_millis()).unwrap_or(u64::MAX);
    let room = state.settings.event_buffer;
    let Some(session) = state.gateway.sessions.get_mut(id) else { return Err(Refused::Invalid) };
    if session.lost_ms.is_some_and(|lost| now_ms.saturating_sub(lost) >= memory) {
        return Err(Refused::Invalid);
    }
    if seq > session.seq {
        return Err(Refused::Close(close::INVALID_SEQUENCE));
    }
    if !session.remembers(seq) {
        return Err(Refused::Invalid);
    }
    // A session has one connection: the one before learns that it is over.
    session.tell(Out::Close(4000));
    session.connection = Some((number, out));
    session.lost_ms = None;
    let missed: Vec<_> = session.buffer.iter().filter(|sent| sent.seq > seq).cloned().collect();
    let replayed = missed.len() as u64;
    for sent in missed {
        session.tell(Out::Event(sent));
    }
    session.push(&Event::own("RESUMED", json!({})), room);
    state.record.add(now_ms, What::Resumed { session: id.to_owned(), seq, replayed });
    Ok(id.to_owned())
}

fn check_token(state: &State, data: &Value) -> Result<(), Refused> {
    let token = data["token"].as_str().unwrap_or_default();
    if token.strip_prefix("Bot ").unwrap_or(token) == state.settings.token {
        return Ok(());
    }
    Err(Refused::Close(close::AUTHENTICATION_FAILED))
}

fn shard(data: &Value) -> Result<(u64, u64), Refused> {
    if data["shard"].is_null() {
        return Ok((0, 1));
    }
    match (data["shard"][0].as_u64(), data["shard"][1].as_u64()) {
        (Some(id), Some(shards)) if id < shards => Ok((id, shards)),
        _ => Err(Refused::Close(close::INVALID_SHARD)),
    }
}

/// Counts an IDENTIFY against both of its limits.
fn count(state: &mut State, shard: u64) -> Result<(), Refused> {
    let now_ms = state.clock.now_ms();
    let limits = &state.settings.limits;
    let interval_ms = u64::try_from(limits.identify_interval.as_millis()).unwrap_or(u64::MAX);
    let key = shard % u64::from(limits.max_concurrency.max(1));
    let daily = usize::try_from(limits.identifies).unwrap_or(usize::MAX);
    state.gateway.forget_identifies(now_ms);
    if state.gateway.identifies.len() >= daily {
        // Discord ends all sessions and resets the token.
        state.record.add(now_ms, What::Broken { rule: Rule::Identifies, detail: format!("shard {shard}") });
        for session in state.gateway.sessions.values() {
            session.tell(Out::Close(close::AUTHENTICATION_FAILED));
        }
        state.gateway.sessions.clear();
        return Err(Refused::Close(close::AUTHENTICATION_FAILED));
    }
    state.gateway.identifies.push_back(now_ms);
    let before = state.gateway.identified.insert(key, now_ms);
    if before.is_some_and(|before| now_ms.saturating_sub(before) < interval_ms) {
        state.record.add(now_ms, What::Broken { rule: Rule::Identify, detail: format!("shard {shard}") });
        return Err(Refused::Invalid);
    }
    Ok(())
}

fn ready(state: &State, session: &Session, guilds: &[crate::id::Id], address: SocketAddr) -> Event {
    let bot = state.world.users.get(&state.world.bot);
    let unavailable = guilds.iter().map(|id| json!({ "id": id, "unavailable": true }));
    let data = json!({
        "v": 10,
        "user": bot.map(|bot| bot.current_json()),
        "guilds": unavailable.collect::<Value>(),
        "session_id": session.id,
        "session_type": "normal",
        "resume_gateway_url": format!("ws://{address}"),
        "shard": [session.shard.0, session.shard.1],
        "application": { "id": state.world.bot, "flags": state.application_flags() },
        "private_channels": [],
        "relationships": [],
        "presences": [],
        "user_settings": {},
        "geo_ordered_rtc_regions": [],
    });
    Event::own("READY", data)
}
