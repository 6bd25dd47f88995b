//! Files of the old bot.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use cofferdam::clock::SystemClock;
use cofferdam::{ErrorKind, StorageService};
use cofferdam_tests::error_kind;
use cofferdam_tests::harness::old;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::Home;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Row, assert_newest_stay, assert_rows_of_old_bot, fixture, start_together};

fn message_rows(path: &Path, table: &str) -> Result<Vec<Row>> {
    let connection = Connection::open(path)?;
    let exists =
        connection.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?")?.exists([table])?;
    if !exists {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare(&format!(
        "SELECT channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at FROM {table}"
    ))?;
    let rows = statement.query_map([], |row| {
        Ok(Row {
            channel_id: row.get(0)?,
            thread_id: row.get(1)?,
            last_message_id: row.get(2)?,
            last_seen_timestamp: row.get(3)?,
            created_at: row.get(4)?,
            updated_at: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn ownership_rows(path: &Path) -> Result<Vec<Vec<rusqlite::types::Value>>> {
    let connection = Connection::open(path)?;
    let mut statement = connection.prepare(
        "SELECT thread_id, original_user_id, created_by, creation_time, created_at, updated_at \
         FROM thread_ownerships ORDER BY thread_id",
    )?;
    let rows = statement.query_map([], |row| (0..6).map(|column| row.get(column)).collect())?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Everything that is stored, except by the database itself.
fn contents(path: &Path) -> Result<Vec<String>> {
    let connection = Connection::open(path)?;
    let mut schema = connection.prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")?;
    let entries: Vec<(String, String)> =
        schema.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    let mut contents = Vec::new();
    for (name, sql) in entries {
        if sql.starts_with("CREATE TABLE") {
            let mut statement = connection.prepare(&format!("SELECT * FROM \"{name}\" ORDER BY 1"))?;
            let columns = statement.column_count();
            let rows = statement.query_map([], |row| {
                let cells: rusqlite::Result<Vec<rusqlite::types::Value>> =
                    (0..columns).map(|column| row.get(column)).collect();
                Ok(format!("{name}: {:?}", cells?))
            })?;
            contents.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
        }
        contents.push(sql);
    }
    Ok(contents)
}

/// Upgrades a copy, compares what is in it, and upgrades it once more. Returns the archived rows.
async fn assert_upgraded(name: &str) -> Result<(Home, Vec<Row>)> {
    let folder = SqliteFolder::with_copy_of(&fixture(name))?;
    let path = folder.database();
    let (states, ownerships) = (message_rows(&path, "message_states")?, ownership_rows(&path)?);
    let home = Home::Sqlite(folder);
    let storage = home.open().await?;
    assert_eq!(storage.schema_version().await?, Some(storage.backend().schema_version));
    storage.health_check().await?;
    let listed: Vec<Row> = storage.get_all_message_states().await?.into_iter().map(Row::of).collect();
    assert_eq!(storage.get_all_thread_ownerships().await?.len(), ownerships.len());
    storage.close().await?;

    let archive = message_rows(&path, "message_states_archive")?;
    assert_newest_stay(&states, &listed, &archive);
    assert_eq!(ownership_rows(&path)?, ownerships);

    let upgraded = contents(&path)?;
    let storage = home.open().await?;
    storage.initialize().await?;
    storage.close().await?;
    assert_eq!(contents(&path)?, upgraded, "a second upgrade changed something");
    Ok((home, archive))
}

#[tokio::test]
async fn an_empty_old_file_is_upgraded() -> Result<()> {
    let (_, archive) = assert_upgraded("empty.db").await?;
    assert_eq!(archive, []);
    Ok(())
}

#[tokio::test]
async fn an_ordinary_old_file_is_upgraded() -> Result<()> {
    let (_, archive) = assert_upgraded("ordinary.db").await?;
    assert_eq!(archive, []);
    Ok(())
}

#[tokio::test]
async fn duplicates_without_a_thread_are_merged_into_the_newest_and_archived() -> Result<()> {
    let (_, archive) = assert_upgraded("duplicates.db").await?;
    assert!(!archive.is_empty(), "the fixture has duplicates");
    Ok(())
}

#[tokio::test]
async fn ids_that_differ_in_case_and_spaces_stay_apart() -> Result<()> {
    let (_, archive) = assert_upgraded("case-and-spaces.db").await?;
    assert_eq!(archive, []);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_start_together_upgrade_an_old_file_once() -> Result<()> {
    let folder = SqliteFolder::with_copy_of(&fixture("duplicates.db"))?;
    let path = folder.database();
    let before = message_rows(&path, "message_states")?;
    let home = Home::Sqlite(folder);
    start_together(&home).await?;
    let of_hosts = |row: &Row| row.channel_id == "all hosts" || row.channel_id.starts_with("host ");
    let mut table = message_rows(&path, "message_states")?;
    table.retain(|row| !of_hosts(row));
    assert_newest_stay(&before, &table, &message_rows(&path, "message_states_archive")?);
    Ok(())
}

/// `initialize` fails with this kind, twice, and the file keeps every byte.
async fn assert_refused(name: &str, kind: ErrorKind) -> Result<()> {
    let original = std::fs::read(fixture(name))?;
    let folder = SqliteFolder::with_copy_of(&fixture(name))?;
    let path = folder.database();
    let home = Home::Sqlite(folder);
    for _ in 0..2 {
        let storage = home.storage(Arc::new(SystemClock))?;
        assert_eq!(error_kind(&storage.initialize().await), Some(kind), "{name}");
        assert_eq!(error_kind(&storage.get_all_message_states().await), Some(ErrorKind::NotInitialized), "{name}");
        storage.close().await?;
    }
    assert!(std::fs::read(&path)? == original, "{name} was changed");
    Ok(())
}

#[tokio::test]
async fn a_newer_version_is_refused_and_left_alone() -> Result<()> {
    assert_refused("newer-version.db", ErrorKind::SchemaMismatch).await
}

#[tokio::test]
async fn a_table_without_one_of_its_columns_is_refused_and_left_alone() -> Result<()> {
    assert_refused("missing-column.db", ErrorKind::SchemaMismatch).await
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() -> Result<()> {
    assert_refused("no-database.db", ErrorKind::CorruptData).await
}

#[tokio::test]
async fn a_truncated_file_is_refused_and_left_alone() -> Result<()> {
    assert_refused("truncated.db", ErrorKind::CorruptData).await
}

/// As the old bot does it: look whether the row is there, then insert or update.
fn old_upsert(connection: &Connection, channel: &str, thread: Option<&str>, message: &str) -> Result<()> {
    let id: Option<i64> = match thread {
        None => connection
            .query_row("SELECT id FROM message_states WHERE channel_id = ? AND thread_id IS NULL", [channel], |row| {
                row.get(0)
            })
            .optional()?,
        Some(thread) => connection
            .query_row(
                "SELECT id FROM message_states WHERE channel_id = ? AND thread_id = ?",
                [channel, thread],
                |row| row.get(0),
            )
            .optional()?,
    };
    match id {
        None => connection.execute(
            "INSERT INTO message_states \
             (channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at) \
             VALUES (?, ?, ?, ?, ?, ?)",
            params![channel, thread, message, 10, 10, 10],
        )?,
        Some(id) => connection.execute(
            "UPDATE message_states SET last_message_id = ?, last_seen_timestamp = ?, updated_at = ? WHERE id = ?",
            params![message, 20, 20, id],
        )?,
    };
    Ok(())
}

#[tokio::test]
async fn the_old_bot_still_works_on_an_upgraded_file() -> Result<()> {
    let (home, _) = assert_upgraded("ordinary.db").await?;
    let Home::Sqlite(folder) = &home else { unreachable!() };
    let connection = Connection::open(folder.database())?;
    connection.execute_batch(&old::sqlite::start())?;
    for (channel, thread) in [("old bot", None), ("old bot", Some("thread"))] {
        old_upsert(&connection, channel, thread, "first")?;
        old_upsert(&connection, channel, thread, "second")?;
    }
    connection.execute(
        "INSERT INTO thread_ownerships \
         (thread_id, original_user_id, created_by, creation_time, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
        params!["old bot", "user", "bot", 1, 2, 3],
    )?;
    connection.execute("UPDATE thread_ownerships SET updated_at = ? WHERE thread_id = ?", params![4, "old bot"])?;
    drop(connection);

    // And back again.
    assert_rows_of_old_bot(&home).await
}

#[tokio::test]
async fn a_file_made_here_can_be_used_by_the_old_bot() -> Result<()> {
    let home = Home::sqlite()?;
    home.open().await?.close().await?;
    let Home::Sqlite(folder) = &home else { unreachable!() };
    let connection = Connection::open(folder.database())?;
    connection.execute_batch(&old::sqlite::start())?;
    old_upsert(&connection, "c", None, "m")?;
    drop(connection);
    let storage = home.open().await?;
    assert_eq!(storage.get_all_message_states().await?.len(), 1);
    storage.close().await?;
    Ok(())
}
