//! The operations.

use std::time::Duration;

use async_trait::async_trait;

use super::mirror::ShadowRead;
use super::spool::{SpooledWrite, age_until};
use super::{ResilientStorage, Shared};
use crate::clock::seconds_before;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ImportOutcome, MessageKey, MessageState, OnEqual, Operation, RowCounts, ThreadOwnership, Written};
use crate::service::{StorageService, TransferService};

impl Shared {
    /// The state as the spool is to keep it.
    fn spooled_state(&self, state: &MessageState) -> Result<SpooledWrite> {
        state.validate()?;
        let now = self.now();
        let created_at = if state.created_at == 0 { now } else { state.created_at };
        Ok(SpooledWrite::State(MessageState { id: 0, created_at, updated_at: now, ..state.clone() }))
    }

    fn spooled_ownership(&self, ownership: &ThreadOwnership) -> Result<SpooledWrite> {
        ownership.validate()?;
        let now = self.now();
        Ok(SpooledWrite::Ownership(ThreadOwnership { id: 0, created_at: now, updated_at: now, ..ownership.clone() }))
    }

    fn spooled_cleanup(&self, max_age: Duration) -> Result<SpooledWrite> {
        if max_age.is_zero() {
            return Err(Error::new(ErrorKind::InvalidInput, "max-age is 0: give at least 1"));
        }
        Ok(SpooledWrite::Cleanup { cutoff: seconds_before(self.clock.now(), max_age) })
    }
}

#[async_trait]
impl StorageService for ResilientStorage {
    async fn initialize(&self) -> Result<()> {
        self.shared.observe(Operation::Initialize, async { self.start().await }).await
    }

    async fn close(&self) -> Result<()> {
        self.shared.observe(Operation::Close, async { self.stop().await }).await
    }

    async fn get_message_state(&self, channel_id: &str, thread_id: Option<&str>) -> Result<Option<MessageState>> {
        self.shared
            .observe(Operation::GetMessageState, async {
                let shared = &self.shared;
                if let Some(journal) = shared.waiting()?
                    && let Some(state) = journal.view().state(channel_id, thread_id)
                {
                    return Ok(Some(state.clone()));
                }
                let operation = || shared.storage.get_message_state(channel_id, thread_id);
                let state = shared.run(shared.timeouts().operation, operation).await?;
                shared.shadowed(ShadowRead::State(channel_id, thread_id));
                Ok(state)
            })
            .await
    }

    async fn upsert_message_state(&self, state: &MessageState) -> Result<Written> {
        self.shared
            .observe(Operation::UpsertMessageState, async {
                let shared = &*self.shared;
                let operation = || shared.storage.upsert_message_state(state);
                let write = shared.write(Some(()), || shared.spooled_state(state), operation);
                shared.mirrored(|| shared.spooled_state(state), write).await
            })
            .await
    }

    async fn get_all_message_states(&self) -> Result<Vec<MessageState>> {
        self.shared
            .observe(Operation::GetAllMessageStates, async {
                let shared = &*self.shared;
                // Before the database is read: what leaves the spool meanwhile may be in its answer or not.
                let waiting = shared.waiting()?.map(|journal| journal.view().clone());
                let stored = shared.run(shared.timeouts().list, || shared.storage.get_all_message_states()).await?;
                self.shared.shadowed(ShadowRead::States);
                Ok(match waiting {
                    Some(view) => view.over_states(stored, |_| true),
                    None => stored,
                })
            })
            .await
    }

    async fn get_message_states_within_window(&self, window: Duration) -> Result<Vec<MessageState>> {
        self.shared
            .observe(Operation::GetMessageStatesWithinWindow, async {
                let shared = &*self.shared;
                let waiting = shared.waiting()?.map(|journal| journal.view().clone());
                let cutoff = seconds_before(shared.clock.now(), window);
                let operation = || shared.storage.get_message_states_within_window(window);
                let stored = shared.run(shared.timeouts().list, operation).await?;
                self.shared.shadowed(ShadowRead::StatesWithin(window));
                Ok(match waiting {
                    Some(view) => view.over_states(stored, |state| state.last_seen_timestamp >= cutoff),
                    None => stored,
                })
            })
            .await
    }

    async fn health_check(&self) -> Result<()> {
        self.shared
            .observe(Operation::HealthCheck, async {
                let shared = &*self.shared;
                shared.run(shared.timeouts().operation, || shared.storage.health_check()).await
            })
            .await
    }

    async fn get_thread_ownership(&self, thread_id: &str) -> Result<Option<ThreadOwnership>> {
        self.shared
            .observe(Operation::GetThreadOwnership, async {
                let shared = &*self.shared;
                let waiting = shared.waiting()?.map(|journal| {
                    let view = journal.view();
                    (view.ownership(thread_id).map(|row| row.cloned()), view.cleanups())
                });
                let cleanups = match waiting {
                    Some((Some(row), _)) => return Ok(row),
                    Some((None, cleanups)) => cleanups,
                    None => Vec::new(),
                };
                let operation = || shared.storage.get_thread_ownership(thread_id);
                let stored = shared.run(shared.timeouts().operation, operation).await?;
                self.shared.shadowed(ShadowRead::Ownership(thread_id));
                Ok(stored.filter(|row| cleanups.iter().all(|cutoff| row.creation_time >= *cutoff)))
            })
            .await
    }

    async fn upsert_thread_ownership(&self, ownership: &ThreadOwnership) -> Result<Written> {
        self.shared
            .observe(Operation::UpsertThreadOwnership, async {
                let shared = &*self.shared;
                let operation = || shared.storage.upsert_thread_ownership(ownership);
                let write = shared.write(Some(()), || shared.spooled_ownership(ownership), operation);
                shared.mirrored(|| shared.spooled_ownership(ownership), write).await
            })
            .await
    }

    async fn get_all_thread_ownerships(&self) -> Result<Vec<ThreadOwnership>> {
        self.shared
            .observe(Operation::GetAllThreadOwnerships, async {
                let shared = &*self.shared;
                let waiting = shared.waiting()?.map(|journal| journal.view().clone());
                let operation = || shared.storage.get_all_thread_ownerships();
                let stored = shared.run(shared.timeouts().list, operation).await?;
                self.shared.shadowed(ShadowRead::Ownerships);
                Ok(match waiting {
                    Some(view) => view.over_ownerships(stored),
                    None => stored,
                })
            })
            .await
    }

    async fn cleanup_old_thread_ownerships(&self, max_age: Duration) -> Result<Written<u64>> {
        self.shared
            .observe(Operation::CleanupOldThreadOwnerships, async {
                let shared = &*self.shared;
                let given = shared.spooled_cleanup(max_age);
                // The mirror is to lose the same rows, so both come to the same second.
                let max_age = match (&given, &shared.mirror) {
                    (Ok(SpooledWrite::Cleanup { cutoff }), Some(_)) => age_until(*cutoff, shared.clock.now()),
                    _ => max_age,
                };
                let operation = || shared.storage.cleanup_old_thread_ownerships(max_age);
                let write = shared.write(None, || shared.spooled_cleanup(max_age), operation);
                shared.mirrored(|| given, write).await
            })
            .await
    }
}

/// Goes to the database alone: what waits in the spool is not exported, and imports do not wait there.
#[async_trait]
impl TransferService for ResilientStorage {
    async fn count_rows(&self) -> Result<Option<RowCounts>> {
        let shared = &*self.shared;
        shared.run(shared.timeouts().list, || shared.storage.count_rows()).await
    }

    async fn export_message_states(&self, after: Option<&MessageKey>, limit: u32) -> Result<Vec<MessageState>> {
        let shared = &*self.shared;
        shared.run(shared.timeouts().list, || shared.storage.export_message_states(after, limit)).await
    }

    async fn import_message_states_with(&self, states: &[MessageState], on_equal: OnEqual) -> Result<ImportOutcome> {
        let shared = &*self.shared;
        shared.run(shared.timeouts().list, || shared.storage.import_message_states_with(states, on_equal)).await
    }

    async fn export_thread_ownerships(&self, after: Option<&str>, limit: u32) -> Result<Vec<ThreadOwnership>> {
        let shared = &*self.shared;
        shared.run(shared.timeouts().list, || shared.storage.export_thread_ownerships(after, limit)).await
    }

    async fn import_thread_ownerships_with(
        &self,
        ownerships: &[ThreadOwnership],
        on_equal: OnEqual,
    ) -> Result<ImportOutcome> {
        let shared = &*self.shared;
        shared.run(shared.timeouts().list, || shared.storage.import_thread_ownerships_with(ownerships, on_equal)).await
    }
}
