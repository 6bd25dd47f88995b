//! Swaps under load: nobody notices, and nothing grows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam::plugin::Limits;
use cofferdam::{ResilientStorage, StorageService, Written};
use cofferdam_tests::harness::memory::resident;
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::storage::Home;
use tokio::time::Instant;

use crate::rig::{compile, message, state, to};

const CALLERS: usize = 32;

/// How long operations took, in steps of which this many are kept: the memory of a test is part of what is measured.
struct Times(Vec<u32>);

impl Times {
    const STEP: Duration = Duration::from_micros(100);
    const STEPS: usize = 10_000;

    fn new() -> Self {
        Self(vec![0; Self::STEPS])
    }

    fn note(&mut self, time: Duration) {
        let step = (time.as_micros() / Self::STEP.as_micros()) as usize;
        self.0[step.min(Self::STEPS - 1)] += 1;
    }

    fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, count)| *sum += count);
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|count| u64::from(*count)).sum()
    }

    /// The time that 99 of 100 do not exceed.
    fn p99(&self) -> Duration {
        let mut left = self.count() * 99 / 100;
        let step = self.0.iter().position(|count| {
            let reached = left <= u64::from(*count);
            left = left.saturating_sub(u64::from(*count));
            reached
        });
        Self::STEP * (step.unwrap_or_default() as u32 + 1)
    }
}

/// Writes and reads a row of its own, and checks each answer.
async fn work(
    storage: Arc<ResilientStorage>,
    caller: usize,
    enough: Arc<AtomicBool>,
    swaps: Arc<AtomicU64>,
) -> Result<[Times; 2]> {
    let channel = format!("caller {caller}");
    let mut times = [Times::new(), Times::new()];
    for round in 0_u64.. {
        if enough.load(Ordering::Relaxed) {
            break;
        }
        let (text, began) = (round.to_string(), Instant::now());
        let swapping = !swaps.load(Ordering::Relaxed).is_multiple_of(2);
        let written = storage.upsert_message_state(&state(&channel, &text)).await.context("a write")?;
        times[usize::from(swapping)].note(began.elapsed());
        ensure!(written == Written::Stored(()), "{channel}: {written:?}");
        let read = message(&*storage, &channel).await.context("a read")?;
        ensure!(read.as_deref() == Some(&text), "{channel}: {read:?} instead of {text}");
    }
    Ok(times)
}

async fn swap_under_load(home: Home, builds: [&str; 2]) -> Result<()> {
    let full = std::env::var_os("COFFERDAM_TEST_FULL").is_some();
    let rounds = if full { 1_000 } else { 20 };
    builds.into_iter().for_each(|build| compile(&home.config(), build, Limits::standard()));
    let storage = Arc::new(ResilientStorage::builder(home.config()).build()?);
    storage.initialize().await?;
    let (enough, swaps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers: Vec<_> =
        (0..CALLERS).map(|caller| tokio::spawn(work(storage.clone(), caller, enough.clone(), swaps.clone()))).collect();
    // To compare with.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (mut took, mut after_ten, mut after_half, mut failed) = (Vec::new(), 0, 0, None);
    let (mut round, mut again) = (0, 0);
    while round < rounds {
        swaps.fetch_add(1, Ordering::Relaxed);
        let report = storage.swap_plugin(to(builds[round % 2])).await;
        swaps.fetch_add(1, Ordering::Relaxed);
        match report {
            Ok(report) if report.swapped && report.rehearsed => took.push(report.took),
            // On a busy machine one may take longer than it may, and nobody may notice that either.
            Err(error) if error.is_retryable() && again < 3 => {
                again += 1;
                continue;
            }
            other => {
                failed = Some(format!("swap {round}: {other:?}"));
                break;
            }
        }
        round += 1;
        if round == 10 {
            after_ten = resident(std::process::id())?;
        }
        if round == rounds / 2 {
            after_half = resident(std::process::id())?;
        }
    }
    let after_all = resident(std::process::id())?;
    enough.store(true, Ordering::Relaxed);
    let mut times = [Times::new(), Times::new()];
    for caller in callers {
        let of_caller = caller.await?.context("a caller noticed a swap")?;
        ensure!(of_caller.iter().any(|times| times.count() > 0), "a caller did nothing");
        times.iter_mut().zip(&of_caller).for_each(|(all, times)| all.add(times));
    }
    ensure!(failed.is_none(), "{failed:?}");

    let status = storage.status().storage;
    ensure!(status.swaps.swapped == rounds as u64 && status.swaps.swapped_back == 0, "{:?}", status.swaps);
    ensure!(status.discards.total() == 0, "{:?} instances were thrown away", status.discards);
    took.sort_unstable();
    println!(
        "{}: {rounds} swaps, median {:?}, longest {:?}; {} writes, p99 {:?} and {:?} while a swap was under way; resident {} MiB \
         after 10 swaps, {} MiB after half of them, {} MiB after all",
        home.name(),
        took[took.len() / 2],
        took[took.len() - 1],
        times[0].count() + times[1].count(),
        times[0].p99(),
        times[1].p99(),
        after_ten >> 10,
        after_half >> 10,
        after_all >> 10,
    );
    if full {
        // Until then the engine's slots, the allocator's arenas and the connections' caches fill, which all have a limit.
        ensure!(after_all <= after_half + after_half / 10, "{after_half} KiB became {after_all} KiB");
    }
    Ok(storage.close().await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_on_sqlite() -> Result<()> {
    swap_under_load(Home::sqlite()?, [plugins::SQLITE_OTHER_BUILD, plugins::SQLITE]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_on_mysql() -> Result<()> {
    swap_under_load(Home::mysql().await?, [plugins::MYSQL_OTHER_BUILD, plugins::MYSQL]).await
}
