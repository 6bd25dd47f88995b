//! Writing to a second database.

use super::Config;

/// A second database that gets every write, for moving a bot there while it works.
#[derive(Clone, Debug)]
pub struct MirrorConfig {
    /// How to reach it. Of its resilience the retry and the breaker count.
    pub config: Box<Config>,
    /// What it is called, without secrets, such as `mysql://bot@db:3306/state`.
    pub name: String,
    /// The share of reads, from 0 to 1, whose answers are compared with the second database's.
    pub shadow_reads: f64,
}
