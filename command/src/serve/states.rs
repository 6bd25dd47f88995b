//! Message states.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{RawQuery, Request, State};
use axum::http::HeaderMap;
use cofferdam::clock::{Clock, SystemClock, seconds_before};
use cofferdam::config::parse_duration;
use cofferdam::resilience::Page;
use cofferdam::{MessageKey, MessageState, ResilientStorage, Result, StorageService, Written};

use super::accept::{Format, format};
use super::app::{Answer, App, Deadline, accepted, json};
use super::body;
use super::problem::Problem;
use super::query::{parameters, required};
use super::request_id;
use super::rows::{OneState, Outcome, StateRow, StateToPut, States, Upserted};
use super::stream::{self, PAGE, Pages};

/// Read the state of exactly this channel and thread.
#[utoipa::path(
    get,
    path = "/v1/message-state",
    operation_id = "get_message_state",
    tag = "message states",
    params(
        ("channel_id" = String, Query, description = "the channel"),
        ("thread_id" = Option<String>, Query, description = "the thread; absent for the state without a thread"),
    ),
    responses((status = 200, description = "The state, or `null` if there is none.", body = OneState)),
)]
pub async fn get(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Answer {
    let [channel, thread] = parameters(query.as_deref(), ["channel_id", "thread_id"])?;
    let channel = required(channel, "channel_id")?;
    let _turn = app.operation().await?;
    let state = app.storage.get_message_state(&channel, thread.as_deref()).await;
    json(&OneState { state: state.map_err(|error| app.problem(error))?.map(StateRow::from) })
}

/// Insert or update a state. The last write to arrive wins.
#[utoipa::path(
    put,
    path = "/v1/message-state",
    operation_id = "upsert_message_state",
    tag = "message states",
    request_body = StateToPut,
    responses(
        (status = 200, description = "The database has acknowledged it.", body = Upserted),
        (status = 202, description = "It is durable in the server's spool, and reaches the database later.", body = Upserted),
    ),
)]
pub async fn put(State(app): State<Arc<App>>, request: Request) -> Answer {
    parameters(request.uri().query(), [])?;
    let deadline = Deadline::of(&request);
    let state: StateToPut = body::json(request, app.transfer_timeout).await?;
    let state = MessageState::from(state);
    let _turn = app.operation().await?;
    upserted(app.write(deadline, app.storage.upsert_message_state(&state)).await?)
}

/// What the client is told of an upsert.
pub fn upserted(written: Written) -> Answer {
    match written {
        Written::Stored(()) => json(&Upserted { result: Outcome::Stored }),
        Written::Spooled => accepted(&Upserted { result: Outcome::Spooled }),
    }
}

/// List states: all, or those seen within a window.
///
/// As `application/json` one document, newest first. As `application/x-ndjson` a state a line, bytewise by channel id and
/// thread id, none first, read in pages: for any number of states. The last line is `{"end":{"rows":N}}` or
/// `{"error":PROBLEM}`; a stream without one was cut off.
#[utoipa::path(
    get,
    path = "/v1/message-states",
    operation_id = "list_message_states",
    tag = "message states",
    params(
        ("window" = Option<String>, Query, description = "only states with last_seen_timestamp >= floor(now - window): a \
            duration such as `300ms`, `5m` or `1h30m`", example = "5m"),
    ),
    responses((status = 200, description = "The states.", content(
        (States = "application/json"),
        (String = "application/x-ndjson"),
    ))),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    deadline: Option<Extension<Deadline>>,
    headers: HeaderMap,
) -> Answer {
    let [window] = parameters(query.as_deref(), ["window"])?;
    let window = window.map(|text| duration("window", &text)).transpose()?;
    if format(&headers)? == Format::Ndjson {
        let pages = StatePages { cutoff: window.map(|window| seconds_before(SystemClock.now(), window)) };
        return stream::answer(app, pages, deadline.map(|Extension(deadline)| deadline), request_id::of(&headers))
            .await;
    }
    let _turn = app.list().await?;
    let states = match window {
        Some(window) => app.storage.get_message_states_within_window(window).await,
        None => app.storage.get_all_message_states().await,
    };
    let states = states.map_err(|error| app.problem(error))?;
    json(&States { states: states.into_iter().map(StateRow::from).collect() })
}

/// A duration in a request.
pub fn duration(name: &str, text: &str) -> Result<Duration, Problem> {
    let wrong = || Problem::invalid(format!("{name} is no duration: write it as 300ms, 5m, 24h or 1h30m"));
    parse_duration(text).ok_or_else(wrong)
}

struct StatePages {
    /// The least `last_seen_timestamp`.
    cutoff: Option<i64>,
}

impl Pages for StatePages {
    type Row = MessageState;
    type Document = StateRow;
    type Key = MessageKey;

    async fn page(
        &self,
        storage: &ResilientStorage,
        after: Option<&MessageKey>,
    ) -> Result<Page<MessageState, MessageKey>> {
        storage.page_of_message_states(after, PAGE).await
    }

    fn shows(&self, state: &MessageState) -> bool {
        self.cutoff.is_none_or(|cutoff| state.last_seen_timestamp >= cutoff)
    }
}
