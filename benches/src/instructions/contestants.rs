//! The same operations through the plugin and through the bare driver.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use cofferdam::plugin::Limits;
use cofferdam::{MessageState, ResilientStorage, Storage, StorageService, TransferService};
use cofferdam_tests::harness::storage::sqlite_config;
use rusqlite::Connection;
use tokio::runtime::Runtime;

use crate::driver::sqlite;
use crate::shared::statements::SQLITE;

/// Rows in the table. Half of them have a thread.
pub const ROWS: usize = 1_000;

/// Instances of the component. Each reserves 4 GiB of addresses, of which Valgrind has 128 GiB to give.
const INSTANCES: usize = 4;

/// The state of a row of the table.
pub fn state(row: usize) -> MessageState {
    let channel = format!("{}", 100_000_000_000_000_000_u64 + row as u64);
    let thread = (row % 2 == 1).then(|| channel.clone());
    MessageState {
        created_at: 1_700_000_000,
        updated_at: 1_700_000_000,
        ..MessageState::new(
            channel,
            thread.as_deref(),
            format!("{}", 900_000_000_000_000_000_u64 + row as u64),
            1_700_000_000 + row as i64,
        )
    }
}

/// Makes a file with all rows, in order.
pub fn fill(path: &Path) -> Result<()> {
    let plugin = Plugin::open(path)?;
    let states: Vec<_> = (0..ROWS).map(state).collect();
    plugin.runtime.block_on(plugin.storage.import_message_states(&states))?;
    // Takes the write-ahead log back into the file.
    plugin.runtime.block_on(plugin.storage.close())?;
    Ok(())
}

/// Who is counted. Every answer is checked.
pub trait Contestant {
    /// Reads a row by its key.
    fn get(&mut self, state: &MessageState) -> Result<()>;
    /// Writes a row that exists, with a commit of its own.
    fn upsert(&mut self, state: &MessageState) -> Result<()>;
    /// Reads all rows, newest first; answers how many.
    fn list(&mut self) -> Result<usize>;
}

fn check(found: Option<MessageState>, expected: &MessageState) -> Result<()> {
    let found = found.context("the row is not there")?;
    ensure!(found.last_message_id == expected.last_message_id, "another row was found");
    Ok(())
}

/// The plugin, through one of the services that a bot uses.
pub struct Plugin<S> {
    runtime: Runtime,
    storage: S,
}

impl Plugin<Storage> {
    pub fn open(path: &Path) -> Result<Self> {
        Self::over(Storage::builder(sqlite_config(path)).limits(limits()).build()?)
    }
}

impl Plugin<ResilientStorage> {
    /// With all that is done for a bot, and with metrics.
    pub fn resilient(path: &Path) -> Result<Self> {
        Self::over(ResilientStorage::builder(sqlite_config(path)).limits(limits()).build()?)
    }
}

fn limits() -> Limits {
    Limits { instances: INSTANCES, ..Limits::standard() }
}

impl<S: StorageService> Plugin<S> {
    fn over(storage: S) -> Result<Self> {
        // One thread, so that the order of everything repeats.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(storage.initialize())?;
        Ok(Self { runtime, storage })
    }
}

impl<S: StorageService> Contestant for Plugin<S> {
    fn get(&mut self, state: &MessageState) -> Result<()> {
        let get = self.storage.get_message_state(&state.channel_id, state.thread_id.as_deref());
        check(self.runtime.block_on(get)?, state)
    }

    fn upsert(&mut self, state: &MessageState) -> Result<()> {
        Ok(self.runtime.block_on(self.storage.upsert_message_state(state)).map(drop)?)
    }

    fn list(&mut self) -> Result<usize> {
        Ok(self.runtime.block_on(self.storage.get_all_message_states())?.len())
    }
}

/// The bare driver, on the thread of the caller, with the statements of the plugin, prepared once.
pub struct Rusqlite(Connection);

impl Rusqlite {
    pub fn open(path: &Path) -> Result<Self> {
        sqlite::connect(path).map(Self)
    }
}

impl Contestant for Rusqlite {
    fn get(&mut self, state: &MessageState) -> Result<()> {
        check(sqlite::get(&self.0, state)?, state)
    }

    fn upsert(&mut self, state: &MessageState) -> Result<()> {
        sqlite::upsert(&self.0, state).map(drop)
    }

    fn list(&mut self) -> Result<usize> {
        Ok(sqlite::list(&self.0, SQLITE.all, &[])?.len())
    }
}
