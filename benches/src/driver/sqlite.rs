//! rusqlite: one connection on the caller's own thread, or ten on a thread each.

use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use rusqlite::{Connection, OptionalExtension, Row, ToSql};

use crate::contestant::{CONNECTIONS, Contestant};
use crate::model::{MessageState, ThreadOwnership};
use crate::shared::callers::Outcome;
use crate::shared::operation::{Operation, Work};
use crate::shared::rows::{self, Rows};
use crate::shared::statements::{SQLITE, unsorted};

/// The longest that a writer waits for the others: none of them may fail.
const BUSY: Duration = Duration::from_secs(60);

/// Connections to one file.
pub struct Sqlite {
    connections: Vec<Connection>,
    rows: Rows,
}

/// Opens a file with the settings that the requirements ask of the host: each contestant has them.
///
/// # Errors
///
/// The file cannot be opened.
pub fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = 1000; PRAGMA foreign_keys = ON;",
    )?;
    Ok(connection)
}

impl Sqlite {
    /// Opens the connections.
    ///
    /// # Errors
    ///
    /// The file cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let connections = (0..CONNECTIONS).map(|_| connect(path)).collect::<Result<_>>()?;
        Ok(Self { connections, rows: Rows::new() })
    }
}

impl Contestant for Sqlite {
    fn name(&self) -> &'static str {
        "driver"
    }

    fn run(&mut self, work: &Work) -> Result<Outcome> {
        let Self { connections, rows } = self;
        if work.callers == 1 {
            let started = Instant::now();
            let mut count = 0;
            for index in work.indices.clone() {
                count += operate(&connections[0], rows, work, index)?;
            }
            return Ok(Outcome { elapsed: started.elapsed(), rows: count });
        }
        // Starting threads is not part of it.
        let (next, ready) = (AtomicU64::new(work.indices.start), Barrier::new(connections.len() + 1));
        let (next, ready, rows) = (&next, &ready, &*rows);
        thread::scope(|scope| {
            let threads: Vec<_> = connections
                .iter_mut()
                .map(|connection| {
                    scope.spawn(move || {
                        ready.wait();
                        let started = Instant::now();
                        let mut count = 0;
                        loop {
                            let index = next.fetch_add(1, Ordering::Relaxed);
                            if index >= work.indices.end {
                                return anyhow::Ok((started, count));
                            }
                            count += operate(connection, rows, work, index)?;
                        }
                    })
                })
                .collect();
            ready.wait();
            // On a machine with few cores, this thread goes on long after the others have begun.
            let mut started = Instant::now();
            let mut count = 0;
            for thread in threads {
                let (began, done) = thread.join().map_err(|_| anyhow!("a thread panicked"))??;
                started = started.min(began);
                count += done;
            }
            Ok(Outcome { elapsed: started.elapsed(), rows: count })
        })
    }
}

fn operate(connection: &Connection, rows: &Rows, work: &Work, index: u64) -> Result<u64> {
    match work.operation {
        Operation::Get => rows.check_state(index, get(connection, rows.state(index))?),
        Operation::UpsertExisting | Operation::UpsertBurst => upsert(connection, &rows.existing(index)),
        Operation::UpsertNew => upsert(connection, &rows::new_state(index)),
        Operation::Window => {
            let since = rows::before_now(rows::window());
            rows.check_list(&list(connection, SQLITE.since, &[&since])?, rows::WINDOW_ROWS)
        }
        Operation::All => rows.check_list(&list(connection, SQLITE.all, &[])?, rows::ROWS),
        Operation::WindowSorted => {
            let since = rows::before_now(rows::window());
            rows.sort_list(list(connection, unsorted(SQLITE.since), &[&since])?, rows::WINDOW_ROWS)
        }
        Operation::AllSorted => rows.sort_list(list(connection, unsorted(SQLITE.all), &[])?, rows::ROWS),
        Operation::OwnershipGet => rows.check_ownership(index, ownership(connection, rows.ownership(index))?),
        Operation::OwnershipUpsert => upsert_ownership(connection, &rows.existing_ownership(index)),
        Operation::Cleanup => {
            let before = rows::before_now(work.max_age(index));
            Ok(connection.prepare_cached(SQLITE.cleanup)?.execute([before])? as u64)
        }
    }
}

/// Reads a state by its key.
///
/// # Errors
///
/// As rusqlite.
pub fn get(connection: &Connection, key: &MessageState) -> Result<Option<MessageState>> {
    let mut statement = connection.prepare_cached(SQLITE.get)?;
    let found = statement.query_row((&key.channel_id, &key.thread_id), |row| {
        Ok(MessageState {
            id: row.get(0)?,
            channel_id: key.channel_id.clone(),
            thread_id: key.thread_id.clone(),
            last_message_id: row.get(1)?,
            last_seen_timestamp: row.get(2)?,
            created_at: row.get(3)?,
            updated_at: row.get(4)?,
        })
    });
    Ok(found.optional()?)
}

/// Writes a state.
///
/// # Errors
///
/// As rusqlite, and where another number of rows than one changed.
pub fn upsert(connection: &Connection, state: &MessageState) -> Result<u64> {
    let now = rows::now();
    let changed = connection.prepare_cached(SQLITE.upsert)?.execute((
        &state.channel_id,
        &state.thread_id,
        &state.last_message_id,
        state.last_seen_timestamp,
        if state.created_at == 0 { now } else { state.created_at },
        now,
    ))?;
    ensure!(changed == 1, "{changed} rows changed");
    Ok(1)
}

/// Reads states by a statement with these parameters.
///
/// # Errors
///
/// As rusqlite.
pub fn list(connection: &Connection, text: &str, parameters: &[&dyn ToSql]) -> Result<Vec<MessageState>> {
    let read = |row: &Row<'_>| {
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
    let mut statement = connection.prepare_cached(text)?;
    let states = statement.query_map(parameters, read)?.collect::<rusqlite::Result<_>>()?;
    Ok(states)
}

fn ownership(connection: &Connection, key: &ThreadOwnership) -> Result<Option<ThreadOwnership>> {
    let mut statement = connection.prepare_cached(SQLITE.ownership)?;
    let found = statement.query_row([&key.thread_id], |row| {
        Ok(ThreadOwnership {
            id: row.get(0)?,
            thread_id: key.thread_id.clone(),
            original_user_id: row.get(1)?,
            created_by: row.get(2)?,
            creation_time: row.get(3)?,
            created_at: row.get(4)?,
            updated_at: row.get(5)?,
        })
    });
    Ok(found.optional()?)
}

fn upsert_ownership(connection: &Connection, ownership: &ThreadOwnership) -> Result<u64> {
    let now = rows::now();
    let changed = connection.prepare_cached(SQLITE.upsert_ownership)?.execute((
        &ownership.thread_id,
        &ownership.original_user_id,
        &ownership.created_by,
        ownership.creation_time,
        now,
        now,
    ))?;
    ensure!(changed == 1, "{changed} rows changed");
    Ok(1)
}
