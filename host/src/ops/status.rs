//! The status for scripts.

use serde_json::{Value, json};

use super::json::{breaker, error, file, origin, place, pool};
use super::parts::{Part, are_ready, parts};
use crate::resilience::{MirrorStatus, ResilientStorage, SpoolStatus, Status, SwapsStatus};

/// The status of a storage as JSON: what `/status.json` answers, but for parts of the program's own. Fields are added, and none
/// of these changes its meaning. Durations are in seconds.
pub fn status_json(storage: &ResilientStorage, ready_while_unavailable: bool) -> Value {
    json(storage, |status| parts(status, ready_while_unavailable))
}

/// The same, with these parts.
pub(super) fn json(storage: &ResilientStorage, parts: impl FnOnce(&Status) -> Vec<Part>) -> Value {
    let status = storage.status();
    let parts = parts(&status);
    let (backend, plugin) = (storage.storage().backend(), storage.storage().plugin());
    json!({
        "ready": are_ready(&parts),
        "readiness": status.readiness.name(),
        "since_seconds": status.since.as_secs_f64(),
        "parts": parts.iter().map(part).collect::<Vec<_>>(),
        "version": env!("CARGO_PKG_VERSION"),
        "plugin": {
            "name": backend.name,
            "version": backend.version,
            "engine": backend.engine.name(),
            "schema_version": backend.schema_version,
            "origin": origin(&plugin.origin),
            "sha256": plugin.sha256,
            "contract": plugin.contract,
            "instances": status.storage.instances,
            "instance_memory_bytes": status.storage.instance_memory,
            "discarded": {
                "given_up": status.storage.discards.given_up,
                "trapped": status.storage.discards.trapped,
                "at_limit": status.storage.discards.at_limit,
                "left_behind": status.storage.discards.left_behind,
            },
            "since": status.storage.plugin.since,
            "on_trial": status.storage.plugin.on_trial,
            "stands_in": status.storage.plugin.stands_in,
            "swaps": swaps(&status.storage.swaps),
            "paused_seconds": status.storage.paused.as_ref().map(|pause| pause.left.as_secs_f64()),
        },
        "database": place(storage.storage().config().database.place()),
        "breaker": breaker(&status.breaker),
        "pool": status.storage.pool.as_ref().map(pool),
        "spool": status.spool.as_ref().map(spool),
        "mirror": status.mirror.as_ref().map(mirror),
        "recent_errors": status.recent_errors.iter().map(|recent| {
            let mut told = error(&recent.error);
            told["seconds_ago"] = json!(recent.age.as_secs_f64());
            told["times"] = json!(recent.times);
            told
        }).collect::<Vec<_>>(),
    })
}

fn part(part: &Part) -> Value {
    let mut told = json!({
        "name": part.name,
        "standing": part.standing.name(),
        "reason": part.reason,
        "since_seconds": part.since.map(|since| since.as_secs_f64()),
    });
    if !part.figures.is_empty() {
        let figures = part.figures.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        told["figures"] = Value::Object(figures.collect());
    }
    told
}

fn swaps(swaps: &SwapsStatus) -> Value {
    json!({
        "swapped": swaps.swapped,
        "refused": swaps.refused,
        "swapped_back": swaps.swapped_back,
        "under_way": swaps.under_way,
        "last": swaps.last.as_ref().map(|last| json!({
            "at": last.at,
            "took_seconds": last.took.as_secs_f64(),
            "from": format!("{} {}", last.from.name, last.from.version),
            "from_sha256": last.from.sha256,
            "to": origin(&last.to),
            "to_sha256": last.to_sha256,
            "outcome": last.outcome.name(),
            "reason": last.outcome.reason(),
        })),
    })
}

fn spool(spool: &SpoolStatus) -> Value {
    json!({
        "path": file(&spool.path),
        "waiting": spool.depth,
        "limit": spool.limit,
        "oldest_seconds": spool.oldest.map(|oldest| oldest.as_secs_f64()),
        "replayed": spool.replayed,
        "superseded": spool.superseded,
        "refused": spool.rejected,
        "paused": spool.paused.as_ref().map(error),
        "damaged": spool.damaged.as_ref().map(|path| file(path)),
        "unreadable": spool.unreadable,
    })
}

fn mirror(mirror: &MirrorStatus) -> Value {
    json!({
        "name": mirror.name,
        "readiness": mirror.readiness.name(),
        "breaker": breaker(&mirror.breaker),
        "waiting": mirror.waiting,
        "oldest_seconds": mirror.oldest.map(|oldest| oldest.as_secs_f64()),
        "copied": mirror.mirrored,
        "newer": mirror.newer,
        "missed": mirror.missed,
        "shadow": {
            "same": mirror.shadow.same, "different": mirror.shadow.different, "failed": mirror.shadow.failed,
        },
        "last_error": mirror.last_error.as_ref().map(|last| {
            let mut told = error(&last.error);
            told["seconds_ago"] = json!(last.age.as_secs_f64());
            told
        }),
    })
}
