//! What is done while the database is away.

use std::path::PathBuf;
use std::time::Duration;

/// What is done while the database is away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResilienceConfig {
    /// What `initialize` does where the database is away.
    pub on_unavailable: OnUnavailable,
    /// Repeating operations.
    pub retry: RetryConfig,
    /// Leaving a database alone that does not answer.
    pub breaker: BreakerConfig,
    /// Keeping writes until the database is back; `None` fails them instead.
    pub spool: Option<SpoolConfig>,
}

/// What `initialize` does where the database is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnavailable {
    /// It fails.
    Fail,
    /// It succeeds after [`START_WAIT`], and the storage initialises by itself once the database is there.
    #[default]
    Degrade,
}

/// The longest that a start waits for a database that does not answer, where it may go on without.
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

/// How operations are repeated that failed in a way that another try can mend, within their deadline. The pauses grow
/// exponentially and are spread at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryConfig {
    /// How often an operation is tried in all; 1 repeats nothing.
    pub attempts: u32,
    /// The pause before the second attempt.
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

/// When a database is left alone, and how it is asked whether it is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Failures in a row after which operations are answered at once; 0 for never.
    pub failures: u32,
    /// The time between two probes.
    pub probe_interval: Duration,
    /// The longest that a probe may take.
    pub probe_timeout: Duration,
}

impl Default for BreakerConfig {
    /// 5 failures; a probe every second that may take 2, so that service is back within 5 seconds of the database.
    fn default() -> Self {
        Self { failures: 5, probe_interval: Duration::from_secs(1), probe_timeout: Duration::from_secs(2) }
    }
}

/// Where writes are kept until the database is back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolConfig {
    /// The file, of one host alone. Its folder is created.
    pub path: PathBuf,
    /// The most writes that it keeps, one for each row that was written.
    pub limit: usize,
}

impl SpoolConfig {
    /// The limit where none is set: some 30 MB of memory and of disk.
    pub const LIMIT: usize = 100_000;
}
