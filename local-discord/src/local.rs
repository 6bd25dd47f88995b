//! The driver over HTTP, for tests in other processes and languages.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::app::App;
use crate::command::Command;
use crate::driver::Discord;
use crate::query::Query;
use crate::rest::answer;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/commands", post(commands))
        .route("/report", get(report))
        .route("/record", get(record))
        .route("/state", get(state))
        .route("/held", get(held))
        .fallback(async || problem(StatusCode::NOT_FOUND, "no such path; README.md lists those of /local"))
}

/// One command, or a list of them, of which those before a wrong one are carried out.
async fn commands(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    // A page in a browser of this machine could send this otherwise.
    let json = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if !json {
        return problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "commands have the content type application/json");
    }
    let read = |value| serde_json::from_value::<Command>(value).map_err(|error| error.to_string());
    let discord = Discord::handle(app);
    match serde_json::from_slice(&body) {
        Ok(Value::Array(list)) => {
            let carry_out = |value| discord.carry_out(read(value)?).map_err(|error| error.to_string());
            match list.into_iter().map(carry_out).collect::<Result<Vec<_>, String>>() {
                Ok(answers) => answer(StatusCode::OK, &Value::Array(answers)),
                Err(error) => problem(StatusCode::BAD_REQUEST, &error),
            }
        }
        Ok(value) => {
            match read(value).and_then(|command| discord.carry_out(command).map_err(|error| error.to_string())) {
                Ok(done) => answer(StatusCode::OK, &done),
                Err(error) => problem(StatusCode::BAD_REQUEST, &error),
            }
        }
        Err(error) => problem(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn report(State(app): State<App>) -> Response {
    answer(StatusCode::OK, &json!(Discord::handle(app).report()))
}

/// What happened after the entry with the number `after`.
async fn record(State(app): State<App>, uri: Uri) -> Response {
    let query = Query::new(uri.query());
    let after = query.get("after").and_then(|number| number.parse().ok()).unwrap_or(0);
    answer(StatusCode::OK, &json!(Discord::handle(app).record_after(after)))
}

async fn held(State(app): State<App>) -> Response {
    answer(StatusCode::OK, &json!(app.holds.list()))
}

/// What a client needs to start, and what there is.
async fn state(State(app): State<App>) -> Response {
    let discord = Discord::handle(app);
    let named = |list: Vec<_>| list.into_iter().map(|(id, name)| json!({ "id": id, "name": name })).collect::<Value>();
    let state = json!({
        "api": discord.api(),
        "gateway": discord.gateway(),
        "token": discord.token(),
        "bot": discord.bot(),
        "unix_ms": discord.clock().now_ms(),
        "guilds": named(discord.guilds()),
        "channels": named(discord.channels()),
        "connections": discord.connections(),
    });
    answer(StatusCode::OK, &state)
}

fn problem(status: StatusCode, error: &str) -> Response {
    answer(status, &json!({ "error": error })).into_response()
}
