//! Databases of the old bot are upgraded in place and lose nothing; what is not understood is left alone.

mod mysql;
mod sqlite;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use cofferdam::clock::SystemClock;
use cofferdam::{MessageState, StorageService, ThreadOwnership};
use cofferdam_tests::harness::storage::Home;
use tokio::sync::Barrier;

/// Hosts that start at the same time.
const HOSTS: usize = 8;

/// A row of `message_states` or its archive as any version of the schema has it, without its number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    channel_id: String,
    thread_id: Option<String>,
    last_message_id: String,
    last_seen_timestamp: i64,
    created_at: i64,
    updated_at: i64,
}

impl Row {
    fn of(state: MessageState) -> Self {
        Self {
            channel_id: state.channel_id,
            thread_id: state.thread_id,
            last_message_id: state.last_message_id,
            last_seen_timestamp: state.last_seen_timestamp,
            created_at: state.created_at,
            updated_at: state.updated_at,
        }
    }
}

fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fixtures", name].iter().collect()
}

/// All rows are there before and after; of those with one key the newest is in the table, the others in the
/// archive.
fn assert_newest_stay(before: &[Row], table: &[Row], archive: &[Row]) {
    let sorted = |rows: &[Row]| {
        let mut rows = rows.to_vec();
        rows.sort();
        rows
    };
    assert_eq!(sorted(&[table, archive].concat()), sorted(before), "a row was lost, changed or doubled");
    for row in table {
        let of_key =
            before.iter().filter(|other| (&other.channel_id, &other.thread_id) == (&row.channel_id, &row.thread_id));
        let newest = of_key.map(|other| (other.updated_at, other.last_seen_timestamp)).max();
        assert_eq!(Some((row.updated_at, row.last_seen_timestamp)), newest, "not the newest of its key: {row:?}");
    }
    let mut keys: Vec<_> = table.iter().map(|row| (&row.channel_id, &row.thread_id)).collect();
    keys.sort();
    let total = keys.len();
    keys.dedup();
    assert_eq!(keys.len(), total, "two rows have one key");
}

/// What the old bot has written into an upgraded database is there, and can be written again.
async fn assert_rows_of_old_bot(home: &Home) -> Result<()> {
    let storage = home.open().await?;
    for thread in [None, Some("thread")] {
        let row = storage.get_message_state("old bot", thread).await?;
        let row = row.map(|row| (row.last_message_id, row.last_seen_timestamp, row.created_at));
        assert_eq!(row, Some(("second".to_owned(), 20, 10)));
        storage.upsert_message_state(&MessageState::new("old bot", thread, "third", 30)).await?;
    }
    let row = storage.get_thread_ownership("old bot").await?;
    assert_eq!(row.map(|row| (row.created_at, row.updated_at)), Some((2, 4)));
    Ok(storage.close().await?)
}

/// Hosts that start together all succeed, and then share the database.
async fn start_together(home: &Home) -> Result<()> {
    let start = Arc::new(Barrier::new(HOSTS));
    let mut tasks = Vec::new();
    for host in 0..HOSTS {
        let storage = home.storage(Arc::new(SystemClock))?;
        let start = start.clone();
        tasks.push(tokio::spawn(async move {
            start.wait().await;
            storage.initialize().await?;
            storage.health_check().await?;
            let name = format!("host {host}");
            storage.upsert_message_state(&MessageState::new("all hosts", None, &*name, 1)).await?;
            storage.upsert_message_state(&MessageState::new(&*name, None, &*name, 1)).await?;
            storage.upsert_thread_ownership(&ThreadOwnership::new(&*name, &*name, "bot", 1)).await?;
            storage.close().await
        }));
    }
    for task in tasks {
        task.await?.context("one of the hosts that started together")?;
    }
    let storage = home.open().await?;
    let states = storage.get_all_message_states().await?;
    let channel = |name: &str| states.iter().filter(|row| row.channel_id == name).count();
    assert_eq!(channel("all hosts"), 1);
    for host in 0..HOSTS {
        let name = format!("host {host}");
        assert_eq!(channel(&name), 1, "{name}");
        assert!(storage.get_thread_ownership(&name).await?.is_some(), "{name}");
    }
    storage.close().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_start_together_share_a_new_sqlite_file() -> Result<()> {
    start_together(&Home::sqlite()?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_start_together_share_a_new_mysql_database() -> Result<()> {
    start_together(&Home::mysql().await?).await
}
