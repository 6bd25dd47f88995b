//! What a storage is doing, for those who watch it.

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
    /// Started without its database, which is initialised once it is there.
    Degraded,
    /// Initialised. Whether the database answers at the moment is the circuit breaker's to say.
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

/// What a [`ResilientStorage`](crate::ResilientStorage) is doing.
#[derive(Clone, Debug)]
pub struct Status {
    /// How far it has come.
    pub readiness: Readiness,
    /// The circuit breaker.
    pub breaker: BreakerStatus,
    /// The pool of connections, and the plugin's instances with their restarts.
    pub storage: StorageStatus,
    /// The spool, where there is one and it is open.
    pub spool: Option<SpoolStatus>,
    /// The second database that gets every write too, where there is one.
    pub mirror: Option<MirrorStatus>,
    /// The last operation that failed, also where a repetition of it succeeded.
    pub last_error: Option<LastError>,
}

/// What waits in the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolStatus {
    /// Its file.
    pub path: PathBuf,
    /// Writes that wait for the database.
    pub depth: usize,
    /// The most that may wait.
    pub limit: usize,
    /// How long the oldest of them has waited.
    pub oldest: Option<Duration>,
    /// Writes that were put into the database since the start.
    pub replayed: u64,
    /// Writes that were left out since the start, because the row in the database was newer or the same already.
    pub superseded: u64,
    /// Writes that the database refused while it took others, which the file keeps.
    pub rejected: usize,
    /// Why the last attempt to empty it failed, until one succeeds.
    pub paused: Option<Error>,
    /// Where the file that was found damaged at the start was put.
    pub damaged: Option<PathBuf>,
    /// How many writes of that file could not be read, at most; 0 where it was not damaged.
    pub unreadable: u64,
}

/// A second database that gets every write too.
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
    /// Rows that were brought over since the start.
    pub mirrored: u64,
    /// Rows of these that were left as they are there, since they are newer there: somebody else writes to it.
    pub newer: u64,
    /// Writes that it may never get, since they could not be noted or it refuses them: migrate again, and verify.
    pub missed: u64,
    /// Reads whose answers were compared.
    pub shadow: ShadowStatus,
    /// The last failure to bring rows over.
    pub last_error: Option<LastError>,
}

/// Reads whose answers were compared with those of the mirror, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShadowStatus {
    /// Both answered the same.
    pub same: u64,
    /// They answered differently, and still after a few hundred milliseconds.
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

/// How long ago a time was, both in seconds since the Unix epoch; nothing for one in the future.
pub(super) fn age(then: i64, now: i64) -> Duration {
    Duration::from_secs(u64::try_from(now - then).unwrap_or_default())
}
