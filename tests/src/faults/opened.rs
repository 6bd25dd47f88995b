//! A storage under test.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use cofferdam::config::{Config, SpoolConfig, Timeouts};
use cofferdam::resilience::spool::inspect;
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
    pub async fn on(config: Config, guard: Guard) -> Result<Self> {
        Self::with(config, spool_of(guard)?).await
    }

    /// As [`on`](Self::on), with the spool of an earlier one.
    pub(super) async fn with(config: Config, spool: Option<(SpoolConfig, SqliteFolder)>) -> Result<Self> {
        Self::within(DEADLINE, config, spool).await
    }

    /// As [`with`](Self::with), with another deadline of operations.
    pub(super) async fn within(
        deadline: Duration,
        mut config: Config,
        spool: Option<(SpoolConfig, SqliteFolder)>,
    ) -> Result<Self> {
        config.timeouts = Timeouts { operation: deadline, ..config.timeouts };
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
        let Some((config, _)) = &self.spool else { return Ok(None) };
        let started = Instant::now();
        until("the spool is empty", DRAINING, async || depth() == 0).await?;
        let rejected = inspect(&config.path)?.rejected;
        let first = rejected.first().map(|(_, reason)| reason);
        ensure!(rejected.is_empty(), "the database refused {} writes of the spool: {first:?}", rejected.len());
        Ok(Some((waiting, started.elapsed())))
    }
}

/// A spool in a folder of its own, where there is to be one.
pub(super) fn spool_of(guard: Guard) -> Result<Option<(SpoolConfig, SqliteFolder)>> {
    Ok(match guard {
        Guard::Resilient => None,
        Guard::Spool => {
            let folder = SqliteFolder::new()?;
            Some((spool_in(&folder), folder))
        }
    })
}
