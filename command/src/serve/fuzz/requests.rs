//! Requests: as they should be, with something changed, or made up.

use axum::http::Method;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::changes::{apply, change};
use super::sent::{PATHS, Sent};

/// Few, so that requests meet, and all different only to those who compare bytes.
fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        60 => select(vec![
            "a", "A", "a ", "b", "\u{e9}", "e\u{301}", "\u{1f980}", "\u{ff5e}", "'\\%", "10", "..", "../a", "a/b", "a+b",
            "&", "=", "%2F", "%00", "null", "\u{feff}", "\u{202e}a", "\u{ffff}", "\"", "a\nb",
        ]).prop_map(str::to_owned),
        2 => select(vec!["", "a\0", "\0"]).prop_map(str::to_owned),
        1 => Just("\u{1f980}".repeat(255)),
        1 => Just("x".repeat(256)),
    ]
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 1_600_000_000_i64..1_600_000_004, 1 => select(vec![i64::MIN, -1, 0, 1, i64::MAX])]
}

/// All far from any row's age.
fn duration() -> impl Strategy<Value = &'static str> {
    select(vec!["0", "0s", "1ns", "5m", "1h30m", "2.5s", "2562047h", "500000h", "100us", ".5h"])
}

fn state() -> impl Strategy<Value = Value> {
    let thread = prop::option::weighted(0.6, id());
    let more = (any::<bool>(), number(), number(), number());
    (id(), thread, id(), number(), more).prop_map(
        |(channel, thread, message, seen, (is_row, row, created, updated))| {
            let mut state = json!({ "channel_id": channel, "last_message_id": message, "last_seen_timestamp": seen });
            if is_row || thread.is_some() {
                state["thread_id"] = json!(thread);
            }
            if is_row {
                state["id"] = json!(row);
                state["created_at"] = json!(created);
                state["updated_at"] = json!(updated);
            }
            state
        },
    )
}

fn ownership() -> impl Strategy<Value = Value> {
    (id(), id(), id(), number()).prop_map(|(thread, user, by, made)| {
        json!({ "thread_id": thread, "original_user_id": user, "created_by": by, "creation_time": made })
    })
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn get(target: String) -> Sent {
    Sent { method: Method::GET, target, headers: Vec::new(), body: Vec::new(), pieces: 1, is_meant: true }
}

fn with_body(method: Method, target: &str, body: &Value) -> Sent {
    let headers = vec![("content-type", "application/json".to_owned())];
    Sent { method, headers, body: body.to_string().into_bytes(), ..get(target.to_owned()) }
}

/// A request as a client sends it.
pub fn meant() -> impl Strategy<Value = Sent> {
    let accept = select(vec!["application/json", "application/x-ndjson", "*/*"]);
    let listed = |target: String, accept: &str| Sent { headers: vec![("accept", accept.to_owned())], ..get(target) };
    prop_oneof![
        6 => (id(), prop::option::of(id())).prop_map(|(channel, thread)| {
            let thread = thread.map(|thread| format!("&thread_id={}", encoded(&thread))).unwrap_or_default();
            get(format!("/v1/message-state?channel_id={}{thread}", encoded(&channel)))
        }),
        6 => state().prop_map(|state| with_body(Method::PUT, "/v1/message-state", &state)),
        1 => (prop::option::of(duration()), accept.clone()).prop_map(move |(window, accept)| {
            let query = window.map(|window| format!("?window={window}")).unwrap_or_default();
            listed(format!("/v1/message-states{query}"), accept)
        }),
        4 => id().prop_map(|thread| get(format!("/v1/thread-ownership?thread_id={}", encoded(&thread)))),
        5 => ownership().prop_map(|row| with_body(Method::PUT, "/v1/thread-ownership", &row)),
        1 => accept.prop_map(move |accept| listed("/v1/thread-ownerships".to_owned(), accept)),
        1 => duration().prop_map(|max_age| {
            with_body(Method::POST, "/v1/thread-ownerships/cleanup", &json!({ "max_age": max_age }))
        }),
        1 => select(vec!["/v1/health", "/v1/openapi.json"]).prop_map(|path| get(path.to_owned())),
        1 => select(vec!["/v1/initialize", "/v1/close"])
            .prop_map(|path| Sent { method: Method::POST, ..get(path.to_owned()) }),
    ]
}

fn made_up() -> impl Strategy<Value = Sent> {
    let path = prop_oneof![
        select(PATHS.to_vec()).prop_map(str::to_owned),
        vec(select(b"/v1.-%2Fmesagtorhdinpc*:~".to_vec()), 0..30)
            .prop_map(|bytes| format!("/{}", String::from_utf8_lossy(&bytes))),
    ];
    let query = vec(select(b"chanel_idtrwo=&%20fF+?;/:x5ms".to_vec()), 0..40);
    let body = prop_oneof![vec(any::<u8>(), 0..80), vec(select(b"{}[]\":,ntrue01-e\\ u".to_vec()), 0..80)];
    (path, query, body, select(vec![Method::GET, Method::PUT, Method::POST])).prop_map(|(path, query, body, method)| {
        let target = format!("{path}?{}", String::from_utf8_lossy(&query));
        let headers = vec![("content-type", "application/json".to_owned())];
        Sent { method, headers, body, is_meant: false, ..get(target) }
    })
}

/// Any request.
pub fn request() -> impl Strategy<Value = Sent> {
    let changed = (meant(), vec(change(), 1..4)).prop_map(|(mut sent, changes)| {
        sent.is_meant = false;
        changes.into_iter().for_each(|change| apply(&mut sent, change));
        sent
    });
    prop_oneof![4 => meant(), 6 => changed, 1 => made_up()]
}
