//! Whether an answer is right.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use cofferdam::config::parse_duration;
use cofferdam::{ErrorKind, MessageState, Result, StorageService, ThreadOwnership};
use cofferdam_conformance::MemoryStorage;
use futures_util::stream;
use http_body_util::BodyExt;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};

use super::rig::Rig;
use super::sent::Sent;
use crate::serve::problem::Kind;

/// What may be wrong with a request by itself.
const REFUSALS: [u16; 6] = [400, 404, 405, 406, 413, 415];

pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// What a request asks for, read leniently.
enum Meaning {
    State(String, Option<String>),
    PutState(MessageState),
    States(Option<Duration>),
    Ownership(String),
    PutOwnership(ThreadOwnership),
    Ownerships,
    Cleanup(Duration),
    /// Always answered with this.
    Fixed(Value),
    Document,
}

/// Sends a request, asks the reference the same, and compares.
pub async fn request(rig: &Rig, sent: &Sent) -> Result<(), TestCaseError> {
    // What is no URI or no header ends at hyper.
    let Some(request) = built(sent) else { return Ok(()) };
    let reply = reply(rig, request).await?;
    let id = reply.headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    prop_assert!((1..=128).contains(&id.len()));
    let is_refused = REFUSALS.contains(&reply.status.as_u16());
    if reply.status != 200 {
        prop_assert!(is_refused, "{}: {}", reply.status, String::from_utf8_lossy(&reply.body));
    }
    if is_refused && !sent.is_meant {
        return problem(&reply).map(drop);
    }
    if sent.method == Method::HEAD {
        prop_assert!(reply.body.is_empty());
        return Ok(());
    }
    let Some(meaning) = meaning(sent) else {
        return Err(TestCaseError::fail(format!("answered with {}", String::from_utf8_lossy(&reply.body))));
    };
    let is_stream = reply.headers.get("content-type").is_some_and(|name| name == "application/x-ndjson");
    match expected(&rig.reference, meaning, is_stream).await {
        Err(kind) => prop_assert_eq!(problem(&reply)?, kind.name()),
        Ok(None) => prop_assert_eq!(&parsed(&reply.body)?["openapi"], "3.1.0"),
        Ok(Some(expected)) => {
            prop_assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
            prop_assert_eq!(if is_stream { lines(&reply.body)? } else { without_ids(parsed(&reply.body)?) }, expected);
        }
    }
    Ok(())
}

fn built(sent: &Sent) -> Option<Request<Body>> {
    let mut request = Request::builder().method(sent.method.clone()).uri(&sent.target);
    for (name, value) in &sent.headers {
        request = request.header(*name, value);
    }
    let body = match sent.pieces {
        0 | 1 => Body::from(sent.body.clone()),
        pieces => {
            let size = sent.body.len().div_ceil(pieces).max(1);
            let parts: Vec<_> = sent.body.chunks(size).map(|part| Ok::<_, std::io::Error>(part.to_vec())).collect();
            Body::from_stream(stream::iter(parts))
        }
    };
    request.body(body).ok()
}

async fn reply(rig: &Rig, request: Request<Body>) -> Result<Reply, TestCaseError> {
    let (parts, body) = rig.operations.respond(request).await.into_parts();
    let body = body.collect().await.map_err(|error| TestCaseError::fail(error.to_string()))?;
    Ok(Reply { status: parts.status, headers: parts.headers, body: body.to_bytes().to_vec() })
}

fn parsed(body: &[u8]) -> Result<Value, TestCaseError> {
    let text = String::from_utf8_lossy(body);
    serde_json::from_slice(body).map_err(|error| TestCaseError::fail(format!("{error}: {text}")))
}

/// Wants a whole problem, and gives its kind.
fn problem(reply: &Reply) -> Result<String, TestCaseError> {
    prop_assert!(reply.headers.get("content-type").is_some_and(|name| name == "application/problem+json"));
    let problem = parsed(&reply.body)?;
    let kind = Kind::all().find(|kind| problem["kind"] == kind.name());
    prop_assert!(kind.is_some_and(|kind| kind.status() == reply.status), "{}", problem);
    prop_assert_eq!(&problem["status"], reply.status.as_u16());
    prop_assert_eq!(&problem["retryable"], false);
    prop_assert!(!reply.headers.contains_key("retry-after"));
    let id = reply.headers.get("x-request-id").and_then(|id| id.to_str().ok());
    prop_assert_eq!(problem["request_id"].as_str(), id);
    let name = problem["kind"].as_str().unwrap_or_default().to_owned();
    let page = problem["type"].as_str().and_then(|page| page.rsplit_once('#'));
    prop_assert_eq!(page.map(|(_, heading)| heading), Some(&*name));
    let length = problem["detail"].as_str().map_or(0, str::len);
    prop_assert!((1..1_000).contains(&length), "{}", problem);
    Ok(name)
}

/// The rows of a stream, whose end counts them.
fn lines(body: &[u8]) -> Result<Value, TestCaseError> {
    let rows: Result<Vec<_>, _> = body.split_inclusive(|byte| *byte == b'\n').map(parsed).collect();
    let mut rows = rows?;
    let end = rows.pop();
    prop_assert_eq!(end, Some(json!({ "end": { "rows": rows.len() } })));
    Ok(without_ids(Value::Array(rows)))
}

/// Takes the numbers of rows away, which are each storage's own affair.
fn without_ids(mut document: Value) -> Value {
    match &mut document {
        Value::Object(members) => {
            members.remove("id");
            members.values_mut().for_each(|member| *member = without_ids(member.take()));
        }
        Value::Array(members) => members.iter_mut().for_each(|member| *member = without_ids(member.take())),
        _ => {}
    }
    document
}

fn meaning(sent: &Sent) -> Option<Meaning> {
    let (path, query) = sent.target.split_once('?').unwrap_or((&sent.target, ""));
    let query = query.split('#').next().unwrap_or_default();
    let mut parameters: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    // What was not UTF-8 is no text.
    if parameters.iter().any(|(name, value)| name.contains('\u{fffd}') || value.contains('\u{fffd}')) {
        return None;
    }
    let mut parameter = |wanted: &str| {
        let at = parameters.iter().position(|(name, _)| name == wanted)?;
        Some(parameters.remove(at).1)
    };
    let meaning = match (sent.method.as_str(), path.split('#').next().unwrap_or_default()) {
        ("GET", "/v1/message-state") => Meaning::State(parameter("channel_id")?, parameter("thread_id")),
        ("PUT", "/v1/message-state") => Meaning::PutState(state(&sent.body)?),
        ("GET", "/v1/message-states") => {
            let window = parameter("window");
            if window.as_deref().is_some_and(|text| parse_duration(text).is_none()) {
                return None;
            }
            Meaning::States(window.as_deref().and_then(parse_duration))
        }
        ("GET", "/v1/thread-ownership") => Meaning::Ownership(parameter("thread_id")?),
        ("PUT", "/v1/thread-ownership") => Meaning::PutOwnership(ownership(&sent.body)?),
        ("GET", "/v1/thread-ownerships") => Meaning::Ownerships,
        ("POST", "/v1/thread-ownerships/cleanup") => {
            let members = members(&sent.body, &["max_age"])?;
            Meaning::Cleanup(parse_duration(members["max_age"].as_str()?)?)
        }
        ("GET", "/v1/health") => Meaning::Fixed(json!({ "healthy": true })),
        ("POST", "/v1/initialize") => Meaning::Fixed(json!({ "readiness": "ready" })),
        ("POST", "/v1/close") => Meaning::Fixed(json!({ "waiting": 0, "refused": 0 })),
        ("GET", "/v1/openapi.json") => Meaning::Document,
        _ => return None,
    };
    parameters.is_empty().then_some(meaning)
}

/// A body's members, if it has no others than these.
fn members(body: &[u8], names: &[&str]) -> Option<Value> {
    let document: Value = serde_json::from_slice(body).ok()?;
    document.as_object()?.keys().all(|name| names.contains(&name.as_str())).then_some(document)
}

fn text(document: &Value, name: &str) -> Option<String> {
    document[name].as_str().map(str::to_owned)
}

/// Without a part of one, as `5.0` is.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64))
}

fn number(document: &Value, name: &str) -> Option<i64> {
    document.get(name).map_or(Some(0), integer)
}

fn are_numbers(document: &Value, names: &[&str]) -> Option<()> {
    names.iter().all(|name| number(document, name).is_some()).then_some(())
}

fn state(body: &[u8]) -> Option<MessageState> {
    let names = ["id", "channel_id", "thread_id", "last_message_id", "last_seen_timestamp", "created_at", "updated_at"];
    let row = members(body, &names)?;
    let thread = match &row["thread_id"] {
        Value::Null => None,
        thread => Some(thread.as_str()?.to_owned()),
    };
    let seen = integer(&row["last_seen_timestamp"])?;
    let mut state =
        MessageState::new(text(&row, "channel_id")?, thread.as_deref(), text(&row, "last_message_id")?, seen);
    are_numbers(&row, &["id", "updated_at"])?;
    state.created_at = number(&row, "created_at")?;
    Some(state)
}

fn ownership(body: &[u8]) -> Option<ThreadOwnership> {
    let names = ["id", "thread_id", "original_user_id", "created_by", "creation_time", "created_at", "updated_at"];
    let row = members(body, &names)?;
    are_numbers(&row, &["id", "created_at", "updated_at"])?;
    let (thread, user, by) = (text(&row, "thread_id")?, text(&row, "original_user_id")?, text(&row, "created_by")?);
    Some(ThreadOwnership::new(thread, user, by, integer(&row["creation_time"])?))
}

fn state_row(row: &MessageState) -> Value {
    json!({
        "channel_id": row.channel_id, "thread_id": row.thread_id, "last_message_id": row.last_message_id,
        "last_seen_timestamp": row.last_seen_timestamp, "created_at": row.created_at, "updated_at": row.updated_at,
    })
}

fn ownership_row(row: &ThreadOwnership) -> Value {
    json!({
        "thread_id": row.thread_id, "original_user_id": row.original_user_id, "created_by": row.created_by,
        "creation_time": row.creation_time, "created_at": row.created_at, "updated_at": row.updated_at,
    })
}

/// The reference's answer; `None` for a document that is not its affair. In a stream rows are in the order of their keys.
async fn expected(storage: &MemoryStorage, meaning: Meaning, is_stream: bool) -> Result<Option<Value>, ErrorKind> {
    let stored = |()| json!({ "result": "stored" });
    let answer = match meaning {
        Meaning::State(channel, thread) => {
            let state = storage.get_message_state(&channel, thread.as_deref()).await;
            state.map(|state| json!({ "state": state.as_ref().map(state_row) }))
        }
        Meaning::PutState(state) => storage.upsert_message_state(&state).await.map(|_| stored(())),
        Meaning::States(window) => {
            let states = match window {
                Some(window) => storage.get_message_states_within_window(window).await,
                None => storage.get_all_message_states().await,
            };
            states.map(|mut states| {
                if is_stream {
                    states.sort_by(|a, b| (&a.channel_id, &a.thread_id).cmp(&(&b.channel_id, &b.thread_id)));
                }
                listed("states", states.iter().map(state_row).collect(), is_stream)
            })
        }
        Meaning::Ownership(thread) => {
            let ownership = storage.get_thread_ownership(&thread).await;
            ownership.map(|ownership| json!({ "ownership": ownership.as_ref().map(ownership_row) }))
        }
        Meaning::PutOwnership(ownership) => storage.upsert_thread_ownership(&ownership).await.map(|_| stored(())),
        Meaning::Ownerships => storage.get_all_thread_ownerships().await.map(|mut ownerships| {
            if is_stream {
                ownerships.sort_by(|a, b| a.thread_id.cmp(&b.thread_id));
            }
            listed("ownerships", ownerships.iter().map(ownership_row).collect(), is_stream)
        }),
        Meaning::Cleanup(age) => storage
            .cleanup_old_thread_ownerships(age)
            .await
            .map(|removed| json!({ "result": "stored", "removed": removed.stored() })),
        Meaning::Fixed(answer) => Ok(answer),
        Meaning::Document => return Ok(None),
    };
    answer.map(Some).map_err(|error| error.kind())
}

fn listed(name: &str, rows: Vec<Value>, is_stream: bool) -> Value {
    if is_stream { Value::Array(rows) } else { json!({ name: rows }) }
}
