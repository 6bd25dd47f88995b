//! A storage under test.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use cofferdam::config::{Config, SpoolConfig, Timeouts};
use cofferdam::{ResilientStorage, StorageService};

use super::Guard;
use super::scene::DEADLINE;
use crate::harness::sqlite::SqliteFolder;
use crate::harness::storage::spool_in;
use crate::harness::wait::until;

/// The longest that a spool may take to empty, so that a test ends.
const DRAINING: Duration = Duration::from_secs(120);

/// A storage with short deadlines, and the folder of its spool.
pub struct Opened {
    /// The storage.
    pub storage: Arc<ResilientStorage>,
    /// The same for callers.
    pub service: Arc<dyn StorageService>,
    spool: Option<(SpoolConfig, SqliteFolder)>,
}

impl Opened {
    /// Opens and initialises it.
    ///
    /// # Errors
    ///
    /// As [`initialize`](StorageService::initialize).
    pub async fn on(mut config: Config, guard: Guard) -> Result<Self> {
        config.timeouts = Timeouts { operation: DEADLINE, ..config.timeouts };
        let spool = match guard {
            Guard::Resilient => None,
            Guard::Spool => {
                let folder = SqliteFolder::new()?;
                Some((spool_in(&folder), folder))
            }
        };
        config.resilience.spool = spool.as_ref().map(|(config, _)| config.clone());
        let storage = Arc::new(ResilientStorage::builder(config).build()?);
        storage.initialize().await?;
        let service = storage.clone();
        Ok(Self { storage, service, spool })
    }

    /// The spool's settings, where there is one.
    pub fn spool(&self) -> Option<&SpoolConfig> {
        self.spool.as_ref().map(|(config, _)| config)
    }

    /// Waits until all that was spooled is in the database, and says how many writes waited and how long that took.
    ///
    /// # Errors
    ///
    /// It is not after two minutes, or the database refused a write of the spool.
    pub async fn drained(&self) -> Result<Option<(usize, Duration)>> {
        let depth = || self.storage.status().spool.map_or(0, |spool| spool.depth);
        let waiting = depth();
        if self.spool.is_none() {
            return Ok(None);
        }
        let started = Instant::now();
        until("the spool is empty", DRAINING, async || depth() == 0).await?;
        let rejected = self.storage.status().spool.map_or(0, |spool| spool.rejected);
        ensure!(rejected == 0, "{rejected} writes of the spool were refused by the database");
        Ok(Some((waiting, started.elapsed())))
    }
}
