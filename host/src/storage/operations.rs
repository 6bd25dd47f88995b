//! The operations, each a call into an instance.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::Storage;
use super::serving::Phase;
use crate::error::{Error, ErrorKind, Result};
use crate::model::packed::{Malformed, MessageStateColumns, ThreadOwnershipColumns, TooLarge};
use crate::model::{ImportOutcome, MessageKey, MessageState, OnEqual, Operation, RowCounts, ThreadOwnership, Written};
use crate::plugin::Entry;
use crate::service::{MigrationService, StorageService, TransferService};
use crate::wall::bindings::types;

fn too_large(_: TooLarge) -> Error {
    Error::new(ErrorKind::InvalidInput, "one import may hold at most 4 GiB of text per column: import smaller batches")
}

pub(super) fn one<T>(_: &T) -> usize {
    1
}

pub(super) fn none<T>(_: &T) -> usize {
    0
}

fn found<T>(row: &Option<T>) -> usize {
    usize::from(row.is_some())
}

fn count(rows: &u64) -> usize {
    usize::try_from(*rows).unwrap_or(usize::MAX)
}

fn states(columns: &types::MessageStatesResult) -> usize {
    columns.ids.len()
}

fn ownerships(columns: &types::ThreadOwnershipsResult) -> usize {
    columns.ids.len()
}

fn unpack_states(columns: types::MessageStatesResult) -> Result<Vec<MessageState>, Malformed> {
    MessageStateColumns::from(columns).unpack()
}

fn unpack_ownerships(columns: types::ThreadOwnershipsResult) -> Result<Vec<ThreadOwnership>, Malformed> {
    ThreadOwnershipColumns::from(columns).unpack()
}

/// Nanoseconds for the contract; more than 584 years count as 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[async_trait]
impl StorageService for Storage {
    async fn initialize(&self) -> Result<()> {
        let deadline = Instant::now() + self.timeouts().initialize;
        let _opening = self.alone(deadline).await?;
        let (database, opened) = match self.open_database() {
            Ok(database) => (database, false),
            Err(_) => (self.connect(deadline).await?, true),
        };
        let initialize = async {
            self.check_obstacles(&*database, deadline).await?;
            let newest = self.backend().schema_version;
            // Where the version cannot be told, initialising says why.
            let is_upgrade = async {
                self.version_of(&database, deadline)
                    .await
                    .is_ok_and(|version| version.is_some_and(|known| known < newest))
            };
            self.check_before_upgrade(&database, is_upgrade, deadline).await?;
            self.on_instance(
                Operation::Initialize.name(),
                Some(database.clone()),
                deadline,
                none,
                async |Entry { plugin, store }| plugin.cofferdam_storage_storage().call_initialize(store).await,
            )
            .await
        };
        let initialized = initialize.await;
        match initialized {
            Ok(()) if opened => {
                drop(self.serving.set_phase(Phase::Open(database)));
                if let (instances, _, false) = self.serving.now() {
                    self.remember(&instances);
                }
            }
            Err(_) if opened => database.close(Instant::now() + self.timeouts().close).await,
            _ => {}
        }
        initialized
    }

    async fn close(&self) -> Result<()> {
        let deadline = Instant::now() + self.timeouts().close;
        let _opening = self.alone(deadline).await?;
        let Phase::Open(database) = self.serving.set_phase(Phase::Closed) else { return Ok(()) };
        let mut finished = Ok(());
        for instances in self.serving.everyone() {
            finished = finished.and(instances.close(&database, deadline).await);
        }
        database.close(deadline).await;
        finished
    }

    async fn get_message_state(&self, channel_id: &str, thread_id: Option<&str>) -> Result<Option<MessageState>> {
        let timeout = self.timeouts().operation;
        let state = self
            .operate(Operation::GetMessageState.name(), timeout, found, async |Entry { plugin, store }| {
                plugin.cofferdam_storage_storage().call_get_message_state(store, channel_id, thread_id).await
            })
            .await?;
        Ok(state.map(MessageState::from))
    }

    async fn upsert_message_state(&self, state: &MessageState) -> Result<Written> {
        let timeout = self.timeouts().operation;
        self.operate(Operation::UpsertMessageState.name(), timeout, one, async |Entry { plugin, store }| {
            plugin.cofferdam_storage_storage().call_upsert_message_state(store, state.into()).await
        })
        .await
        .map(Written::Stored)
    }

    async fn get_all_message_states(&self) -> Result<Vec<MessageState>> {
        self.list(Operation::GetAllMessageStates.name(), unpack_states, states, async |Entry { plugin, store }| {
            plugin.cofferdam_storage_storage().call_get_all_message_states(store).await
        })
        .await
    }

    async fn get_message_states_within_window(&self, window: Duration) -> Result<Vec<MessageState>> {
        let name = Operation::GetMessageStatesWithinWindow.name();
        self.list(name, unpack_states, states, async |Entry { plugin, store }| {
            let window = nanoseconds(window);
            plugin.cofferdam_storage_storage().call_get_message_states_within_window(store, window).await
        })
        .await
    }

    async fn health_check(&self) -> Result<()> {
        self.operate(Operation::HealthCheck.name(), self.timeouts().operation, none, async |Entry { plugin, store }| {
            plugin.cofferdam_storage_storage().call_health_check(store).await
        })
        .await
    }

    async fn get_thread_ownership(&self, thread_id: &str) -> Result<Option<ThreadOwnership>> {
        let timeout = self.timeouts().operation;
        let ownership = self
            .operate(Operation::GetThreadOwnership.name(), timeout, found, async |Entry { plugin, store }| {
                plugin.cofferdam_storage_storage().call_get_thread_ownership(store, thread_id).await
            })
            .await?;
        Ok(ownership.map(ThreadOwnership::from))
    }

    async fn upsert_thread_ownership(&self, ownership: &ThreadOwnership) -> Result<Written> {
        let timeout = self.timeouts().operation;
        self.operate(Operation::UpsertThreadOwnership.name(), timeout, one, async |Entry { plugin, store }| {
            plugin.cofferdam_storage_storage().call_upsert_thread_ownership(store, ownership.into()).await
        })
        .await
        .map(Written::Stored)
    }

    async fn get_all_thread_ownerships(&self) -> Result<Vec<ThreadOwnership>> {
        let name = Operation::GetAllThreadOwnerships.name();
        self.list(name, unpack_ownerships, ownerships, async |Entry { plugin, store }| {
            plugin.cofferdam_storage_storage().call_get_all_thread_ownerships(store).await
        })
        .await
    }

    async fn cleanup_old_thread_ownerships(&self, max_age: Duration) -> Result<Written<u64>> {
        let name = Operation::CleanupOldThreadOwnerships.name();
        self.operate(name, self.timeouts().operation, count, async |Entry { plugin, store }| {
            let max_age = nanoseconds(max_age);
            plugin.cofferdam_storage_storage().call_cleanup_old_thread_ownerships(store, max_age).await
        })
        .await
        .map(Written::Stored)
    }
}

#[async_trait]
impl TransferService for Storage {
    async fn count_rows(&self) -> Result<Option<RowCounts>> {
        let overview = self.survey().await?;
        Ok(Some(RowCounts {
            message_states: overview.message_states.rows,
            thread_ownerships: overview.thread_ownerships.rows,
            newest: overview.message_states.newest.max(overview.thread_ownerships.newest),
        }))
    }

    async fn export_message_states(&self, after: Option<&MessageKey>, limit: u32) -> Result<Vec<MessageState>> {
        let name = "export_message_states";
        self.list(name, unpack_states, states, async |Entry { plugin, store }| {
            plugin.cofferdam_storage_transfer().call_export_message_states(store, after.map(Into::into), limit).await
        })
        .await
    }

    async fn import_message_states_with(&self, rows: &[MessageState], on_equal: OnEqual) -> Result<ImportOutcome> {
        let columns = MessageStateColumns::pack(rows).map_err(too_large)?;
        let outcome = self
            .operate("import_message_states", self.timeouts().list, one, async |Entry { plugin, store }| {
                plugin
                    .cofferdam_storage_transfer()
                    .call_import_message_states(store, (&columns).into(), on_equal.into())
                    .await
            })
            .await?;
        Ok(outcome.into())
    }

    async fn export_thread_ownerships(&self, after: Option<&str>, limit: u32) -> Result<Vec<ThreadOwnership>> {
        let name = "export_thread_ownerships";
        self.list(name, unpack_ownerships, ownerships, async |Entry { plugin, store }| {
            plugin.cofferdam_storage_transfer().call_export_thread_ownerships(store, after, limit).await
        })
        .await
    }

    async fn import_thread_ownerships_with(
        &self,
        rows: &[ThreadOwnership],
        on_equal: OnEqual,
    ) -> Result<ImportOutcome> {
        let columns = ThreadOwnershipColumns::pack(rows).map_err(too_large)?;
        let outcome = self
            .operate("import_thread_ownerships", self.timeouts().list, one, async |Entry { plugin, store }| {
                plugin
                    .cofferdam_storage_transfer()
                    .call_import_thread_ownerships(store, (&columns).into(), on_equal.into())
                    .await
            })
            .await?;
        Ok(outcome.into())
    }
}
