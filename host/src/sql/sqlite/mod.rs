//! SQLite files.
use super::{Database, Result};
use std::sync::Arc;
pub fn open(_: &crate::config::SqliteConfig, _: &crate::config::PoolConfig) -> Result<Arc<dyn Database>> {
    unimplemented!()
}
