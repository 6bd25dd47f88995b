//! The parts of a storage: which of them work, since when, and why not.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use crate::config::format_duration;
use crate::error::Error;
use crate::resilience::{BreakerState, MirrorStatus, Readiness, SpoolStatus, Status};
use crate::sql::PoolStatus;

/// How a part is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It works.
    Ok,
    /// Something is wrong, and the bot works.
    Degraded,
    /// The bot does not work.
    Failed,
}

impl Standing {
    /// The name, such as `degraded`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

/// A part of a storage, or of the program around it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part {
    /// What it is called: `storage`, `database`, `plugin`, `pool`, `spool` or `mirror`, or as the program calls its own.
    pub name: &'static str,
    /// How it is doing.
    pub standing: Standing,
    /// Why, in one line.
    pub reason: String,
    /// How long it has been so, where that is known.
    pub since: Option<Duration>,
    /// What a person can do about it if it is not ok, in whole sentences; may be empty.
    pub advice: &'static str,
    /// What else is to be known of it, by name, such as `waiting_messages`.
    pub figures: Vec<(&'static str, Value)>,
}

impl Part {
    /// A part that is doing so for this reason.
    pub fn new(name: &'static str, standing: Standing, reason: impl Into<String>) -> Self {
        Self { name, standing, reason: reason.into(), since: None, advice: "", figures: Vec::new() }
    }

    /// How long it has been so.
    #[must_use]
    pub fn since(self, since: impl Into<Option<Duration>>) -> Self {
        Self { since: since.into(), ..self }
    }

    /// What a person can do about it if it is not ok.
    #[must_use]
    pub fn advice(self, advice: &'static str) -> Self {
        Self { advice, ..self }
    }

    /// Something else that is to be known of it.
    #[must_use]
    pub fn figure(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.figures.push((name, value.into()));
        self
    }
}

/// The parts that a storage has. One that cannot reach its database is only degraded if `ready_while_unavailable` is set.
pub fn parts(status: &Status, ready_while_unavailable: bool) -> Vec<Part> {
    let away = if ready_while_unavailable { Standing::Degraded } else { Standing::Failed };
    let mut parts = vec![storage(status, away), database(status, away), plugin(status)];
    parts.extend(status.storage.pool.as_ref().map(pool));
    parts.extend(status.spool.as_ref().map(spool));
    parts.extend(status.mirror.as_ref().map(mirror));
    for part in &mut parts {
        part.advice = advice(part);
    }
    parts
}

/// What a person can do about a part of the storage that is not ok.
fn advice(part: &Part) -> &'static str {
    match part.name {
        "storage" => {
            "A bot initialises its storage when it starts, and the storage then tries again by itself: look at the database."
        }
        "database" => {
            "Nothing has to be done here once the database is back: it is probed all the time, and the spool is replayed. Check that \
             the server or the file is there, and that the account and its password are right."
        }
        "plugin" if part.standing == Standing::Degraded => {
            "The configured backend could not be loaded at the start. Mend its file, and let it answer with `cofferdam plugin swap`."
        }
        "plugin" => {
            "The backend failed, and is tried again by itself. Its last failure is above; an older build can be put in its place."
        }
        "pool" => {
            "Every connection is in use: look for slow statements on the server, or raise DATABASE_MAX_OPEN_CONNECTIONS."
        }
        "spool" => {
            "Writes wait on the local disk and are lost to nobody: keep the disk. Once the spool is full, further writes fail \
             (COFFERDAM_SPOOL_LIMIT)."
        }
        "mirror" => {
            "The bot does not depend on it. Writes that are missing there are brought over by another migration."
        }
        _ => "",
    }
}

/// Whether operations can be sent to a storage with these parts.
pub(super) fn are_ready(parts: &[Part]) -> bool {
    parts.iter().all(|part| part.standing != Standing::Failed)
}

/// A line for each part, for a person and for `grep`.
pub(super) fn lines(parts: &[Part]) -> String {
    let mut lines = String::new();
    for part in parts {
        let since = lasting(part.since);
        let _ = writeln!(lines, "{:8}  {:8}  {}{since}", part.name, part.standing.name(), part.reason);
    }
    let _ = writeln!(lines, "{}", if are_ready(parts) { "ready" } else { "not ready" });
    lines
}

/// Whole seconds, as a person reads them.
pub(super) fn age(age: Duration) -> String {
    format_duration(Duration::from_secs(age.as_secs()))
}

fn storage(status: &Status, away: Standing) -> Part {
    let (standing, reason) = match status.readiness {
        Readiness::Ready => (Standing::Ok, "initialised".to_owned()),
        Readiness::Closed => (Standing::Failed, "not initialised, or closed".to_owned()),
        Readiness::Degraded => {
            let why = status.unavailable.as_ref().map(told).unwrap_or_default();
            (away, format!("started without its database: {why}"))
        }
    };
    Part::new("storage", standing, reason).since(status.since)
}

fn database(status: &Status, away: Standing) -> Part {
    let breaker = &status.breaker;
    let last = || status.last_error.as_ref().map(|last| told(&last.error)).unwrap_or_default();
    let (standing, reason) = match breaker.state {
        BreakerState::Closed if status.readiness == Readiness::Degraded => (away, "unavailable".to_owned()),
        BreakerState::Closed if breaker.failures > 0 => {
            (Standing::Degraded, format!("{} failures in a row: {}", breaker.failures, last()))
        }
        BreakerState::Closed if status.readiness == Readiness::Closed => (Standing::Ok, "not asked".to_owned()),
        BreakerState::Closed => (Standing::Ok, "answers".to_owned()),
        BreakerState::Open | BreakerState::HalfOpen => (away, format!("unavailable: {}", last())),
    };
    Part::new("database", standing, reason).since(breaker.since)
}

fn plugin(status: &Status) -> Part {
    let stands_in = status.storage.plugin.stands_in.as_deref();
    let (standing, reason) = match (&status.storage.paused, stands_in) {
        (None, None) => (Standing::Ok, "works".to_owned()),
        (None, Some(why)) => (Standing::Degraded, format!("the last good one answers: {}", one_line(why))),
        (Some(pause), _) => {
            let left = age(pause.left + Duration::from_secs(1));
            (Standing::Failed, format!("paused after failures, tried again within {left}: {}", one_line(&pause.reason)))
        }
    };
    Part::new("plugin", standing, reason)
}

fn pool(pool: &PoolStatus) -> Part {
    let PoolStatus { max, open, idle, waiting, .. } = *pool;
    // Writers wait for their turn in a group without anything being wrong.
    let exhausted = open >= max && idle == 0 && waiting > max;
    let standing = if exhausted { Standing::Degraded } else { Standing::Ok };
    let waits = if waiting > 0 { format!(", {waiting} callers wait") } else { String::new() };
    Part::new("pool", standing, format!("{open} of {max} connections open, {idle} idle{waits}"))
}

fn spool(spool: &SpoolStatus) -> Part {
    let SpoolStatus { depth, limit, rejected, unreadable, .. } = *spool;
    let mut reason = match depth {
        0 => "empty".to_owned(),
        _ => format!("{depth} of {limit} writes wait"),
    };
    let mut standing = if depth > 0 && depth.saturating_mul(2) >= limit { Standing::Degraded } else { Standing::Ok };
    if limit > 0 && depth >= limit {
        standing = Standing::Failed;
        reason = format!("full: {depth} writes wait, and further ones fail");
    }
    if let Some(error) = spool.paused.as_ref().filter(|_| depth > 0) {
        standing = standing.max(Standing::Degraded);
        let _ = write!(reason, "; the last replay failed: {}", told(error));
    }
    if rejected > 0 {
        standing = standing.max(Standing::Degraded);
        let _ = write!(reason, "; the database refused {rejected} writes: see `cofferdam spool status`");
    }
    if unreadable > 0 {
        standing = standing.max(Standing::Degraded);
        let _ = write!(reason, "; at most {unreadable} writes were lost to damage");
    }
    Part::new("spool", standing, reason).since(spool.oldest)
}

fn mirror(mirror: &MirrorStatus) -> Part {
    let mut reason = match mirror.waiting {
        0 => "has every write".to_owned(),
        waiting => format!("{waiting} rows behind"),
    };
    let mut standing = Standing::Ok;
    if mirror.breaker.state != BreakerState::Closed || mirror.readiness == Readiness::Degraded {
        standing = Standing::Degraded;
        let why = mirror.last_error.as_ref().map(|last| told(&last.error)).unwrap_or_default();
        let _ = write!(reason, "; unavailable: {why}");
    }
    if mirror.missed > 0 {
        standing = Standing::Degraded;
        let _ = write!(reason, "; {} writes are missing: migrate again", mirror.missed);
    }
    if mirror.shadow.different > 0 {
        standing = Standing::Degraded;
        let _ = write!(reason, "; {} reads had another answer there", mirror.shadow.different);
    }
    Part::new("mirror", standing, reason).since(mirror.oldest)
}

/// Without its kind, which the part's standing says.
fn told(error: &Error) -> String {
    let text = error.to_string();
    one_line(text.strip_prefix(&format!("{}: ", error.kind())).unwrap_or(&text))
}

/// How long something has been so, as the end of a phrase; nothing for what has just begun.
pub(super) fn lasting(since: Option<Duration>) -> String {
    match since {
        Some(since) if since >= Duration::from_secs(1) => format!(" for {}", age(since)),
        _ => String::new(),
    }
}

fn one_line(text: &str) -> String {
    crate::text::one_line(text, 500)
}
