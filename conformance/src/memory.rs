//! [`MemoryStorage`], which says what the operations mean in the plainest way.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cofferdam::clock::{Clock, ManualClock};
use cofferdam::{
    Error, ErrorKind, ImportOutcome, MAX_ID_CHARACTERS, MessageKey, MessageState, OnEqual, Result, StorageService,
    ThreadOwnership, TransferService, Written,
};

use crate::{BoxError, Harness, NOW, Subject};

/// `BTreeMap` orders it as the contract does: bytewise by channel id, then by thread id with none first.
type Key = (String, Option<String>);

/// A storage in memory. Closing it keeps its rows, as closing a database does.
pub struct MemoryStorage {
    clock: Arc<dyn Clock>,
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    open: bool,
    last_id: i64,
    messages: BTreeMap<Key, MessageState>,
    ownerships: BTreeMap<String, ThreadOwnership>,
}

impl Tables {
    fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }
}

impl MemoryStorage {
    /// An empty storage that is not initialised.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, tables: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self) -> Result<MutexGuard<'_, Tables>> {
        let tables = self.lock();
        if tables.open {
            Ok(tables)
        } else {
            Err(Error::new(ErrorKind::NotInitialized, "the storage is not open: call initialize"))
        }
    }

    fn now(&self) -> i64 {
        i64::try_from(self.clock.now().as_secs()).unwrap_or(i64::MAX)
    }

    /// `floor(now - duration)` in seconds. A duration is at most `u64::MAX` nanoseconds, as in the contract.
    fn before_now(&self, duration: Duration) -> i64 {
        let now = i128::try_from(self.clock.now().as_nanos()).unwrap_or(i128::MAX);
        let duration = i128::from(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        let seconds = (now - duration).div_euclid(1_000_000_000);
        i64::try_from(seconds).unwrap_or(if seconds < 0 { i64::MIN } else { i64::MAX })
    }
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

fn check_id(id: &str) -> Result<()> {
    if id.is_empty() || id.contains('\0') || id.chars().count() > MAX_ID_CHARACTERS {
        return Err(invalid("an id has 1 to 255 characters and no NUL"));
    }
    Ok(())
}

fn check_key(channel_id: &str, thread_id: Option<&str>) -> Result<()> {
    check_id(channel_id)?;
    thread_id.map_or(Ok(()), check_id)
}

fn check_state(state: &MessageState) -> Result<()> {
    check_key(&state.channel_id, state.thread_id.as_deref())?;
    check_id(&state.last_message_id)
}

fn check_ownership(ownership: &ThreadOwnership) -> Result<()> {
    check_id(&ownership.thread_id)?;
    check_id(&ownership.original_user_id)?;
    check_id(&ownership.created_by)
}

fn check_limit(limit: u32) -> Result<usize> {
    match limit {
        0 => Err(invalid("a page has at least one row")),
        limit => Ok(limit as usize),
    }
}

fn key_of(state: &MessageState) -> Key {
    (state.channel_id.clone(), state.thread_id.clone())
}

/// `sort_by_key` is stable, and rows come in key order.
fn newest_first(rows: impl Iterator<Item = MessageState>) -> Vec<MessageState> {
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|row| Reverse(row.last_seen_timestamp));
    rows
}

#[async_trait]
impl StorageService for MemoryStorage {
    async fn initialize(&self) -> Result<()> {
        self.lock().open = true;
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        self.lock().open = false;
        Ok(())
    }

    async fn get_message_state(&self, channel_id: &str, thread_id: Option<&str>) -> Result<Option<MessageState>> {
        let tables = self.opened()?;
        check_key(channel_id, thread_id)?;
        Ok(tables.messages.get(&(channel_id.to_owned(), thread_id.map(str::to_owned))).cloned())
    }

    async fn upsert_message_state(&self, state: &MessageState) -> Result<Written> {
        let mut tables = self.opened()?;
        check_state(state)?;
        let now = self.now();
        let id = tables.next_id();
        match tables.messages.entry(key_of(state)) {
            Entry::Occupied(mut entry) => {
                let stored = entry.get_mut();
                stored.last_message_id.clone_from(&state.last_message_id);
                stored.last_seen_timestamp = state.last_seen_timestamp;
                stored.updated_at = now;
            }
            Entry::Vacant(entry) => {
                let created_at = if state.created_at == 0 { now } else { state.created_at };
                entry.insert(MessageState { id, created_at, updated_at: now, ..state.clone() });
            }
        }
        Ok(Written::Stored(()))
    }

    async fn get_all_message_states(&self) -> Result<Vec<MessageState>> {
        Ok(newest_first(self.opened()?.messages.values().cloned()))
    }

    async fn get_message_states_within_window(&self, window: Duration) -> Result<Vec<MessageState>> {
        let cutoff = self.before_now(window);
        let tables = self.opened()?;
        Ok(newest_first(tables.messages.values().filter(|row| row.last_seen_timestamp >= cutoff).cloned()))
    }

    async fn health_check(&self) -> Result<()> {
        self.opened().map(drop)
    }

    async fn get_thread_ownership(&self, thread_id: &str) -> Result<Option<ThreadOwnership>> {
        let tables = self.opened()?;
        check_id(thread_id)?;
        Ok(tables.ownerships.get(thread_id).cloned())
    }

    async fn upsert_thread_ownership(&self, ownership: &ThreadOwnership) -> Result<Written> {
        let mut tables = self.opened()?;
        check_ownership(ownership)?;
        let now = self.now();
        let new_id = tables.next_id();
        let (id, created_at) =
            tables.ownerships.get(&ownership.thread_id).map_or((new_id, now), |stored| (stored.id, stored.created_at));
        let row = ThreadOwnership { id, created_at, updated_at: now, ..ownership.clone() };
        tables.ownerships.insert(row.thread_id.clone(), row);
        Ok(Written::Stored(()))
    }

    async fn get_all_thread_ownerships(&self) -> Result<Vec<ThreadOwnership>> {
        let mut rows: Vec<_> = self.opened()?.ownerships.values().cloned().collect();
        rows.sort_by_key(|row| Reverse(row.creation_time));
        Ok(rows)
    }

    async fn cleanup_old_thread_ownerships(&self, max_age: Duration) -> Result<Written<u64>> {
        let mut tables = self.opened()?;
        if max_age.is_zero() {
            return Err(invalid("the age of a cleanup is more than zero"));
        }
        let cutoff = self.before_now(max_age);
        let before = tables.ownerships.len();
        tables.ownerships.retain(|_, row| row.creation_time >= cutoff);
        Ok(Written::Stored((before - tables.ownerships.len()) as u64))
    }
}

#[async_trait]
impl TransferService for MemoryStorage {
    async fn export_message_states(&self, after: Option<&MessageKey>, limit: u32) -> Result<Vec<MessageState>> {
        let tables = self.opened()?;
        let limit = check_limit(limit)?;
        let start = after.map(|key| (key.channel_id.clone(), key.thread_id.clone()));
        let start = start.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(tables.messages.range((start, Bound::Unbounded)).take(limit).map(|(_, row)| row.clone()).collect())
    }

    async fn import_message_states_with(&self, states: &[MessageState], on_equal: OnEqual) -> Result<ImportOutcome> {
        let mut tables = self.opened()?;
        states.iter().try_for_each(check_state)?;
        let mut outcome = ImportOutcome::default();
        for state in states {
            let id = tables.next_id();
            match tables.messages.entry(key_of(state)) {
                Entry::Vacant(entry) => {
                    entry.insert(MessageState { id, ..state.clone() });
                    outcome.inserted += 1;
                }
                Entry::Occupied(mut entry) if wins(state.updated_at, entry.get().updated_at, on_equal) => {
                    let id = entry.get().id;
                    entry.insert(MessageState { id, ..state.clone() });
                    outcome.replaced += 1;
                }
                Entry::Occupied(_) => outcome.kept += 1,
            }
        }
        Ok(outcome)
    }

    async fn export_thread_ownerships(&self, after: Option<&str>, limit: u32) -> Result<Vec<ThreadOwnership>> {
        let tables = self.opened()?;
        let limit = check_limit(limit)?;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = tables.ownerships.range::<str, _>((start, Bound::Unbounded));
        Ok(rows.take(limit).map(|(_, row)| row.clone()).collect())
    }

    async fn import_thread_ownerships_with(
        &self,
        ownerships: &[ThreadOwnership],
        on_equal: OnEqual,
    ) -> Result<ImportOutcome> {
        let mut tables = self.opened()?;
        ownerships.iter().try_for_each(check_ownership)?;
        let mut outcome = ImportOutcome::default();
        for ownership in ownerships {
            let id = tables.next_id();
            match tables.ownerships.entry(ownership.thread_id.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(ThreadOwnership { id, ..ownership.clone() });
                    outcome.inserted += 1;
                }
                Entry::Occupied(mut entry) if wins(ownership.updated_at, entry.get().updated_at, on_equal) => {
                    let id = entry.get().id;
                    entry.insert(ThreadOwnership { id, ..ownership.clone() });
                    outcome.replaced += 1;
                }
                Entry::Occupied(_) => outcome.kept += 1,
            }
        }
        Ok(outcome)
    }
}

/// Makes [`MemoryStorage`]s.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryHarness;

#[async_trait]
impl Harness for MemoryHarness {
    fn name(&self) -> &str {
        "memory"
    }

    async fn uninitialized(&self) -> Result<Subject, BoxError> {
        let clock = Arc::new(ManualClock::at(NOW));
        let storage = MemoryStorage::new(clock.clone());
        Ok(Subject::new(Arc::new(storage), clock, ()))
    }
}

fn wins(given: i64, stored: i64, on_equal: OnEqual) -> bool {
    given > stored || given == stored && on_equal == OnEqual::Replace
}
