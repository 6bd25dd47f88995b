//! How many connections a host opens on MySQL while it is in use.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cofferdam::{Storage, StorageService};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::json;
use tokio::runtime::Runtime;

use super::{Finding, Size, say};
use crate::contestant::SOME;
use crate::scratch::{self, Durability, Scratch};
use crate::shared::rows::Rows;

/// How long is counted.
const DURATION: Duration = Duration::from_secs(10);

/// What each caller writes in a burst, and how long it rests after one.
const BURST: u64 = 10;
const REST: Duration = Duration::from_millis(200);

/// How the callers write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    /// One write after another.
    Steady,
    /// Some writes, then a rest, all at the same times.
    Bursts,
}

/// With callers that write without end, and with callers that rest in between.
pub fn take(_: Size) -> Result<Vec<Finding>> {
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let mut findings = Vec::new();
        for (probe, load) in [("connections/steady", Load::Steady), ("connections/bursts", Load::Bursts)] {
            findings.push(count(probe, load).await?);
        }
        Ok(findings)
    })
}

async fn count(probe: &'static str, load: Load) -> Result<Finding> {
    say(&format!("{probe}: {SOME} callers write for {DURATION:?}"));
    let database = scratch::mysql(Durability::Default).await?;
    let mut watcher = database.connect().await?;
    let storage: Arc<dyn StorageService> = Arc::new(Storage::builder(Scratch::config(&database)).build()?);
    storage.initialize().await?;
    let before = opened(&mut watcher).await?;
    let (began, rows) = (Instant::now(), Arc::new(Rows::new()));
    let callers: Vec<_> = (0..SOME as u64)
        .map(|caller| {
            let (storage, rows) = (Arc::clone(&storage), Arc::clone(&rows));
            tokio::spawn(async move {
                let mut written = 0;
                while began.elapsed() < DURATION {
                    storage.upsert_message_state(&rows.existing(written * SOME as u64 + caller)).await?;
                    written += 1;
                    if load == Load::Bursts && written.is_multiple_of(BURST) {
                        tokio::time::sleep(REST).await;
                    }
                }
                anyhow::Ok(written)
            })
        })
        .collect();
    let mut written = 0;
    for caller in callers {
        written += caller.await.context("a caller panicked")??;
    }
    // Those of the host's start are counted too, where they are opened for the load.
    let value = (opened(&mut watcher).await? - before) as f64;
    storage.close().await?;
    watcher.disconnect().await?;
    Ok(Finding { probe, value, unit: "connections", details: json!({ "callers": SOME, "writes": written }) })
}

/// How many connections the server has accepted.
async fn opened(watcher: &mut Conn) -> Result<u64> {
    let row: Option<(String, u64)> = watcher.query_first("SHOW GLOBAL STATUS LIKE 'Connections'").await?;
    Ok(row.context("the server does not count its connections")?.1)
}
