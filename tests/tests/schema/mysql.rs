//! Databases of the old bot on MySQL, which have the charset that the server or the database happened to have.

use std::sync::Arc;

use anyhow::{Context, Result};
use cofferdam::clock::SystemClock;
use cofferdam::{ErrorKind, MessageState, StorageService, ThreadOwnership};
use cofferdam_tests::error_kind;
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlDatabase, MysqlServer};
use cofferdam_tests::harness::old;
use cofferdam_tests::harness::storage::Home;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row as MysqlRow};

use super::{Row, assert_newest_stay, assert_rows_of_old_bot, fixture, start_together};

async fn database(charset: &str, collation: &str) -> Result<MysqlDatabase> {
    let options = DatabaseOptions { charset: Some(charset), collation: Some(collation) };
    MysqlServer::shared().await?.create_database(options).await
}

/// A database as the old bot left it.
async fn legacy(charset: &str, collation: &str) -> Result<MysqlDatabase> {
    let database = database(charset, collation).await?;
    let path = fixture("legacy-mysql.sql");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut connection = database.connect().await?;
    connection.query_drop(text).await?;
    connection.disconnect().await?;
    Ok(database)
}

async fn message_rows(connection: &mut Conn, table: &str) -> Result<Vec<Row>> {
    if connection.query_first::<String, _>(format!("SHOW TABLES LIKE '{table}'")).await?.is_none() {
        return Ok(Vec::new());
    }
    let columns = "channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at";
    let rows = connection
        .query_map(
            format!("SELECT {columns} FROM {table}"),
            |(channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at)| Row {
                channel_id,
                thread_id,
                last_message_id,
                last_seen_timestamp,
                created_at,
                updated_at,
            },
        )
        .await?;
    Ok(rows)
}

async fn ownership_rows(connection: &mut Conn) -> Result<Vec<(String, String, String, i64, i64, i64)>> {
    let columns = "thread_id, original_user_id, created_by, creation_time, created_at, updated_at";
    Ok(connection.query(format!("SELECT {columns} FROM thread_ownerships ORDER BY BINARY thread_id")).await?)
}

/// The definition and the rows of every table, as text.
async fn contents(connection: &mut Conn) -> Result<Vec<String>> {
    let mut contents = Vec::new();
    let tables: Vec<String> = connection.query("SHOW TABLES").await?;
    for table in tables {
        let definition: Option<(String, String)> = connection.query_first(format!("SHOW CREATE TABLE {table}")).await?;
        contents.push(definition.context("a definition")?.1);
        let rows: Vec<MysqlRow> = connection.query(format!("SELECT * FROM {table} ORDER BY 1")).await?;
        contents.extend(rows.into_iter().map(|row| format!("{table}: {:?}", row.unwrap())));
    }
    Ok(contents)
}

/// Upgrades it, compares what is in it, upgrades it once more, and stores what it could not before.
async fn assert_upgraded(database: MysqlDatabase) -> Result<Home> {
    let mut connection = database.connect().await?;
    let states = message_rows(&mut connection, "message_states").await?;
    let ownerships = ownership_rows(&mut connection).await?;
    assert!(!states.is_empty() && !ownerships.is_empty(), "the fixture has rows");
    let home = Home::Mysql(database);
    let storage = home.open().await?;
    assert_eq!(storage.schema_version().await?, Some(storage.backend().schema_version));
    storage.health_check().await?;
    let listed: Vec<Row> = storage.get_all_message_states().await?.into_iter().map(Row::of).collect();
    let archive = message_rows(&mut connection, "message_states_archive").await?;
    assert_newest_stay(&states, &listed, &archive);
    assert_eq!(ownership_rows(&mut connection).await?, ownerships);

    let upgraded = contents(&mut connection).await?;
    storage.initialize().await?;
    let again = home.open().await?;
    again.close().await?;
    assert_eq!(contents(&mut connection).await?, upgraded, "a second upgrade changed something");
    connection.disconnect().await?;

    for id in ["\u{1f980}", "Abc", "abc", "abc ", "\u{e9}", "e\u{301}"] {
        storage.upsert_message_state(&MessageState::new(id, Some(id), id, 1)).await?;
        storage.upsert_thread_ownership(&ThreadOwnership::new(id, id, id, 1)).await?;
        let row = storage.get_message_state(id, Some(id)).await?;
        assert_eq!(row.map(|row| row.last_message_id).as_deref(), Some(id));
        let row = storage.get_thread_ownership(id).await?;
        assert_eq!(row.map(|row| row.original_user_id).as_deref(), Some(id));
    }
    storage.close().await?;
    Ok(home)
}

#[tokio::test]
async fn an_old_database_in_latin1_is_converted_and_takes_emoji() -> Result<()> {
    assert_upgraded(legacy("latin1", "latin1_swedish_ci").await?).await.map(drop)
}

#[tokio::test]
async fn an_old_database_that_ignores_case_is_converted() -> Result<()> {
    assert_upgraded(legacy("utf8mb4", "utf8mb4_general_ci").await?).await.map(drop)
}

#[tokio::test]
async fn a_new_database_in_latin1_takes_emoji() -> Result<()> {
    let home = Home::Mysql(database("latin1", "latin1_swedish_ci").await?);
    let storage = home.open().await?;
    storage.upsert_message_state(&MessageState::new("\u{1f980}", None, "\u{1f99e}", 1)).await?;
    let row = storage.get_message_state("\u{1f980}", None).await?;
    assert_eq!(row.map(|row| row.last_message_id).as_deref(), Some("\u{1f99e}"));
    storage.close().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_start_together_upgrade_an_old_database_once() -> Result<()> {
    let database = legacy("latin1", "latin1_swedish_ci").await?;
    let mut connection = database.connect().await?;
    let before = message_rows(&mut connection, "message_states").await?;
    let home = Home::Mysql(database);
    start_together(&home).await?;
    let of_hosts = |row: &Row| row.channel_id == "all hosts" || row.channel_id.starts_with("host ");
    let mut table = message_rows(&mut connection, "message_states").await?;
    table.retain(|row| !of_hosts(row));
    let archive = message_rows(&mut connection, "message_states_archive").await?;
    assert_newest_stay(&before, &table, &archive);
    connection.disconnect().await?;
    drop(home);
    Ok(())
}

/// `initialize` says `SchemaMismatch` after these statements, twice, and nothing is changed.
async fn assert_refused(statements: &[&str]) -> Result<()> {
    let database = database("utf8mb4", "utf8mb4_general_ci").await?;
    let mut connection = database.connect().await?;
    for statement in statements {
        connection.query_drop(*statement).await?;
    }
    let before = contents(&mut connection).await?;
    let home = Home::Mysql(database);
    for _ in 0..2 {
        let storage = home.storage(Arc::new(SystemClock))?;
        assert_eq!(error_kind(&storage.initialize().await), Some(ErrorKind::SchemaMismatch));
        assert_eq!(error_kind(&storage.get_all_message_states().await), Some(ErrorKind::NotInitialized));
        storage.close().await?;
    }
    assert_eq!(contents(&mut connection).await?, before, "something was changed");
    connection.disconnect().await?;
    Ok(())
}

#[tokio::test]
async fn a_newer_version_is_refused_and_left_alone() -> Result<()> {
    let home = Home::mysql().await?;
    home.open().await?.close().await?;
    let Home::Mysql(database) = &home else { unreachable!() };
    let mut connection = database.connect().await?;
    connection.query_drop("UPDATE schema_versions SET version = version + 1000 ORDER BY version DESC LIMIT 1").await?;
    let before = contents(&mut connection).await?;
    let storage = home.storage(Arc::new(SystemClock))?;
    assert_eq!(error_kind(&storage.initialize().await), Some(ErrorKind::SchemaMismatch));
    storage.close().await?;
    assert_eq!(contents(&mut connection).await?, before, "something was changed");
    connection.disconnect().await?;
    Ok(())
}

#[tokio::test]
async fn a_table_without_one_of_its_columns_is_refused_and_left_alone() -> Result<()> {
    assert_refused(&[
        old::mysql::STATES,
        old::mysql::OWNERSHIPS,
        "ALTER TABLE message_states DROP COLUMN last_message_id",
        "INSERT INTO message_states (channel_id, last_seen_timestamp, created_at, updated_at) VALUES ('c', 1, 2, 3)",
    ])
    .await
}

/// As the old bot does it: look whether the row is there, then insert or update.
async fn old_upsert(connection: &mut Conn, channel: &str, thread: Option<&str>, message: &str) -> Result<()> {
    let id: Option<i64> = match thread {
        None => {
            let find = "SELECT id FROM message_states WHERE channel_id = ? AND thread_id IS NULL";
            connection.exec_first(find, (channel,)).await?
        }
        Some(thread) => {
            let find = "SELECT id FROM message_states WHERE channel_id = ? AND thread_id = ?";
            connection.exec_first(find, (channel, thread)).await?
        }
    };
    match id {
        None => {
            let insert = "INSERT INTO message_states \
                          (channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at) \
                          VALUES (?, ?, ?, ?, ?, ?)";
            connection.exec_drop(insert, (channel, thread, message, 10, 10, 10)).await?;
        }
        Some(id) => {
            let update = "UPDATE message_states \
                          SET last_message_id = ?, last_seen_timestamp = ?, updated_at = ? WHERE id = ?";
            connection.exec_drop(update, (message, 20, 20, id)).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_old_bot_still_works_on_an_upgraded_database() -> Result<()> {
    let home = assert_upgraded(legacy("latin1", "latin1_swedish_ci").await?).await?;
    let Home::Mysql(database) = &home else { unreachable!() };
    let mut connection = database.connect().await?;
    for statement in old::mysql::start() {
        connection.query_drop(statement).await?;
    }
    for (channel, thread) in [("old bot", None), ("old bot", Some("thread"))] {
        old_upsert(&mut connection, channel, thread, "first").await?;
        old_upsert(&mut connection, channel, thread, "second").await?;
    }
    let insert = "INSERT INTO thread_ownerships \
                  (thread_id, original_user_id, created_by, creation_time, created_at, updated_at) \
                  VALUES (?, ?, ?, ?, ?, ?)";
    connection.exec_drop(insert, ("old bot", "user", "bot", 1, 2, 3)).await?;
    connection.query_drop("UPDATE thread_ownerships SET updated_at = 4 WHERE thread_id = 'old bot'").await?;
    connection.disconnect().await?;

    // And back again.
    assert_rows_of_old_bot(&home).await
}
