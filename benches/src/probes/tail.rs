//! How long the slowest of many readers wait while others write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cofferdam::{Storage, StorageService};
use hdrhistogram::Histogram;
use serde_json::json;
use tokio::runtime::Runtime;

use super::{Finding, Size, rounded, say};
use crate::contestant::MANY;
use crate::scratch::{self, Durability, Scratch};
use crate::shared::rows::Rows;

const WRITERS: usize = 16;

/// Before times count.
const WARM_UP: Duration = Duration::from_millis(500);

/// Precision of the histogram.
const DIGITS: u8 = 3;

/// On SQLite.
pub fn sqlite(size: Size) -> Result<Vec<Finding>> {
    let runtime = Runtime::new()?;
    let folder = runtime.block_on(scratch::sqlite())?;
    Ok(vec![runtime.block_on(measure("tail/sqlite", &folder, WRITERS, size))?])
}

/// On MySQL.
pub fn mysql(size: Size) -> Result<Vec<Finding>> {
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let database = scratch::mysql(Durability::Default).await?;
        Ok(vec![
            measure("tail/mysql", &database, WRITERS, size).await?,
            measure("tail/mysql-upsert", &database, MANY, size).await?,
        ])
    })
}

/// What all callers share.
struct Run {
    storage: Arc<dyn StorageService>,
    rows: Rows,
    /// The index of the next operation.
    next: AtomicU64,
    counts: AtomicBool,
    is_over: AtomicBool,
    errors: AtomicU64,
}

/// Compares the times of gets; where all write, those of upserts.
async fn measure(probe: &'static str, database: &impl Scratch, writers: usize, size: Size) -> Result<Finding> {
    let duration = size.choose(Duration::from_secs(3), Duration::from_secs(20));
    say(&format!("{probe}: {} callers read and {writers} write for {duration:?}", MANY - writers));
    let storage: Arc<dyn StorageService> = Arc::new(Storage::builder(database.config()).build()?);
    storage.initialize().await?;
    let run = Arc::new(Run {
        storage,
        rows: Rows::new(),
        next: AtomicU64::new(0),
        counts: AtomicBool::new(false),
        is_over: AtomicBool::new(false),
        errors: AtomicU64::new(0),
    });
    let callers: Vec<_> = (0..MANY)
        .map(|caller| {
            let run = Arc::clone(&run);
            tokio::spawn(async move { run.call(caller < writers).await })
        })
        .collect();
    tokio::time::sleep(WARM_UP).await;
    run.counts.store(true, Ordering::Relaxed);
    let started = Instant::now();
    tokio::time::sleep(duration).await;
    run.is_over.store(true, Ordering::Relaxed);
    let elapsed = started.elapsed();
    let (mut gets, mut upserts) = (Histogram::<u64>::new(DIGITS)?, Histogram::<u64>::new(DIGITS)?);
    for (caller, task) in callers.into_iter().enumerate() {
        let times = task.await.context("a caller panicked")??;
        if caller < writers { &mut upserts } else { &mut gets }.add(times)?;
    }
    run.storage.close().await?;
    let times = |times: &Histogram<u64>| {
        let micros = |nanos: u64| rounded(nanos as f64 / 1e3);
        json!({
            "count": times.len(),
            "p50_us": micros(times.value_at_quantile(0.5)),
            "p95_us": micros(times.value_at_quantile(0.95)),
            "p99_us": micros(times.value_at_quantile(0.99)),
            "max_us": micros(times.max()),
        })
    };
    let judged = if writers == MANY { &upserts } else { &gets };
    let value = judged.value_at_quantile(0.99) as f64 / judged.value_at_quantile(0.5) as f64;
    let details = json!({
        "readers": MANY - writers,
        "writers": writers,
        "seconds": rounded(elapsed.as_secs_f64()),
        "get": times(&gets),
        "upsert": times(&upserts),
        "errors": run.errors.load(Ordering::Relaxed),
    });
    Ok(Finding { probe, value, unit: "ratio", details })
}

impl Run {
    /// Calls until it is over. Returns how long its operations took, in nanoseconds.
    async fn call(&self, writes: bool) -> Result<Histogram<u64>> {
        let mut times = Histogram::new(DIGITS)?;
        while !self.is_over.load(Ordering::Relaxed) {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let counts = self.counts.load(Ordering::Relaxed);
            let started = Instant::now();
            let outcome = if writes { self.write(index).await } else { self.read(index).await };
            let elapsed = u64::try_from(started.elapsed().as_nanos())?;
            if let Err(error) = outcome {
                // The first says enough.
                if self.errors.fetch_add(1, Ordering::Relaxed) == 0 {
                    say(&format!("an operation failed: {error:#}"));
                }
            } else if counts {
                times.record(elapsed)?;
            }
        }
        Ok(times)
    }

    async fn read(&self, index: u64) -> Result<()> {
        let key = self.rows.state(index);
        let found = self.storage.get_message_state(&key.channel_id, key.thread_id.as_deref()).await?;
        self.rows.check_state(index, found).map(drop)
    }

    async fn write(&self, index: u64) -> Result<()> {
        Ok(self.storage.upsert_message_state(&self.rows.existing(index)).await.map(drop)?)
    }
}
