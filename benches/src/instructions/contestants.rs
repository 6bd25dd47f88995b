//! The same operations through the plugin and through the bare driver.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use cofferdam::plugin::Limits;
use cofferdam::{MessageState, Storage, StorageService, TransferService};
use cofferdam_tests::harness::storage::sqlite_config;
use rusqlite::Connection;
use tokio::runtime::Runtime;

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

/// The plugin, through the service that a bot uses.
pub struct Plugin {
    runtime: Runtime,
    storage: Storage,
}

impl Plugin {
    pub fn open(path: &Path) -> Result<Self> {
        // One thread, so that the order of everything repeats.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let limits = Limits { instances: INSTANCES, ..Limits::standard() };
        let storage = Storage::builder(sqlite_config(path)).limits(limits).build()?;
        runtime.block_on(storage.initialize())?;
        Ok(Self { runtime, storage })
    }
}

impl Contestant for Plugin {
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
pub struct Rusqlite {
    connection: Connection,
}

impl Rusqlite {
    pub fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = 1000; PRAGMA foreign_keys = ON;",
        )?;
        Ok(Self { connection })
    }
}

impl Contestant for Rusqlite {
    fn get(&mut self, state: &MessageState) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, last_message_id, last_seen_timestamp, created_at, updated_at \
             FROM message_states WHERE channel_id = ? AND thread_id IS ?",
        )?;
        let found = statement.query_row((&state.channel_id, &state.thread_id), |row| {
            Ok(MessageState {
                id: row.get(0)?,
                channel_id: state.channel_id.clone(),
                thread_id: state.thread_id.clone(),
                last_message_id: row.get(1)?,
                last_seen_timestamp: row.get(2)?,
                created_at: row.get(3)?,
                updated_at: row.get(4)?,
            })
        })?;
        check(Some(found), state)
    }

    fn upsert(&mut self, state: &MessageState) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO message_states (channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at) \
             VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET last_message_id = excluded.last_message_id, \
             last_seen_timestamp = excluded.last_seen_timestamp, updated_at = excluded.updated_at",
        )?;
        let changed = statement.execute((
            &state.channel_id,
            &state.thread_id,
            &state.last_message_id,
            state.last_seen_timestamp,
            state.created_at,
            state.updated_at,
        ))?;
        ensure!(changed == 1, "{changed} rows changed");
        Ok(())
    }

    fn list(&mut self) -> Result<usize> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at \
             FROM message_states ORDER BY +last_seen_timestamp DESC, channel_id, thread_id",
        )?;
        let states = statement.query_map((), |row| {
            Ok(MessageState {
                id: row.get(0)?,
                channel_id: row.get(1)?,
                thread_id: row.get(2)?,
                last_message_id: row.get(3)?,
                last_seen_timestamp: row.get(4)?,
                created_at: row.get(5)?,
                updated_at: row.get(6)?,
            })
        })?;
        Ok(states.collect::<rusqlite::Result<Vec<_>>>()?.len())
    }
}
