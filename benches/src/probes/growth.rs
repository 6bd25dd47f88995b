//! A get among a million rows against one among ten thousand.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use cofferdam::{Storage, StorageService};
use cofferdam_tests::harness::mysql::MysqlDatabase;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use mysql_async::prelude::Queryable;
use rusqlite::Connection;
use serde_json::json;
use tokio::runtime::Runtime;

use super::{Finding, Size, median, rounded, say};
use crate::scratch::{self, Scratch};

const FEW: u64 = 10_000;
const MANY: u64 = 1_000_000;

/// The number of the first channel.
const CHANNELS: u64 = 100_000_000_000_000_000;

/// The most rows that one statement copies, so that no transaction of the server grows without bound.
const COPIED: u64 = 250_000;

/// On SQLite.
pub fn sqlite(size: Size) -> Result<Vec<Finding>> {
    say("filling SQLite files with 10,000 and 1,000,000 rows");
    let runtime = Runtime::new()?;
    let (few, many) = (SqliteFolder::new()?, SqliteFolder::new()?);
    for (folder, rows) in [(&few, FEW), (&many, MANY)] {
        runtime.block_on(make_schema(folder))?;
        fill_sqlite(folder, rows).context("a file is not filled")?;
    }
    Ok(vec![runtime.block_on(compare("growth/sqlite", size, &few, &many))?])
}

/// On MySQL.
pub fn mysql(size: Size) -> Result<Vec<Finding>> {
    say("filling databases on the server with 10,000 and 1,000,000 rows");
    let runtime = Runtime::new()?;
    let finding = runtime.block_on(async {
        let (few, many) = (scratch::empty_mysql().await?, scratch::empty_mysql().await?);
        for (database, rows) in [(&few, FEW), (&many, MANY)] {
            make_schema(database).await?;
            fill_mysql(database, rows).await.context("a database is not filled")?;
        }
        compare("growth/mysql", size, &few, &many).await
    })?;
    Ok(vec![finding])
}

async fn open(database: &impl Scratch) -> Result<Arc<dyn StorageService>> {
    let storage: Arc<dyn StorageService> = Arc::new(Storage::builder(database.config()).build()?);
    storage.initialize().await?;
    Ok(storage)
}

async fn make_schema(database: &impl Scratch) -> Result<()> {
    Ok(open(database).await?.close().await?)
}

/// What belongs to the row with a number: a channel, a thread for every other one, and a message.
fn key(number: u64) -> (String, Option<String>) {
    let channel = (CHANNELS + number).to_string();
    let thread = (number % 2 == 1).then(|| channel.clone());
    (channel, thread)
}

fn fill_sqlite(folder: &SqliteFolder, rows: u64) -> Result<()> {
    let connection = Connection::open(folder.database())?;
    // What is lost if the machine stops now is made again.
    connection
        .execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; PRAGMA wal_autocheckpoint = 0;")?;
    let inserted = connection.execute(
        "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?1)
         INSERT INTO message_states (channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at)
         SELECT CAST(?2 + n AS TEXT), CASE WHEN n % 2 = 1 THEN CAST(?2 + n AS TEXT) END, CAST(?2 + n AS TEXT),
             1700000000 + n, 1700000000, 1700000000
         FROM numbers",
        [rows.cast_signed(), CHANNELS.cast_signed()],
    )?;
    ensure!(inserted as u64 == rows, "{inserted} rows were inserted instead of {rows}");
    Ok(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
}

/// Inserts ten rows, and then copies what is there until there are enough, in the order of the keys.
async fn fill_mysql(database: &MysqlDatabase, rows: u64) -> Result<()> {
    const COLUMNS: &str = "channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at";
    let mut connection = database.connect().await?;
    connection.query_drop("SET SESSION unique_checks = 0, foreign_key_checks = 0").await?;
    let mut there = 0;
    while there < rows {
        let copied = there.min(rows - there).min(COPIED);
        if there == 0 {
            let values = (0..10).map(|number| {
                let (channel, thread) = key(number);
                let thread = thread.map_or("NULL".to_owned(), |thread| format!("'{thread}'"));
                format!("('{channel}', {thread}, '{channel}', {}, 1700000000, 1700000000)", 1_700_000_000 + number)
            });
            let values = values.collect::<Vec<_>>().join(", ");
            connection.query_drop(format!("INSERT INTO message_states ({COLUMNS}) VALUES {values}")).await?;
        } else {
            // The distance is even, so that a copy has a thread where the original has one.
            let text = format!(
                "INSERT INTO message_states ({COLUMNS}) SELECT channel_id + {there}, thread_id + {there}, \
                 last_message_id + {there}, last_seen_timestamp + {there}, 1700000000, 1700000000 \
                 FROM (SELECT CAST(channel_id AS UNSIGNED) AS channel_id, CAST(thread_id AS UNSIGNED) AS thread_id, \
                 CAST(last_message_id AS UNSIGNED) AS last_message_id, last_seen_timestamp \
                 FROM message_states WHERE channel_id < '{}' ORDER BY channel_id) AS numbers",
                CHANNELS + copied
            );
            connection.query_drop(text).await?;
        }
        there += connection.affected_rows();
        ensure!(connection.affected_rows() > 0, "nothing was copied");
    }
    ensure!(there == rows, "{there} rows were inserted instead of {rows}");
    Ok(connection.disconnect().await?)
}

/// Takes samples of both in turns, so that what else the machine does hits both alike.
async fn compare(probe: &'static str, size: Size, few: &impl Scratch, many: &impl Scratch) -> Result<Finding> {
    let (samples, gets) = size.choose((100, 100), (400, 250));
    say(&format!("{probe}: {samples} samples of {gets} gets from each"));
    let (few, many) = (open(few).await?, open(many).await?);
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (mut few_times, mut many_times) = (Vec::new(), Vec::new());
    // The first of each warms caches up.
    for sample in 0..=samples {
        for (storage, rows, times) in [(&few, FEW, &mut few_times), (&many, MANY, &mut many_times)] {
            let count = if sample == 0 { 20 * gets } else { gets };
            let keys: Vec<_> = (0..count).map(|_| key(numbers.below(rows))).collect();
            let storage = Arc::clone(storage);
            // In a task, as a bot's handlers are.
            let elapsed = tokio::spawn(async move {
                let started = Instant::now();
                for (channel, thread) in &keys {
                    let found = storage.get_message_state(channel, thread.as_deref()).await?;
                    ensure!(found.is_some_and(|found| &found.last_message_id == channel), "another row was found");
                }
                Ok(started.elapsed())
            })
            .await??;
            if sample > 0 {
                times.push(elapsed.as_secs_f64() * 1e6 / count as f64);
            }
        }
    }
    few.close().await?;
    many.close().await?;
    let (few, many) = (median(few_times), median(many_times));
    let details = json!({
        "microseconds": { "10000": rounded(few), "1000000": rounded(many) },
        "samples": samples,
        "gets_per_sample": gets,
    });
    Ok(Finding { probe, value: many / few, unit: "ratio", details })
}

/// Xorshift: numbers without an order, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
