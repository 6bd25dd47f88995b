//! What operators can change while a process runs: the plugin.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use serde_json::json;

use crate::config::PluginSource;
use crate::resilience::{ResilientStorage, SwapError, SwapReport, SwapRequest};

/// `POST /plugin/swap`, which `cofferdam plugin swap` asks: to be [merged](Router::merge) with the router of
/// [`Ops`](super::Ops) on a [`Socket`](super::Socket), and nowhere else. Whoever gets to it chooses what runs.
pub fn swaps(storage: &Arc<ResilientStorage>) -> Router {
    Router::new().route("/plugin/swap", post(swap)).with_state(storage.clone())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Its full path; what the configuration finds where there is none.
    file: Option<PathBuf>,
    sha256: Option<String>,
    #[serde(default)]
    upgrade_schema: bool,
    #[serde(default)]
    force: bool,
}

async fn swap(State(storage): State<Arc<ResilientStorage>>, body: String) -> Response {
    let asked: Request = match serde_json::from_str(&body) {
        Ok(asked) => asked,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &format!("the request is no swap: {error}"), false),
    };
    let mut request = match asked.file {
        Some(file) => SwapRequest::from(PluginSource::File(file)),
        None => SwapRequest::new(),
    };
    if let Some(sha256) = asked.sha256 {
        request = request.sha256(sha256);
    }
    if asked.upgrade_schema {
        request = request.upgrade_schema();
    }
    if asked.force {
        request = request.force();
    }
    match storage.swap_plugin(request).await {
        Ok(report) => ([(CONTENT_TYPE, "application/json")], told(&report).to_string()).into_response(),
        Err(error) => refused(&error),
    }
}

/// Swaps to the plugin that the configuration finds now, as SIGHUP is to ask, and logs what came of it.
pub async fn reload(storage: &ResilientStorage) {
    match storage.swap_plugin(SwapRequest::new()).await {
        Ok(SwapReport { swapped: true, plugin, took, .. }) => {
            tracing::warn!(plugin = %plugin.plugin.origin, sha256 = plugin.plugin.sha256, ?took, "another plugin answers");
        }
        Ok(_) => tracing::warn!("the plugin is the one that answers already"),
        Err(error) => tracing::error!(%error, "the plugin was not swapped, and the one before answers"),
    }
}

fn told(report: &SwapReport) -> serde_json::Value {
    let plugin = &report.plugin.plugin;
    json!({
        "swapped": report.swapped,
        "took_seconds": report.took.as_secs_f64(),
        "rehearsed": report.rehearsed,
        "upgraded": report.upgraded.map(|upgraded| json!({ "from": upgraded.from, "to": upgraded.to })),
        "plugin": {
            "name": plugin.name,
            "version": plugin.version,
            "sha256": plugin.sha256,
            "origin": plugin.origin.to_string(),
            "since": report.plugin.since,
            "on_trial": report.plugin.on_trial,
        },
    })
}

fn refused(error: &SwapError) -> Response {
    let retryable = error.is_retryable();
    let status = if retryable { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::CONFLICT };
    problem(status, &error.to_string(), retryable)
}

fn problem(status: StatusCode, detail: &str, retryable: bool) -> Response {
    let body = json!({
        "title": "The plugin was not swapped", "status": status.as_u16(), "detail": detail, "retryable": retryable,
    });
    (status, [(CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
