//! stub
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Clock;
use crate::config::Config;
use crate::error::Result;
use crate::model::{ImportOutcome, MessageKey, MessageState, ThreadOwnership};
use crate::plugin::{Limits, PluginError};
use crate::service::{StorageService, TransferService};
use crate::sql::{Engine, PoolStatus, Server};

/// Why a [`Storage`] could not be made. Nothing has been asked of a database yet.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The environment is wrong.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// The component is missing, is none, or speaks another version.
    #[error(transparent)]
    Plugin(#[from] PluginError),
}

/// A bot's storage behind a sandboxed backend.
pub struct Storage {}

/// What a backend says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// A short name, such as `sqlite`.
    pub name: String,
    /// The backend's own version.
    pub version: String,
    /// The database it needs.
    pub engine: Engine,
    /// The newest schema version that it knows.
    pub schema_version: u32,
}

/// What a storage is doing.
#[derive(Clone, Debug)]
pub struct StorageStatus {
    /// Connections; `None` while the storage is not open.
    pub pool: Option<PoolStatus>,
    /// Instances of the component that exist.
    pub instances: usize,
    /// Instances that were thrown away after a trap, a refused allocation or a passed deadline.
    pub discarded_instances: u64,
}

/// Builds a [`Storage`] with more than a [`Config`].
pub struct StorageBuilder {}

impl StorageBuilder {
    /// Another wall clock for the backend, for tests.
    pub fn clock(self, _clock: Arc<dyn Clock>) -> Self {
        self
    }
    /// Other limits than [`Limits::standard`].
    pub fn limits(self, _limits: Limits) -> Self {
        self
    }
    /// Loads the component. Blocks while it is compiled: up to half a second, unless its code is cached.
    pub fn build(self) -> Result<Storage, StartError> {
        unimplemented!()
    }
}

impl Storage {
    /// A storage as the environment describes it.
    pub fn from_env() -> Result<Self, StartError> {
        unimplemented!()
    }
    /// A storage as `config` describes it.
    pub fn builder(_config: Config) -> StorageBuilder {
        unimplemented!()
    }
    /// What the backend says of itself.
    pub fn backend(&self) -> &Description {
        unimplemented!()
    }
    /// What the storage is doing.
    pub fn status(&self) -> StorageStatus {
        unimplemented!()
    }
    /// Which database it is connected to.
    pub async fn server(&self) -> Result<Server> {
        unimplemented!()
    }
    /// The version of the schema in the database; `None` where there is none.
    pub async fn schema_version(&self) -> Result<Option<u32>> {
        unimplemented!()
    }
}

#[async_trait]
impl StorageService for Storage {
    async fn initialize(&self) -> Result<()> {
        unimplemented!()
    }
    async fn close(&self) -> Result<()> {
        unimplemented!()
    }
    async fn get_message_state(&self, _channel_id: &str, _thread_id: Option<&str>) -> Result<Option<MessageState>> {
        unimplemented!()
    }
    async fn upsert_message_state(&self, _state: &MessageState) -> Result<()> {
        unimplemented!()
    }
    async fn get_all_message_states(&self) -> Result<Vec<MessageState>> {
        unimplemented!()
    }
    async fn get_message_states_within_window(&self, _window: Duration) -> Result<Vec<MessageState>> {
        unimplemented!()
    }
    async fn health_check(&self) -> Result<()> {
        unimplemented!()
    }
    async fn get_thread_ownership(&self, _thread_id: &str) -> Result<Option<ThreadOwnership>> {
        unimplemented!()
    }
    async fn upsert_thread_ownership(&self, _ownership: &ThreadOwnership) -> Result<()> {
        unimplemented!()
    }
    async fn get_all_thread_ownerships(&self) -> Result<Vec<ThreadOwnership>> {
        unimplemented!()
    }
    async fn cleanup_old_thread_ownerships(&self, _max_age: Duration) -> Result<u64> {
        unimplemented!()
    }
}
#[async_trait]
impl TransferService for Storage {
    async fn export_message_states(&self, _after: Option<&MessageKey>, _limit: u32) -> Result<Vec<MessageState>> {
        unimplemented!()
    }
    async fn import_message_states(&self, _states: &[MessageState]) -> Result<ImportOutcome> {
        unimplemented!()
    }
    async fn export_thread_ownerships(&self, _after: Option<&str>, _limit: u32) -> Result<Vec<ThreadOwnership>> {
        unimplemented!()
    }
    async fn import_thread_ownerships(&self, _ownerships: &[ThreadOwnership]) -> Result<ImportOutcome> {
        unimplemented!()
    }
}
