//! A source that the original bot goes on writing to while it is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use cofferdam_tests::harness::command::{cofferdam, run};
use cofferdam_tests::harness::storage::Home;
use mysql_async::prelude::Queryable;
use rusqlite::{Connection, OptionalExtension, params};

use crate::rig::{dump, fill, make_legacy, many, migrate, times, verify, without_ids};

/// A pause between two writes.
const PAUSE: Duration = Duration::from_millis(2);

/// Writes that are enough for some to meet a run.
const MANY: i64 = 20;

/// Runs within which there are so many, unless nobody writes.
const RUNS: usize = 20;

/// A new channel or an old one, in turns.
fn channel(number: i64) -> String {
    if number % 2 == 0 { format!("new-{number}") } else { format!("11{:017}", number * 7_919 % 1_000_003) }
}

/// What the original does for an upsert: it looks, and then updates or inserts.
fn write_to_file(file: &std::path::Path, number: i64, now: i64) -> Result<()> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    let channel = channel(number);
    let found: Option<i64> = connection
        .query_row("SELECT id FROM message_states WHERE channel_id = ? AND thread_id IS NULL", [&channel], |row| {
            row.get(0)
        })
        .optional()?;
    let message = format!("m{number}");
    match found {
        Some(id) => connection.execute(
            "UPDATE message_states SET last_message_id = ?, last_seen_timestamp = ?, updated_at = ? WHERE id = ?",
            params![message, now, now, id],
        )?,
        None => connection.execute(
            "INSERT INTO message_states (channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at) \
             VALUES (?, NULL, ?, ?, ?, ?)",
            params![channel, message, now, now, now],
        )?,
    };
    Ok(())
}

async fn write_to_server(connection: &mut mysql_async::Conn, number: i64, now: i64) -> Result<()> {
    let channel = channel(number);
    const FIND: &str = "SELECT id FROM message_states WHERE channel_id = ? AND thread_id IS NULL";
    let found: Option<i64> = connection.exec_first(FIND, (&channel,)).await?;
    let message = format!("m{number}");
    const UPDATE: &str =
        "UPDATE message_states SET last_message_id = ?, last_seen_timestamp = ?, updated_at = ? WHERE id = ?";
    const INSERT: &str = "INSERT INTO message_states (channel_id, thread_id, last_message_id, last_seen_timestamp, \
                          created_at, updated_at) VALUES (?, NULL, ?, ?, ?, ?)";
    match found {
        Some(id) => connection.exec_drop(UPDATE, (message, now, now, id)).await?,
        None => connection.exec_drop(INSERT, (channel, message, now, now, now)).await?,
    }
    Ok(())
}

async fn moves_from_under_the_old_bot(from: Home, to: Home) -> Result<()> {
    let folder = tempfile::tempdir()?;
    make_legacy(&from).await?;
    fill(&from, &many(i64::from(times(20_000, 200_000)))).await?;
    let from = Arc::new(from);
    let stop = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicI64::new(0));
    let writer = tokio::spawn({
        let (from, stop, written) = (from.clone(), stop.clone(), written.clone());
        async move {
            let mut connection = match &*from {
                Home::Mysql(database) => Some(database.connect().await?),
                Home::Sqlite(_) => None,
            };
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                // Each in a second of its own, as it is for the rows of one channel.
                let now = 1_800_000_000 + number;
                match (&*from, &mut connection) {
                    (Home::Sqlite(folder), _) => {
                        let file = folder.database();
                        tokio::task::spawn_blocking(move || write_to_file(&file, number, now)).await??;
                    }
                    (_, Some(connection)) => write_to_server(connection, number, now).await?,
                    _ => {}
                }
                written.store(number, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
            if let Some(connection) = connection {
                connection.disconnect().await?;
            }
            anyhow::Ok(())
        }
    });
    let (place, sides) = (folder.path(), (&*from, &to));
    let writes = || written.load(Ordering::Relaxed);
    // On a slow disk a run is over before there were many writes.
    for _ in 0..RUNS {
        let status = tokio::task::block_in_place(|| {
            cofferdam()?;
            anyhow::Ok(migrate(sides.0, sides.1, place, &["--execute"]).output()?.status)
        })?;
        // 7 where rows were written after they were read, as a rule.
        ensure!(matches!(status.code(), Some(0 | 7)), "the run ended with {status}");
        if writes() > MANY {
            break;
        }
    }
    stop.store(true, Ordering::Relaxed);
    writer.await??;
    let writes = writes();
    ensure!(writes > MANY, "{writes} writes are not many");
    println!("{writes} writes of the old bot while its rows were moved");
    run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 0);
    run(&mut verify(&from, &to, folder.path(), &[]), 0);
    assert!(without_ids(dump(&from).await?) == without_ids(dump(&to).await?), "something was lost or changed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_old_bot_writes_to_is_moved() -> Result<()> {
    moves_from_under_the_old_bot(Home::sqlite()?, Home::mysql().await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_the_old_bot_writes_to_is_moved() -> Result<()> {
    moves_from_under_the_old_bot(Home::mysql().await?, Home::sqlite()?).await
}
