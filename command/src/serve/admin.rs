//! The administration of the server, on a socket of its own.

use axum::Router;
use axum::routing::get;
use cofferdam::ResilientStorage;

/// The pages for operators and their machines.
pub fn router(_storage: &ResilientStorage) -> Router {
    Router::new().route("/livez", get(|| async { "ok\n" }))
}
