//! Memory does not grow with the rows.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use cofferdam::StorageService;
use cofferdam_tests::harness::memory::Memory;
use cofferdam_tests::harness::storage::Home;
use serde_json::Value;

use crate::rig::{migrate, times};

/// States of the smaller source: enough to fill the cache of 32 MiB with which SQLite is written.
const FEW: u32 = 250_000;

/// What the greater one may need more, in KiB: the 32 MiB in which SQLite sorts an index, and little more.
const MORE: u64 = 40 << 10;

/// A file with so many states, a tenth as many ownerships, and no order in their keys.
async fn source(states: u32) -> Result<Home> {
    let from = Home::sqlite()?;
    from.open().await?.close().await?;
    let Home::Sqlite(folder) = &from else { unreachable!("it is a file") };
    let connection = rusqlite::Connection::open(folder.database())?;
    // Modulo a prime no two products are the same.
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1), \
                   k(i, key) AS (SELECT i, i * 2654435761 % 4294967291 FROM n)";
    connection.execute(
        &format!(
            "INSERT INTO message_states (channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at) \
             {numbers} SELECT printf('11%017d', key), iif(i % 3 = 0, printf('11%017d', key), NULL), printf('12%017d', i), \
             i, i, i FROM k"
        ),
        [states],
    )?;
    connection.execute(
        &format!(
            "INSERT INTO thread_ownerships (thread_id, original_user_id, created_by, creation_time, created_at, updated_at) \
             {numbers} SELECT printf('13%017d', key), printf('14%017d', i), 'bot', i, i, i FROM k"
        ),
        [states / 10],
    )?;
    Ok(from)
}

/// The most memory that the command had, in KiB.
fn peak(from: &Home, to: &Home, folder: &Path) -> Result<u64> {
    let mut command = migrate(from, to, folder, &["--execute", "--json"]);
    let child = command.stdout(Stdio::piped()).spawn()?;
    let memory = Memory::watch(child.id());
    let output = child.wait_with_output()?;
    let peak = memory.stop();
    ensure!(output.status.success(), "{command:?}: {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    let moved = text.lines().find(|line| line.contains("\"moved\"")).context("it says what was moved")?;
    let moved: Value = serde_json::from_str(moved)?;
    println!("{} to {}: {} rows in {} s, at most {peak} KiB", from.name(), to.name(), moved["rows"], moved["seconds"]);
    Ok(peak)
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_flat() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut peaks = Vec::new();
    // The first compiles the plugins where no test did.
    for states in [1_000, FEW, times(750_000, 5_000_000)] {
        let (from, server, back) = (source(states).await?, Home::mysql().await?, Home::sqlite()?);
        peaks.push([peak(&from, &server, folder.path())?, peak(&server, &back, folder.path())?]);
    }
    for (few, many) in peaks[1].iter().zip(&peaks[2]) {
        assert!(*many < few + MORE, "peak KiB of both ways: {peaks:?}");
    }
    Ok(())
}
