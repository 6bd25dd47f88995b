//! What all contestants have in common.

use anyhow::Result;

use crate::shared::callers::Outcome;
use crate::shared::operation::Work;

/// Callers where there are some: fewer than connections.
pub const SOME: usize = 8;

/// Callers where there are many, as tasks or, for SQLite's bare driver, as work split among its threads.
pub const MANY: usize = 64;

/// Connections of everybody who has more than one: the default of the host.
pub const CONNECTIONS: usize = 10;

/// Somebody who runs the operations on a database of the schema.
pub trait Contestant {
    /// Its name in the benchmarks.
    fn name(&self) -> &'static str;

    /// Runs all of the work and checks every answer.
    ///
    /// # Errors
    ///
    /// An operation fails, or its answer is wrong.
    fn run(&mut self, work: &Work) -> Result<Outcome>;
}
