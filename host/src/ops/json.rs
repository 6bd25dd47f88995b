//! What JSON documents say of the parts of a storage, here and in programs of one's own: the same everywhere.

use std::path::Path;

use serde_json::{Value, json};

use crate::config::{Origin, Place};
use crate::error::Error;
use crate::files::Whereabouts;
use crate::resilience::BreakerStatus;
use crate::sql::PoolStatus;

/// A file, by its path from the root and without links.
pub fn file(path: &Path) -> Value {
    Whereabouts::of(path).path().to_string_lossy().into()
}

/// Where a component was found: its file, or its name and that it is embedded.
pub fn origin(origin: &Origin) -> Value {
    match origin {
        Origin::File(path) => file(path),
        Origin::Embedded(_) => origin.to_string().into(),
    }
}

/// Where a database is.
pub fn place(place: Place<'_>) -> Value {
    match place {
        Place::File(path) => json!({ "path": file(path) }),
        Place::Server { database, hosts } => json!({
            "hosts": hosts.iter().map(ToString::to_string).collect::<Vec<_>>(), "name": database,
        }),
    }
}

/// A pool of connections.
pub fn pool(pool: &PoolStatus) -> Value {
    json!({
        "max": pool.max,
        "open": pool.open,
        "idle": pool.idle,
        "waiting": pool.waiting,
        "opened": pool.opened,
        "groups": pool.groups,
        "grouped": pool.grouped,
    })
}

/// A circuit breaker.
pub fn breaker(breaker: &BreakerStatus) -> Value {
    json!({
        "state": breaker.state.name(),
        "failures": breaker.failures,
        "opened": breaker.opened,
        "since_seconds": breaker.since.map(|since| since.as_secs_f64()),
        "next_probe_seconds": breaker.next_probe.map(|next| next.as_secs_f64()),
    })
}

/// An error of a storage.
pub fn error(error: &Error) -> Value {
    json!({
        "kind": error.kind().name(),
        "code": error.code(),
        "message": error.message(),
        "retryable": error.is_retryable(),
    })
}
