//! Resilient storages on a MySQL server of one test.

use std::sync::Arc;

use anyhow::Result;
use cofferdam::clock::{ManualClock, SystemClock};
use cofferdam::config::{Config, OnUnavailable};
use cofferdam::resilience::BreakerState;
use cofferdam::{MessageState, ResilientStorage, StorageService};
pub use cofferdam_tests::harness::outage::{Outage as Rig, until_open};
pub use cofferdam_tests::harness::wait::SOON;
use cofferdam_tests::harness::wait::until;

pub fn build(config: Config) -> Result<ResilientStorage> {
    Ok(ResilientStorage::builder(config).clock(Arc::new(SystemClock)).build()?)
}

pub fn build_at(config: Config, clock: &Arc<ManualClock>) -> Result<ResilientStorage> {
    Ok(ResilientStorage::builder(config).clock(clock.clone()).build()?)
}

pub async fn start(config: Config) -> Result<ResilientStorage> {
    let storage = build(config)?;
    storage.initialize().await?;
    Ok(storage)
}

pub fn failing(mut config: Config) -> Config {
    config.resilience.on_unavailable = OnUnavailable::Fail;
    config
}

pub async fn until_closed(storage: &ResilientStorage) -> Result<()> {
    until("the breaker closes", SOON, async || storage.status().breaker.state == BreakerState::Closed).await
}

pub async fn until_empty(storage: &ResilientStorage) -> Result<()> {
    until("the spool is empty", SOON, async || depth(storage) == 0).await
}

pub fn depth(storage: &ResilientStorage) -> usize {
    storage.status().spool.map_or(0, |spool| spool.depth)
}

pub fn state(channel: &str, message: &str) -> MessageState {
    MessageState::new(channel, None, message, 1)
}

pub async fn message(storage: &dyn StorageService, channel: &str) -> Result<Option<String>> {
    Ok(storage.get_message_state(channel, None).await?.map(|state| state.last_message_id))
}
