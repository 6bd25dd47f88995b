//! The eleven operations, and moving data.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;
use crate::model::migration::{Lease, Overview, OwnershipsPage, Progress, Run, StatesPage, Undone};
use crate::model::packed::{MessageStateColumns, ThreadOwnershipColumns};
use crate::model::{ImportOutcome, MessageKey, MessageState, OnEqual, RowCounts, ThreadOwnership, Written};

/// A bot's storage: eleven operations, the same on every backend.
///
/// Every operation has a deadline and can be cancelled by dropping its future. Where a write ends in
/// [`Timeout`](crate::ErrorKind::Timeout) or is cancelled, whether it took effect is unknown; upserts are
/// idempotent, so it may simply be repeated.
#[async_trait]
pub trait StorageService: Send + Sync {
    /// Connects, creates what is missing in the database and upgrades an older schema in place. Harmless to
    /// repeat. Until it has succeeded the other operations answer
    /// [`NotInitialized`](crate::ErrorKind::NotInitialized).
    ///
    /// # Errors
    ///
    /// [`SchemaMismatch`](crate::ErrorKind::SchemaMismatch) where the schema is newer than the backend knows or
    /// is not what its version says; nothing is written then.
    async fn initialize(&self) -> Result<()>;

    /// Waits for operations in flight, within its deadline, and closes all connections. Harmless to repeat.
    /// `initialize` opens the storage again.
    async fn close(&self) -> Result<()>;

    /// The state of exactly this channel and thread; `None` matches only states without a thread. Not found is
    /// `Ok(None)`.
    async fn get_message_state(&self, channel_id: &str, thread_id: Option<&str>) -> Result<Option<MessageState>>;

    /// Inserts or updates a state, atomically; the last write to arrive wins. `updated_at` becomes now. An
    /// insert keeps `created_at` unless it is 0, which means now. An update changes `last_message_id`,
    /// `last_seen_timestamp` and `updated_at` only.
    async fn upsert_message_state(&self, state: &MessageState) -> Result<Written>;

    /// Every state, newest `last_seen_timestamp` first, then by channel id and thread id bytewise, `None` first.
    async fn get_all_message_states(&self) -> Result<Vec<MessageState>>;

    /// The states with `last_seen_timestamp >= floor(now - window)`, in the order of
    /// [`get_all_message_states`](Self::get_all_message_states). Timestamps in the future are included.
    async fn get_message_states_within_window(&self, window: Duration) -> Result<Vec<MessageState>>;

    /// Looks at the connection, both tables and the schema's version, at the same cost whatever their size.
    async fn health_check(&self) -> Result<()>;

    /// The ownership of exactly this thread. Not found is `Ok(None)`.
    async fn get_thread_ownership(&self, thread_id: &str) -> Result<Option<ThreadOwnership>>;

    /// Inserts or updates an ownership, atomically. An insert sets `created_at` and `updated_at` to now; an
    /// update changes all but `id`, `thread_id` and `created_at`, and sets `updated_at` to now.
    async fn upsert_thread_ownership(&self, ownership: &ThreadOwnership) -> Result<Written>;

    /// Every ownership, newest `creation_time` first, then by thread id bytewise.
    async fn get_all_thread_ownerships(&self) -> Result<Vec<ThreadOwnership>>;

    /// Deletes ownerships with `creation_time < floor(now - max_age)` and returns how many went: one exactly
    /// that old stays. A `max_age` of zero is [`InvalidInput`](crate::ErrorKind::InvalidInput).
    async fn cleanup_old_thread_ownerships(&self, max_age: Duration) -> Result<Written<u64>>;
}

/// Moving data between storages: pages in key order, and imports that keep every value exactly.
///
/// Keys are ordered bytewise by channel id, then thread id, none first. In an import the row with the greater
/// `updated_at` wins; of equal ones [`OnEqual`] says which.
#[async_trait]
pub trait TransferService: Send + Sync {
    /// How many rows the tables have, counted by the tables themselves and not by what pages are read along; `None` where that
    /// cannot be told. An export compares what it has read with it.
    ///
    /// # Errors
    ///
    /// [`CorruptData`](crate::ErrorKind::CorruptData) where pages would not find all of them.
    async fn count_rows(&self) -> Result<Option<RowCounts>> {
        Ok(None)
    }

    /// Up to `limit` states with a key greater than `after`. Fewer than `limit` means the end. A `limit` of 0 is
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput).
    async fn export_message_states(&self, after: Option<&MessageKey>, limit: u32) -> Result<Vec<MessageState>>;

    /// Writes all of these or none. Keeps every value but `id`.
    async fn import_message_states_with(&self, states: &[MessageState], on_equal: OnEqual) -> Result<ImportOutcome>;

    /// As [`import_message_states_with`](Self::import_message_states_with), keeping what is there where it is equal.
    async fn import_message_states(&self, states: &[MessageState]) -> Result<ImportOutcome> {
        self.import_message_states_with(states, OnEqual::Keep).await
    }

    /// Up to `limit` ownerships with a thread id greater than `after`.
    async fn export_thread_ownerships(&self, after: Option<&str>, limit: u32) -> Result<Vec<ThreadOwnership>>;

    /// Writes all of these or none. Keeps every value but `id`.
    async fn import_thread_ownerships_with(
        &self,
        ownerships: &[ThreadOwnership],
        on_equal: OnEqual,
    ) -> Result<ImportOutcome>;

    /// As [`import_thread_ownerships_with`](Self::import_thread_ownerships_with), keeping what is there where it is equal.
    async fn import_thread_ownerships(&self, ownerships: &[ThreadOwnership]) -> Result<ImportOutcome> {
        self.import_thread_ownerships_with(ownerships, OnEqual::Keep).await
    }
}

/// What a migration asks of a storage, beside the operations. Pages pass as the backend packed them. An `owner` has the lease,
/// without which nothing is written.
#[async_trait]
pub(crate) trait MigrationService: StorageService {
    /// What is in the database, at a cost of a scan of each table.
    async fn survey(&self) -> Result<Overview>;

    /// States after this key.
    async fn read_message_states(&self, after: Option<&MessageKey>, limit: u32) -> Result<StatesPage>;

    /// Ownerships after this thread.
    async fn read_thread_ownerships(&self, after: Option<&str>, limit: u32) -> Result<OwnershipsPage>;

    /// Who may write a run, if anybody.
    async fn held_lease(&self) -> Result<Option<Lease>>;

    /// Takes the lease, if it still is what was seen.
    async fn take_lease(&self, owner: &str, instead_of: Option<&Lease>) -> Result<bool>;

    /// Shows the lease to be alive.
    async fn keep_lease(&self, owner: &str) -> Result<()>;

    /// Gives the lease back.
    async fn drop_lease(&self, owner: &str) -> Result<()>;

    /// Begins a run from `source`, or goes on with one that was interrupted.
    async fn begin_run(&self, owner: &str, source: &str) -> Result<Run>;

    /// Drops the indexes that only reads need, until [`create_indexes`](Self::create_indexes).
    async fn leave_out_indexes(&self, owner: &str, run: u32) -> Result<Run>;

    /// Creates the indexes that the newest run went without.
    async fn create_indexes(&self, owner: &str) -> Result<()>;

    /// Writes a page with its checkpoint, and what undoes it.
    async fn write_message_states(
        &self,
        owner: &str,
        progress: &Progress<'_>,
        rows: &MessageStateColumns,
    ) -> Result<Run>;

    /// As [`write_message_states`](Self::write_message_states).
    async fn write_thread_ownerships(
        &self,
        owner: &str,
        progress: &Progress<'_>,
        rows: &ThreadOwnershipColumns,
    ) -> Result<Run>;

    /// Ends a run.
    async fn finish_run(&self, owner: &str, run: u32) -> Result<Run>;

    /// Undoes the newest page; `None` where there is none.
    async fn undo(&self, owner: &str) -> Result<Option<Undone>>;

    /// Drops what the database remembers of its runs.
    async fn forget_runs(&self, owner: &str) -> Result<()>;
}
