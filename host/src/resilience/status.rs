//! The status of a storage, for monitoring.

use std::path::PathBuf;
use std::time::Duration;

use super::breaker::BreakerStatus;
use crate::error::Error;
use crate::storage::StorageStatus;

/// How far a storage has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Never initialised, or closed.
    Closed,
    /// Started without its database, which is initialised once it is available.
    Degraded,
    /// Initialised. The circuit breaker says whether the database answers at the moment.
    Ready,
}

impl Readiness {
    /// The name, such as `degraded`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Degraded => "degraded",
            Self::Ready => "ready",
        }
    }
}

/// The status of a [`ResilientStorage`](crate::ResilientStorage).
#[derive(Clone, Debug)]
pub struct Status {
    /// How far it has come.
    pub readiness: Readiness,
    /// How long it has been there.
    pub since: Duration,
    /// Why it started without its database, while it is [`Degraded`](Readiness::Degraded).
    pub unavailable: Option<Error>,
    /// The circuit breaker.
    pub breaker: BreakerStatus,
    /// The connection pool, and the plugin's instances with their restarts.
    pub storage: StorageStatus,
    /// The spool, if one is configured and open.
    pub spool: Option<SpoolStatus>,
    /// The second database that also gets every write, if one is configured.
    pub mirror: Option<MirrorStatus>,
    /// The last operation that failed, even if a retry succeeded.
    pub last_error: Option<LastError>,
    /// The last errors, each once, the latest first.
    pub recent_errors: Vec<RecentError>,
}

/// What waits in the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolStatus {
    /// Its file.
    pub path: PathBuf,
    /// Writes that wait for the database.
    pub depth: usize,
    /// The maximum number of writes.
    pub limit: usize,
    /// How long the oldest of them has waited.
    pub oldest: Option<Duration>,
    /// Writes that were replayed into the database since the start.
    pub replayed: u64,
    /// Writes that were skipped since the start, because the row in the database was newer or already the same.
    pub superseded: u64,
    /// Writes that the database refused while it accepted others; the file keeps them.
    pub rejected: usize,
    /// Why the last replay failed, until one succeeds.
    pub paused: Option<Error>,
    /// The new path of a file that was damaged at the start.
    pub damaged: Option<PathBuf>,
    /// The maximum number of writes of that file that were lost; 0 if it was not damaged.
    pub unreadable: u64,
}

/// A second database that also gets every write.
#[derive(Clone, Debug)]
pub struct MirrorStatus {
    /// What it is called, without secrets.
    pub name: String,
    /// How far it has come.
    pub readiness: Readiness,
    /// Its circuit breaker.
    pub breaker: BreakerStatus,
    /// Rows and cleanups that it does not have yet.
    pub waiting: usize,
    /// How long the oldest of them has waited.
    pub oldest: Option<Duration>,
    /// Rows that were copied since the start.
    pub mirrored: u64,
    /// Rows that were left as they are, since they are newer there: another program writes to it.
    pub newer: u64,
    /// Writes that it may never get, since they could not be recorded or it refuses them: migrate again, and verify.
    pub missed: u64,
    /// Reads whose answers were compared.
    pub shadow: ShadowStatus,
    /// The last failure to copy rows.
    pub last_error: Option<LastError>,
}

/// Reads whose answers were compared with those of the mirror, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShadowStatus {
    /// Both returned the same answer.
    pub same: u64,
    /// Their answers differed, and still did after a few hundred milliseconds.
    pub different: u64,
    /// One of them did not answer.
    pub failed: u64,
}

/// How an operation failed, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// The error.
    pub error: Error,
    /// How long ago.
    pub age: Duration,
}

/// An error of late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentError {
    /// The error.
    pub error: Error,
    /// How long ago it happened last.
    pub age: Duration,
    /// How often it has happened.
    pub times: u64,
}

/// How long ago a time was, both in seconds since the Unix epoch; nothing for one in the future.
pub(super) fn age(then: i64, now: i64) -> Duration {
    Duration::from_secs(u64::try_from(now - then).unwrap_or_default())
}
