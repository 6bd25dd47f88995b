//! Opens any of the databases.

use std::sync::Arc;

use super::{Database, Result, mysql, sqlite};
use crate::config::{DatabaseConfig, PoolConfig};
use crate::engines::with_engines;

/// What a database is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A bot's operations.
    Serve,
    /// Reading alone: nothing in the database is changed, not even by opening it, and leases that write are refused. A file has
    /// to be there.
    Read,
    /// Writing much at a time, beside others who use the tables.
    Bulk,
}

macro_rules! open {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $module:ident, $config:ident;)*) => {
        /// Opens the configured database. Blocks for the time of a few file accesses.
        ///
        /// # Errors
        ///
        /// Where the configuration cannot be used, or a file cannot be opened; servers are connected to later.
        pub fn open(database: &DatabaseConfig, pool: &PoolConfig, purpose: Purpose) -> Result<Arc<dyn Database>> {
            match database {
                $(DatabaseConfig::$variant(config) => $module::open_for(config, pool, purpose),)*
            }
        }
    };
}
with_engines!(open);
