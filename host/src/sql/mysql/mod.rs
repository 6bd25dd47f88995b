//! SQLite files.
use std::sync::Arc;
use super::{Database, Result};
pub fn open(_: &crate::config::MysqlConfig, _: &crate::config::PoolConfig) -> Result<Arc<dyn Database>> { unimplemented!() }
