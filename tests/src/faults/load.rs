//! Callers that write numbered values and wait for nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cofferdam::{Error, ErrorKind, MessageState, StorageService, ThreadOwnership};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};
use tokio::task::JoinHandle;

use super::ledger::{Kept, Key, Ledger};
use super::strictness;
use crate::harness::wait::until;

/// Every so many operations of a caller one is a read.
const READS: u64 = 4;

/// What a caller waits for after an error, so that refusals at once do not fill the machine.
const AFTER_ERROR: Duration = Duration::from_millis(10);

/// The longest that something may take that happens by itself, so that a run ends.
pub(super) const ENOUGH: Duration = Duration::from_secs(60);

/// What the callers do.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// What the keys begin with, so that several loads share a database.
    pub prefix: String,
    /// How many callers.
    pub callers: usize,
    /// How many writes go to one row before the caller takes another; 0 for all.
    pub writes_per_row: u64,
    /// The pause after each success.
    pub pause: Option<Duration>,
    /// The deadline of each operation, which the storage sees to.
    pub deadline: Duration,
}

impl LoadOptions {
    /// 32 callers with a row each, without pauses.
    pub fn new(deadline: Duration) -> Self {
        Self { prefix: String::new(), callers: 32, writes_per_row: 0, pause: None, deadline }
    }
}

/// A running load.
pub struct Load {
    ledger: Arc<Ledger>,
    orders: Arc<Orders>,
    callers: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Orders {
    stop: AtomicBool,
    /// Shared by the operations in flight.
    turn: Arc<RwLock<()>>,
}

impl Load {
    /// Starts the callers.
    pub fn start(storage: &Arc<dyn StorageService>, options: &LoadOptions) -> Self {
        let ledger = Arc::new(Ledger::new(options.callers, strictness::limit(options.deadline)));
        let orders = Arc::<Orders>::default();
        let callers = (0..options.callers).map(|number| {
            let caller = Caller {
                number,
                storage: Arc::clone(storage),
                ledger: Arc::clone(&ledger),
                orders: Arc::clone(&orders),
                options: options.clone(),
            };
            tokio::spawn(caller.run())
        });
        Self { callers: callers.collect(), ledger, orders }
    }

    /// What was asked and answered so far.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Waits until each caller has been answered with a success.
    ///
    /// # Errors
    ///
    /// One was not within a minute; the error has the callers' errors.
    pub async fn warm(&self) -> Result<()> {
        let warm = until("every caller was answered", ENOUGH, async || self.ledger.all_answered()).await;
        warm.with_context(|| format!("{:?}", self.ledger.tally().messages))
    }

    /// Lets every caller end the operation in flight, and keeps them from the next one as long as the result lives.
    pub async fn pause(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.orders.turn).write_owned().await
    }

    /// Lets every caller end the operation in flight, and ends them.
    ///
    /// # Errors
    ///
    /// An operation did not end within a minute.
    pub async fn stop(self) -> Result<Arc<Ledger>> {
        self.orders.stop.store(true, Ordering::SeqCst);
        let deadline = tokio::time::Instant::now() + ENOUGH;
        for caller in self.callers {
            tokio::time::timeout_at(deadline, caller).await.context("an operation never ended")??;
        }
        Ok(self.ledger)
    }
}

struct Caller {
    number: usize,
    storage: Arc<dyn StorageService>,
    ledger: Arc<Ledger>,
    orders: Arc<Orders>,
    options: LoadOptions,
}

impl Caller {
    async fn run(self) {
        let mut operation = 0;
        let (mut row, mut number) = (0, 0);
        let mut key = self.key(row);
        while !self.orders.stop.load(Ordering::SeqCst) {
            let turn = self.orders.turn.read().await;
            operation += 1;
            let started = Instant::now();
            let is_error = if operation % READS == 0 {
                let result = find(&*self.storage, &key).await;
                self.ledger.read(self.number, &key, started, &result);
                result.is_err()
            } else {
                if self.options.writes_per_row > 0 && number >= self.options.writes_per_row {
                    (row, number) = (row + 1, 0);
                    key = self.key(row);
                }
                number += 1;
                self.ledger.attempt(self.number, &key, number);
                let result = write(&*self.storage, &key, number).await;
                self.ledger.wrote(self.number, &key, number, started, &result);
                result.is_err()
            };
            drop(turn);
            match self.options.pause {
                _ if is_error => tokio::time::sleep(AFTER_ERROR).await,
                Some(pause) => tokio::time::sleep(pause).await,
                // A storage that answers without waiting must not keep others from their turn.
                None => tokio::task::yield_now().await,
            }
        }
    }

    fn key(&self, row: u64) -> Key {
        key(&self.options.prefix, self.number, row)
    }
}

/// The key of a caller's row. A third of the callers writes states of channels, a third states of threads, a third
/// ownerships.
pub fn key(prefix: &str, caller: usize, row: u64) -> Key {
    let name = format!("{prefix} caller {caller} row {row}");
    match caller % 3 {
        0 => Key::State(name, None),
        1 => Key::State(name.clone(), Some(name)),
        _ => Key::Ownership(name),
    }
}

/// Writes a number into a row.
///
/// # Errors
///
/// As the storage's upserts.
pub async fn write(storage: &dyn StorageService, key: &Key, number: u64) -> cofferdam::Result<Kept> {
    let number = number.to_string();
    let written = match key {
        Key::State(channel, thread) => {
            let state = MessageState::new(channel.as_str(), thread.as_deref(), number, 1);
            storage.upsert_message_state(&state).await
        }
        Key::Ownership(thread) => {
            storage.upsert_thread_ownership(&ThreadOwnership::new(thread.as_str(), number, "bot", 1)).await
        }
    };
    written.map(|written| if written.is_spooled() { Kept::Spooled } else { Kept::Stored })
}

/// The number in a row; 0 where there is none.
async fn find(storage: &dyn StorageService, key: &Key) -> cofferdam::Result<u64> {
    let number = match key {
        Key::State(channel, thread) => {
            storage.get_message_state(channel, thread.as_deref()).await?.map(|state| state.last_message_id)
        }
        Key::Ownership(thread) => {
            storage.get_thread_ownership(thread).await?.map(|ownership| ownership.original_user_id)
        }
    };
    let Some(number) = number else { return Ok(0) };
    number.parse().map_err(|_| Error::new(ErrorKind::CorruptData, format!("the row holds {number:?}")))
}
