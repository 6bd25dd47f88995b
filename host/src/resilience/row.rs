//! Rows of both tables, as far as replaying and mirroring are the same for both.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{MessageState, OnEqual, ThreadOwnership};
use crate::service::{StorageService, TransferService};
use crate::storage::Storage;

/// How many rows are looked up at a time: less than a pool has connections by default, so that the bot has some too.
const LOOKUPS: usize = 8;

/// A row of either table.
pub(super) trait Row: Clone + PartialEq + Send + Sync + Sized + 'static {
    /// The row in the database.
    fn stored(&self, storage: &Storage) -> impl Future<Output = Result<Option<Self>>> + Send;
    /// Says how many rows were kept as they are, since they are newer. Of two writes of one second the spooled one is
    /// the later: it was accepted after the one that reached the database.
    fn import(service: &(impl TransferService + ?Sized), rows: &[Self]) -> impl Future<Output = Result<u64>> + Send;
    /// Whether a write of this would change nothing that its caller gave.
    fn says_the_same(&self, stored: &Self) -> bool;
    fn updated_at(&self) -> i64;
    /// The row as an upsert would leave it: it keeps when the row was made.
    fn over(self, stored: &Self) -> Self;
}

impl Row for MessageState {
    async fn stored(&self, storage: &Storage) -> Result<Option<Self>> {
        storage.get_message_state(&self.channel_id, self.thread_id.as_deref()).await
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

    fn over(self, stored: &Self) -> Self {
        Self { created_at: stored.created_at, ..self }
    }
}

impl Row for ThreadOwnership {
    async fn stored(&self, storage: &Storage) -> Result<Option<Self>> {
        storage.get_thread_ownership(&self.thread_id).await
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

    fn over(self, stored: &Self) -> Self {
        Self { created_at: stored.created_at, ..self }
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
            lookups.spawn(async move { Ok((place, row.stored(&storage).await?)) });
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

/// Whether an error comes from the row itself, so that trying the same again leads nowhere: the backend refuses it, or the
/// database does, with its code. A plugin that has trapped is tried again.
pub(super) fn is_of_a_row(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::InvalidInput => true,
        ErrorKind::Refused => error.code().is_some(),
        _ => false,
    }
}
