//! What is in a database, seen without the storage.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::ledger::Key;

/// The numbers in the rows of each key: one, or the key is there several times.
pub type Found = BTreeMap<Key, Vec<u64>>;

const STATES: &str = "SELECT channel_id, thread_id, last_message_id FROM message_states";
const OWNERSHIPS: &str = "SELECT thread_id, original_user_id FROM thread_ownerships";

/// The rows of a SQLite file, which must be whole.
///
/// # Errors
///
/// It cannot be read, or is damaged.
pub fn sqlite(file: &Path) -> Result<Found> {
    ensure!(file.is_file(), "{} is gone", file.display());
    let connection = rusqlite::Connection::open(file)?;
    connection.busy_timeout(std::time::Duration::from_secs(30))?;
    let whole: String = connection.query_row("PRAGMA integrity_check", (), |row| row.get(0))?;
    ensure!(whole == "ok", "{whole}");
    let mut found = Found::new();
    let mut states = connection.prepare(STATES)?;
    let states = states.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for state in states {
        let (channel, thread, number): (_, _, String) = state?;
        found.entry(Key::State(channel, thread)).or_default().push(parse(&number)?);
    }
    let mut ownerships = connection.prepare(OWNERSHIPS)?;
    for ownership in ownerships.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (thread, number): (_, String) = ownership?;
        found.entry(Key::Ownership(thread)).or_default().push(parse(&number)?);
    }
    Ok(found)
}

/// The rows of the database that a connection is in.
///
/// # Errors
///
/// The server does not answer.
pub async fn mysql(connection: &mut Conn) -> Result<Found> {
    let mut found = Found::new();
    let states: Vec<(String, Option<String>, String)> = connection.query(STATES).await?;
    for (channel, thread, number) in states {
        found.entry(Key::State(channel, thread)).or_default().push(parse(&number)?);
    }
    let ownerships: Vec<(String, String)> = connection.query(OWNERSHIPS).await?;
    for (thread, number) in ownerships {
        found.entry(Key::Ownership(thread)).or_default().push(parse(&number)?);
    }
    Ok(found)
}

fn parse(number: &str) -> Result<u64> {
    number.parse().with_context(|| format!("a row holds {number:?}"))
}
