//! How large SQLite's write-ahead log becomes while somebody never stops writing.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use cofferdam::{Storage, StorageService};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use hdrhistogram::Histogram;
use rusqlite::Connection;
use serde_json::json;
use tokio::runtime::Runtime;

use super::{Finding, Size, rounded, say};
use crate::scratch::{self, Scratch};
use crate::shared::rows::Rows;

const MEBIBYTE: f64 = (1 << 20) as f64;

/// Between two looks at the log.
const LOOK: Duration = Duration::from_millis(10);

/// Without anybody who reads, and beside one who does not end. On the disk of the folder for temporary files.
pub fn take(size: Size) -> Result<Vec<Finding>> {
    let runtime = Runtime::new()?;
    let mut findings = Vec::new();
    for (probe, is_read) in [("log/sqlite", false), ("log/long-reader", true)] {
        findings.push(runtime.block_on(measure(probe, is_read, size))?);
    }
    Ok(findings)
}

async fn measure(probe: &'static str, is_read: bool, size: Size) -> Result<Finding> {
    let duration = size.choose(Duration::from_secs(5), Duration::from_secs(60));
    say(&format!("{probe}: one caller writes for {duration:?}"));
    let folder = scratch::sqlite().await?;
    let storage: Arc<dyn StorageService> = Arc::new(Storage::builder(folder.config()).build()?);
    storage.initialize().await?;
    let reader = if is_read { Some(read(&folder)?) } else { None };
    let is_over = Arc::new(AtomicBool::new(false));
    let watcher = std::thread::spawn({
        let (log, is_over) = (log_of(&folder), Arc::clone(&is_over));
        move || {
            let mut largest = 0;
            while !is_over.load(Ordering::Relaxed) {
                largest = std::fs::metadata(&log).map_or(0, |file| file.len()).max(largest);
                std::thread::sleep(LOOK);
            }
            largest
        }
    });
    let rows = Rows::new();
    let mut times = Histogram::<u64>::new(3)?;
    let started = Instant::now();
    for index in 0.. {
        if started.elapsed() >= duration {
            break;
        }
        let before = Instant::now();
        storage.upsert_message_state(&rows.existing(index)).await?;
        times.record(u64::try_from(before.elapsed().as_nanos())?)?;
    }
    let elapsed = started.elapsed();
    is_over.store(true, Ordering::Relaxed);
    let largest = watcher.join().map_err(|_| anyhow::anyhow!("the watcher panicked"))?;
    drop(reader);
    storage.close().await?;
    let details = json!({
        "seconds": rounded(elapsed.as_secs_f64()),
        "upserts": times.len(),
        "upserts_per_second": rounded(times.len() as f64 / elapsed.as_secs_f64()),
        "p50_us": rounded(times.value_at_quantile(0.5) as f64 / 1e3),
        "p99_us": rounded(times.value_at_quantile(0.99) as f64 / 1e3),
        "p99.99_us": rounded(times.value_at_quantile(0.9999) as f64 / 1e3),
        "max_us": rounded(times.max() as f64 / 1e3),
    });
    Ok(Finding { probe, value: largest as f64 / MEBIBYTE, unit: "MiB", details })
}

fn log_of(folder: &SqliteFolder) -> PathBuf {
    let mut name = folder.database().into_os_string();
    name.push("-wal");
    name.into()
}

/// Begins to read what is there now.
fn read(folder: &SqliteFolder) -> Result<Connection> {
    let connection = Connection::open(folder.database())?;
    connection.execute_batch("BEGIN")?;
    let _: i64 = connection.query_row("SELECT count(*) FROM message_states", (), |row| row.get(0))?;
    Ok(connection)
}
