//! Rows of both tables, as far as replaying and mirroring are the same for both.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{MessageState, OnEqual, ThreadOwnership};
use crate::resilience::spool::SpooledWrite;
use crate::service::{StorageService, TransferService};
use crate::storage::Storage;

/// How many rows are looked up at a time: less than a pool has connections by default, so that the bot has some too.
const LOOKUPS: usize = 8;

/// A row of either table.
pub(super) trait Row: Clone + PartialEq + Send + Sync + Sized + 'static {
    /// The row of a write, if it is one of this table.
    fn of(write: &SpooledWrite) -> Option<&Self>;
    /// A write of this row.
    fn write(&self) -> SpooledWrite;
    /// Whether both are of one key.
    fn is_same(&self, other: &Self) -> bool;
    /// The row in the database.
    fn stored(&self, service: &(impl StorageService + ?Sized)) -> impl Future<Output = Result<Option<Self>>> + Send;
    /// Some rows of the database, the first ones by their keys.
    fn some(storage: &Storage, limit: u32) -> impl Future<Output = Result<Vec<Self>>> + Send;
    /// Writes the row whatever is there, as of now.
    fn upsert(&self, service: &(impl StorageService + ?Sized)) -> impl Future<Output = Result<()>> + Send;
    /// Says how many rows were kept as they are, since they are newer. Of two writes of one second the spooled one is
    /// the later: it was accepted after the one that reached the database.
    fn import(service: &(impl TransferService + ?Sized), rows: &[Self]) -> impl Future<Output = Result<u64>> + Send;
    /// Whether a write of this would change nothing that its caller gave.
    fn says_the_same(&self, stored: &Self) -> bool;
    fn updated_at(&self) -> i64;
    /// The row as an upsert at this time would leave it: it keeps when the row was made.
    fn over(self, stored: &Self, updated_at: i64) -> Self;
    /// The row as of this time.
    fn at(self, updated_at: i64) -> Self;
}

impl Row for MessageState {
    fn of(write: &SpooledWrite) -> Option<&Self> {
        match write {
            SpooledWrite::State(state) => Some(state),
            _ => None,
        }
    }

    fn write(&self) -> SpooledWrite {
        SpooledWrite::State(self.clone())
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.channel_id, &self.thread_id) == (&other.channel_id, &other.thread_id)
    }

    async fn stored(&self, service: &(impl StorageService + ?Sized)) -> Result<Option<Self>> {
        service.get_message_state(&self.channel_id, self.thread_id.as_deref()).await
    }

    async fn some(storage: &Storage, limit: u32) -> Result<Vec<Self>> {
        storage.export_message_states(None, limit).await
    }

    async fn upsert(&self, service: &(impl StorageService + ?Sized)) -> Result<()> {
        service.upsert_message_state(self).await.map(drop)
    }

    async fn import(service: &(impl TransferService + ?Sized), rows: &[Self]) -> Result<u64> {
        service.import_message_states_with(rows, OnEqual::Replace).await.map(|outcome| outcome.kept)
    }

    fn says_the_same(&self, stored: &Self) -> bool {
        self.last_message_id == stored.last_message_id && self.last_seen_timestamp == stored.last_seen_timestamp
    }

    fn updated_at(&self) -> i64 {
        self.updated_at
    }

    fn over(self, stored: &Self, updated_at: i64) -> Self {
        Self { created_at: stored.created_at, updated_at, ..self }
    }

    fn at(self, updated_at: i64) -> Self {
        Self { updated_at, ..self }
    }
}

impl Row for ThreadOwnership {
    fn of(write: &SpooledWrite) -> Option<&Self> {
        match write {
            SpooledWrite::Ownership(ownership) => Some(ownership),
            _ => None,
        }
    }

    fn write(&self) -> SpooledWrite {
        SpooledWrite::Ownership(self.clone())
    }

    fn is_same(&self, other: &Self) -> bool {
        self.thread_id == other.thread_id
    }

    async fn stored(&self, service: &(impl StorageService + ?Sized)) -> Result<Option<Self>> {
        service.get_thread_ownership(&self.thread_id).await
    }

    async fn some(storage: &Storage, limit: u32) -> Result<Vec<Self>> {
        storage.export_thread_ownerships(None, limit).await
    }

    async fn upsert(&self, service: &(impl StorageService + ?Sized)) -> Result<()> {
        service.upsert_thread_ownership(self).await.map(drop)
    }

    async fn import(service: &(impl TransferService + ?Sized), rows: &[Self]) -> Result<u64> {
        service.import_thread_ownerships_with(rows, OnEqual::Replace).await.map(|outcome| outcome.kept)
    }

    fn says_the_same(&self, stored: &Self) -> bool {
        self.original_user_id == stored.original_user_id
            && self.created_by == stored.created_by
            && self.creation_time == stored.creation_time
    }

    fn updated_at(&self) -> i64 {
        self.updated_at
    }

    fn over(self, stored: &Self, updated_at: i64) -> Self {
        Self { created_at: stored.created_at, updated_at, ..self }
    }

    fn at(self, updated_at: i64) -> Self {
        Self { updated_at, ..self }
    }
}

/// What the database has for each of these rows.
pub(super) async fn look_up<R: Row>(storage: &Arc<Storage>, rows: &[R]) -> Result<Vec<Option<R>>> {
    let mut found: Vec<Option<R>> = vec![None; rows.len()];
    let mut rows = rows.iter().enumerate();
    let mut lookups: JoinSet<Result<(usize, Option<R>)>> = JoinSet::new();
    loop {
        while lookups.len() < LOOKUPS
            && let Some((place, row)) = rows.next()
        {
            let (storage, row) = (storage.clone(), row.clone());
            lookups.spawn(async move { Ok((place, row.stored(&*storage).await?)) });
        }
        match lookups.join_next().await {
            None => return Ok(found),
            Some(Ok(looked_up)) => {
                let (place, row) = looked_up?;
                found[place] = row;
            }
            Some(Err(_)) => return Err(Error::new(ErrorKind::Internal, "looking up a row failed")),
        }
    }
}

/// Whether an error may come from the row itself: the backend refuses it, or the database does, with its code. It may as well
/// come from what holds for every row, which only another row can tell. A plugin that has trapped is tried again.
pub(super) fn may_be_of_a_row(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::Refused => true,
        ErrorKind::Internal => error.code().is_some(),
        _ => false,
    }
}
