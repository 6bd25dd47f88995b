//! What is measured: the same operations on the same rows, through a plugin and through the bare driver.
//!
//! The driver is used as well as it can be: statements prepared once, SQLite on the caller's own thread with the
//! host's settings, MySQL on one connection that is never given back. Every answer is checked.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use cofferdam::clock::SystemClock;
use cofferdam::config::Config;
use cofferdam::{MessageState, Storage, StorageService, TransferService};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlDatabase, MysqlServer};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::{mysql_config, sqlite_config};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Statement};
use rusqlite::Connection;

/// Rows in the table. Half of them have a thread.
pub const ROWS: usize = 10_000;

/// The columns that every contestant reads, in this order.
const COLUMNS: &str = "id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at";

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
            1_700_000_000,
        )
    }
}

/// The row of the table that comes after `row`, in an order that is neither the key's nor the file's.
pub fn next(row: usize) -> usize {
    (row + 7_919) % ROWS
}

/// A storage over the SQLite plugin, with the table filled.
pub async fn sqlite_plugin(folder: &SqliteFolder) -> Result<Storage> {
    filled(sqlite_config(&folder.database())).await
}

/// A storage over the MySQL plugin, with the table filled, and its database.
pub async fn mysql_plugin() -> Result<(Storage, MysqlDatabase)> {
    let database = MysqlServer::shared().await?.create_database(DatabaseOptions::default()).await?;
    Ok((filled(mysql_config(database.config())).await?, database))
}

async fn filled(config: Config) -> Result<Storage> {
    let storage = Storage::builder(config).clock(Arc::new(SystemClock)).build()?;
    storage.initialize().await?;
    let states: Vec<_> = (0..ROWS).map(state).collect();
    for page in states.chunks(1_000) {
        storage.import_message_states(page).await?;
    }
    Ok(storage)
}

/// Reads a row through a plugin.
pub async fn get(storage: &Storage, state: &MessageState) -> Result<()> {
    let found = storage.get_message_state(&state.channel_id, state.thread_id.as_deref()).await?;
    check(found, state)
}

fn check(found: Option<MessageState>, expected: &MessageState) -> Result<()> {
    let found = found.context("the row is not there")?;
    ensure!(found.last_message_id == expected.last_message_id, "another row was found");
    Ok(())
}

/// The bare SQLite driver, on the thread of the caller.
pub struct Rusqlite {
    connection: Connection,
}

impl Rusqlite {
    /// Opens a file with the settings of the host's connections.
    pub fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = 1000; PRAGMA foreign_keys = ON;",
        )?;
        Ok(Self { connection })
    }

    /// Reads a row.
    pub fn get(&self, state: &MessageState) -> Result<()> {
        let text = match state.thread_id {
            Some(_) => format!("SELECT {COLUMNS} FROM message_states WHERE channel_id = ?1 AND thread_id = ?2"),
            None => format!("SELECT {COLUMNS} FROM message_states WHERE channel_id = ?1 AND thread_id IS NULL"),
        };
        let mut statement = self.connection.prepare_cached(&text)?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok(MessageState {
                id: row.get(0)?,
                channel_id: row.get(1)?,
                thread_id: row.get(2)?,
                last_message_id: row.get(3)?,
                last_seen_timestamp: row.get(4)?,
                created_at: row.get(5)?,
                updated_at: row.get(6)?,
            })
        };
        let found = match &state.thread_id {
            Some(thread) => statement.query_row((&state.channel_id, thread), read),
            None => statement.query_row((&state.channel_id,), read),
        };
        check(Some(found?), state)
    }

    /// Writes a row, with a commit of its own.
    pub fn upsert(&self, state: &MessageState) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO message_states (channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET last_message_id = excluded.last_message_id, \
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
}

/// The bare MySQL driver, on one connection with prepared statements.
pub struct MysqlAsync {
    connection: Conn,
    get_in_thread: Statement,
    get: Statement,
    upsert: Statement,
}

impl MysqlAsync {
    /// Prepares the statements.
    pub async fn connect(database: &MysqlDatabase) -> Result<Self> {
        let mut connection = database.connect().await?;
        // As the host's connections have it.
        connection.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
        let by_channel = format!("SELECT {COLUMNS} FROM message_states WHERE channel_id = ? AND thread_id");
        let get_in_thread = connection.prep(format!("{by_channel} = ?")).await?;
        let get = connection.prep(format!("{by_channel} IS NULL")).await?;
        let upsert = connection
            .prep(
                "INSERT INTO message_states (channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at) \
                 VALUES (?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE last_message_id = VALUES(last_message_id), \
                 last_seen_timestamp = VALUES(last_seen_timestamp), updated_at = VALUES(updated_at)",
            )
            .await?;
        Ok(Self { connection, get_in_thread, get, upsert })
    }

    /// Reads a row.
    pub async fn get(&mut self, state: &MessageState) -> Result<()> {
        let row: Option<Row> = match &state.thread_id {
            Some(thread) => self.connection.exec_first(&self.get_in_thread, (&state.channel_id, thread)).await?,
            None => self.connection.exec_first(&self.get, (&state.channel_id,)).await?,
        };
        let (id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at) =
            mysql_async::from_row(row.context("the row is not there")?);
        let found =
            MessageState { id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at };
        check(Some(found), state)
    }

    /// Writes a row, with a commit of its own.
    pub async fn upsert(&mut self, state: &MessageState) -> Result<()> {
        let parameters = (
            &state.channel_id,
            &state.thread_id,
            &state.last_message_id,
            state.last_seen_timestamp,
            state.created_at,
            state.updated_at,
        );
        Ok(self.connection.exec_drop(&self.upsert, parameters).await?)
    }
}
