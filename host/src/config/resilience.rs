//! Resilience while the database is unavailable.

use std::path::PathBuf;
use std::time::Duration;

/// Resilience while the database is unavailable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResilienceConfig {
    /// What `initialize` does if the database is unavailable.
    pub on_unavailable: OnUnavailable,
    /// Retries.
    pub retry: RetryConfig,
    /// The circuit breaker.
    pub breaker: BreakerConfig,
    /// The spool for writes; `None` fails them instead.
    pub spool: Option<SpoolConfig>,
}

/// What `initialize` does if the database is unavailable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnavailable {
    /// It fails.
    Fail,
    /// It succeeds after [`START_WAIT`], and the storage initialises by itself once the database is available.
    #[default]
    Degrade,
}

/// How long a start waits for an unavailable database before it continues without.
pub const START_WAIT: Duration = Duration::from_secs(10);

impl OnUnavailable {
    /// Both, as COFFERDAM_ON_UNAVAILABLE names them.
    pub const ALL: [Self; 2] = [Self::Fail, Self::Degrade];

    /// The name in COFFERDAM_ON_UNAVAILABLE.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Degrade => "degrade",
        }
    }
}

/// How operations with a retryable error are retried within their deadline. The pauses grow exponentially, with jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryConfig {
    /// Maximum number of attempts; 1 disables retries.
    pub attempts: u32,
    /// Pause before the first retry.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for RetryConfig {
    /// 5 attempts, as the original connects; pauses from 50 milliseconds to 1 second, so that all five fit into an
    /// operation's 5 seconds.
    fn default() -> Self {
        Self { attempts: 5, first_pause: Duration::from_millis(50), longest_pause: Duration::from_secs(1) }
    }
}

/// When the circuit breaker opens, and how it probes the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Consecutive failures that open it; 0 disables it.
    pub failures: u32,
    /// Interval between two probes.
    pub probe_interval: Duration,
    /// Timeout of a probe.
    pub probe_timeout: Duration,
}

impl Default for BreakerConfig {
    /// 5 failures; a probe every second that may take 2, so that service is back within 5 seconds of the database.
    fn default() -> Self {
        Self { failures: 5, probe_interval: Duration::from_secs(1), probe_timeout: Duration::from_secs(2) }
    }
}

/// The spool: where writes are kept until the database is back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolConfig {
    /// The file. Each host needs its own. Its folder is created.
    pub path: PathBuf,
    /// Maximum number of writes, one for each row.
    pub limit: usize,
}

impl SpoolConfig {
    /// The default limit: some 30 MB of memory and of disk.
    pub const LIMIT: usize = 100_000;
}
