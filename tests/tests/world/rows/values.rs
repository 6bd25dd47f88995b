//! Values that no column should hold: a list names the row and never leaves it out.

use std::time::Duration;

use anyhow::Result;
use cofferdam::{ErrorKind, Storage, StorageService, TransferService};
use cofferdam_tests::harness::command::{on_sqlite, run};
use cofferdam_tests::harness::storage::Home;

use super::rig::execute;
use super::{messages, ownership, pairs, put};

/// Every list fails, and says the same of the same row.
async fn lists_name(storage: &Storage, column: &str, id: i64, found: &str) -> Result<()> {
    let week = Duration::from_secs(7 * 24 * 3600);
    let failures = match column.split_once('.') {
        Some(("thread_ownerships", _)) => {
            [storage.get_all_thread_ownerships().await.err(), storage.export_thread_ownerships(None, 10).await.err()]
        }
        _ => [storage.get_all_message_states().await.err(), storage.export_message_states(None, 10).await.err()],
    };
    for error in failures {
        let error = error.unwrap_or_else(|| panic!("a list with {found} in {column}"));
        assert_eq!(error.kind(), ErrorKind::CorruptData, "{column}: {error}");
        let (table, column) = column.split_once('.').expect("a column of a table");
        for part in
            [&format!("column {column} of {table} contains {found}"), &format!("in the row with id {id}"), "WHERE id ="]
        {
            assert!(error.message().contains(part), "no {part:?} in: {error}");
        }
        assert!(!error.message().contains("2024-05-06"), "{error}");
    }
    // Of all time, so that the row is in it whatever its timestamp is.
    let _ = storage.get_message_states_within_window(week).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_another_kind_is_named_with_its_row_and_can_be_mended() -> Result<()> {
    let home = Home::sqlite()?;
    let storage = home.open().await?;
    for channel in ["a", "b", "c"] {
        put(&storage, channel, "1").await?;
        storage.upsert_thread_ownership(&ownership(channel, "1")).await?;
    }
    let id = storage.get_message_state("b", None).await?.map_or(0, |row| row.id);
    let blob = "a blob, or text that is not UTF-8,";
    for (column, value, found, good) in [
        ("message_states.updated_at", "'2024-05-06 07:08:09'", "a text", "5"),
        ("message_states.last_seen_timestamp", "1.5", "a real number", "5"),
        ("message_states.created_at", "x'00ff'", blob, "5"),
        ("message_states.created_at", "9.3e18", "a real number", "5"),
        ("message_states.last_message_id", "x'00ff'", blob, "'1'"),
        ("message_states.last_message_id", "CAST(x'61ff' AS TEXT)", blob, "'1'"),
        ("message_states.thread_id", "x'61'", blob, "NULL"),
        ("message_states.channel_id", "x'61'", blob, "'b'"),
        ("thread_ownerships.updated_at", "'2024-05-06'", "a text", "5"),
        ("thread_ownerships.creation_time", "'now'", "a text", "5"),
        ("thread_ownerships.created_by", "x''", blob, "'bot'"),
        ("thread_ownerships.thread_id", "x'62'", blob, "'b'"),
    ] {
        let (table, name) = column.split_once('.').expect("a column of a table");
        execute(&home, &[&format!("UPDATE {table} SET {name} = {value} WHERE id = {id}")]).await?;
        lists_name(&storage, column, id, found).await?;
        // The others are read by their keys as ever.
        assert!(
            storage.get_message_state("a", None).await?.is_some() && storage.get_thread_ownership("c").await?.is_some()
        );
        execute(&home, &[&format!("UPDATE {table} SET {name} = {good} WHERE id = {id}")]).await?;
        assert_eq!(messages(&storage).await?, pairs(&[("a", "1"), ("b", "1"), ("c", "1")]), "{column}");
        assert_eq!(storage.get_all_thread_ownerships().await?.len(), 3, "{column}");
    }
    // A row that is read by its key says so too, and a write mends it.
    execute(&home, &["UPDATE message_states SET updated_at = 'yesterday' WHERE channel_id = 'b'"]).await?;
    let error = storage.get_message_state("b", None).await.expect_err("a text for a number");
    assert!(error.message().contains(&format!("in the row with id {id}")), "{error}");
    put(&storage, "b", "2").await?;
    assert_eq!(messages(&storage).await?, pairs(&[("a", "1"), ("b", "2"), ("c", "1")]));
    Ok(storage.close().await?)
}

/// A trigger of another tool's, as it was met: every write leaves a text date.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_trigger_writes_is_told_by_the_command() -> Result<()> {
    let home = Home::sqlite()?;
    let storage = home.open().await?;
    put(&storage, "a", "1").await?;
    execute(
        &home,
        &["CREATE TRIGGER stamp AFTER UPDATE ON message_states BEGIN \
           UPDATE message_states SET updated_at = '2024-05-06 07:08:09' WHERE id = NEW.id; END"],
    )
    .await?;
    put(&storage, "a", "2").await?;
    let id = {
        let error = storage.get_all_message_states().await.expect_err("a text for a number");
        let id = error.message().split("in the row with id ").nth(1).and_then(|rest| rest.split(':').next());
        id.map(str::to_owned).expect("it names the row")
    };
    storage.close().await?;
    let Home::Sqlite(folder) = &home else { unreachable!("it is a file") };
    execute(&home, &["DROP TRIGGER stamp"]).await?;
    let mut list = on_sqlite(&["state", "list"]);
    list.env("DATABASE_PATH", folder.database());
    let (stdout, stderr) = run(&mut list, 1);
    assert!(stdout.is_empty() && stderr.contains("corrupt-data"), "{stdout} {stderr}");
    assert!(
        stderr.contains(&format!(
            "column updated_at of message_states contains a text where an integer belongs in the row with id {id}"
        )),
        "{stderr}"
    );
    assert!(!stderr.contains("2024"), "{stderr}");
    Ok(())
}

/// Longer than an id may be, and empty: they are what they are, and a list has them.
#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_breaks_a_rule_is_listed_as_it_is() -> Result<()> {
    let home = Home::sqlite()?;
    let storage = home.open().await?;
    let long = "x".repeat(300);
    let insert = |channel: &str| {
        format!(
            "INSERT INTO message_states (channel_id, last_message_id, last_seen_timestamp, created_at, updated_at) \
             VALUES ('{channel}', 'm', 1, 2, 3)"
        )
    };
    execute(&home, &[&insert(&long), &insert("")]).await?;
    assert_eq!(messages(&storage).await?, pairs(&[("", "m"), (&long, "m")]));
    Ok(storage.close().await?)
}

/// What a server's column can hold and the contract cannot.
#[tokio::test(flavor = "multi_thread")]
async fn an_integer_without_a_sign_that_is_too_great_is_named_with_its_row() -> Result<()> {
    let home = Home::mysql().await?;
    let storage = home.open().await?;
    put(&storage, "a", "1").await?;
    put(&storage, "b", "1").await?;
    let id = storage.get_message_state("b", None).await?.map_or(0, |row| row.id);
    execute(
        &home,
        &[
            "ALTER TABLE message_states MODIFY last_seen_timestamp BIGINT UNSIGNED NOT NULL",
            "UPDATE message_states SET last_seen_timestamp = 18446744073709551615 WHERE channel_id = 'b'",
        ],
    )
    .await?;
    let error = storage.get_all_message_states().await.expect_err("no integer of the contract");
    assert_eq!(error.kind(), ErrorKind::CorruptData, "{error}");
    let expected = format!(
        "column last_seen_timestamp of message_states contains an integer beyond 64 bits with a sign in the row whose id is {id}"
    );
    assert!(error.message().contains(&expected) && !error.message().contains("1844"), "{error}");
    put(&storage, "b", "2").await?;
    assert_eq!(messages(&storage).await?, pairs(&[("a", "1"), ("b", "2")]));
    Ok(storage.close().await?)
}
