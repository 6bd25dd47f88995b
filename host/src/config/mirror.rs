//! Writing to a second database.

use super::Config;

/// A second database that also gets every write, for an online migration.
#[derive(Clone, Debug)]
pub struct MirrorConfig {
    /// Its configuration. Of its resilience, only the retries and the circuit breaker are used.
    pub config: Box<Config>,
    /// What it is called, without secrets, such as `mysql://bot@db:3306/state`.
    pub name: String,
    /// The share of reads, from 0 to 1, whose answers are compared with the second database's.
    pub shadow_reads: f64,
}
