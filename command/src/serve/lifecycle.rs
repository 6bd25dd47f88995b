//! Whether the storage works, opening it, and waiting for what it has accepted.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{RawQuery, State};
use cofferdam::StorageService;
use tokio::time::{Instant, sleep};

use super::app::{Answer, App, Deadline, json};
use super::query::parameters;
use super::rows::{Flushed, Health, Initialized};

/// The path of [`close`], which keeps to the deadline itself.
pub const CLOSE: &str = "/v1/close";

/// Between two looks at the spool.
const LOOK: Duration = Duration::from_millis(20);

/// Check the connection, both tables and the schema.
#[utoipa::path(
    get,
    path = "/v1/health",
    operation_id = "health_check",
    tag = "lifecycle",
    responses((status = 200, description = "All is well.", body = Health)),
)]
pub async fn health(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Answer {
    parameters(query.as_deref(), [])?;
    let _turn = app.operation().await?;
    app.storage.health_check().await.map_err(|error| app.problem(error))?;
    json(&Health { healthy: true })
}

/// Connect, and create or upgrade the tables, as the server has done when it started. Idempotent.
#[utoipa::path(
    post,
    path = "/v1/initialize",
    operation_id = "initialize",
    tag = "lifecycle",
    responses((status = 200, description = "The storage takes operations.", body = Initialized)),
)]
pub async fn initialize(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Answer {
    parameters(query.as_deref(), [])?;
    app.storage.initialize().await.map_err(|error| app.problem(error))?;
    json(&Initialized { readiness: app.storage.status().readiness.name() })
}

/// Wait until the database has every write that this server has accepted, at most for COFFERDAM_CLOSE_TIMEOUT.
///
/// The storage belongs to the server and its other clients, so nothing is closed.
#[utoipa::path(
    post,
    path = "/v1/close",
    operation_id = "close",
    tag = "lifecycle",
    responses((status = 200, description = "How many writes still wait.", body = Flushed)),
)]
pub async fn close(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    deadline: Option<Extension<Deadline>>,
) -> Answer {
    parameters(query.as_deref(), [])?;
    let end = Instant::now() + app.storage.storage().config().timeouts.close;
    let end = deadline.map_or(end, |Extension(Deadline(deadline))| deadline.min(end));
    loop {
        let spool = app.storage.status().spool;
        let (waiting, refused) = spool.map_or((0, 0), |spool| (spool.depth as u64, spool.rejected as u64));
        if waiting == 0 || Instant::now() >= end {
            return json(&Flushed { waiting, refused });
        }
        sleep(LOOK.min(end - Instant::now())).await;
    }
}
