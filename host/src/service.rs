//! The eleven operations, and the transfer of data.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;
use crate::model::migration::{Lease, Overview, OwnershipsPage, Progress, Run, StatesPage, Undone};
use crate::model::packed::{MessageStateColumns, ThreadOwnershipColumns};
use crate::model::{ImportOutcome, MessageKey, MessageState, OnEqual, RowCounts, ThreadOwnership, Written};

/// A bot's storage: eleven operations with the same behaviour on every backend.
///
/// Every operation has a deadline. Dropping its future cancels it. If a write ends in
/// [`Timeout`](crate::ErrorKind::Timeout) or is cancelled, its outcome is unknown. Upserts are idempotent, so a retry is
/// safe.
#[async_trait]
pub trait StorageService: Send + Sync {
    /// Connects, creates missing tables and upgrades an older schema in place. Idempotent. Until it has succeeded, the
    /// other operations fail with [`NotInitialized`](crate::ErrorKind::NotInitialized).
    ///
    /// # Errors
    ///
    /// [`SchemaMismatch`](crate::ErrorKind::SchemaMismatch) if the schema is newer than the backend supports or does not
    /// match its version. Nothing is written then.
    async fn initialize(&self) -> Result<()>;

    /// Waits for operations in flight, within its deadline, and closes all connections. Idempotent. `initialize` opens the
    /// storage again.
    async fn close(&self) -> Result<()>;

    /// Returns the state of exactly this channel and thread, or `Ok(None)`. A `thread_id` of `None` matches only the state
    /// without a thread.
    async fn get_message_state(&self, channel_id: &str, thread_id: Option<&str>) -> Result<Option<MessageState>>;

    /// Inserts or updates a state, atomically. The last write to arrive wins. `updated_at` becomes now. An
    /// insert keeps `created_at`, unless it is 0, which means now. An update changes `last_message_id`,
    /// `last_seen_timestamp` and `updated_at` only.
    async fn upsert_message_state(&self, state: &MessageState) -> Result<Written>;

    /// Returns all states, newest `last_seen_timestamp` first, then by channel id and thread id bytewise, `None` first.
    async fn get_all_message_states(&self) -> Result<Vec<MessageState>>;

    /// Returns the states with `last_seen_timestamp >= floor(now - window)`, in the order of
    /// [`get_all_message_states`](Self::get_all_message_states). Timestamps in the future are included.
    async fn get_message_states_within_window(&self, window: Duration) -> Result<Vec<MessageState>>;

    /// Checks the connection, both tables and the schema version. The cost does not depend on the number of rows.
    async fn health_check(&self) -> Result<()>;

    /// Returns the ownership of this thread, or `Ok(None)`.
    async fn get_thread_ownership(&self, thread_id: &str) -> Result<Option<ThreadOwnership>>;

    /// Inserts or updates an ownership, atomically. An insert sets `created_at` and `updated_at` to now. An
    /// update changes all columns except `id`, `thread_id` and `created_at`, and sets `updated_at` to now.
    async fn upsert_thread_ownership(&self, ownership: &ThreadOwnership) -> Result<Written>;

    /// Returns all ownerships, newest `creation_time` first, then by thread id bytewise.
    async fn get_all_thread_ownerships(&self) -> Result<Vec<ThreadOwnership>>;

    /// Deletes ownerships with `creation_time < floor(now - max_age)` and returns their number. One of exactly
    /// that age stays. A `max_age` of zero is [`InvalidInput`](crate::ErrorKind::InvalidInput).
    async fn cleanup_old_thread_ownerships(&self, max_age: Duration) -> Result<Written<u64>>;
}

/// Transfers data between storages: exports by keyset pagination, and imports that keep every value.
///
/// Keys are ordered bytewise by channel id, then thread id, none first. In an import the row with the greater
/// `updated_at` wins; if they are equal, [`OnEqual`] decides.
#[async_trait]
pub trait TransferService: Send + Sync {
    /// Counts the rows in the tables themselves, not in the index that pages are read along; `None` if that is not possible.
    /// An export compares the number of rows that it read with this.
    ///
    /// # Errors
    ///
    /// [`CorruptData`](crate::ErrorKind::CorruptData) if pages would miss some of them.
    async fn count_rows(&self) -> Result<Option<RowCounts>> {
        Ok(None)
    }

    /// Returns up to `limit` states with a key greater than `after`. Fewer than `limit` means the end. A `limit` of 0 is
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput).
    async fn export_message_states(&self, after: Option<&MessageKey>, limit: u32) -> Result<Vec<MessageState>>;

    /// Imports all of these rows or none. Keeps every value except `id`.
    async fn import_message_states_with(&self, states: &[MessageState], on_equal: OnEqual) -> Result<ImportOutcome>;

    /// As [`import_message_states_with`](Self::import_message_states_with) and [`OnEqual::Keep`].
    async fn import_message_states(&self, states: &[MessageState]) -> Result<ImportOutcome> {
        self.import_message_states_with(states, OnEqual::Keep).await
    }

    /// Returns up to `limit` ownerships with a thread id greater than `after`.
    async fn export_thread_ownerships(&self, after: Option<&str>, limit: u32) -> Result<Vec<ThreadOwnership>>;

    /// Imports all of these rows or none. Keeps every value except `id`.
    async fn import_thread_ownerships_with(
        &self,
        ownerships: &[ThreadOwnership],
        on_equal: OnEqual,
    ) -> Result<ImportOutcome>;

    /// As [`import_thread_ownerships_with`](Self::import_thread_ownerships_with) and [`OnEqual::Keep`].
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
