//! Swaps under load: nobody notices, and nothing grows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam::{ResilientStorage, StorageService, Written};
use cofferdam_tests::harness::memory::Memory;
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::storage::Home;
use tokio::time::Instant;

use crate::rig::{message, state, to};

const CALLERS: usize = 32;

/// How long each operation of one caller took, with whether a swap was under way when it began.
type Times = Vec<(bool, Duration)>;

/// Writes and reads a row of its own, and checks each answer.
async fn work(
    storage: Arc<ResilientStorage>,
    caller: usize,
    enough: Arc<AtomicBool>,
    swaps: Arc<AtomicU64>,
) -> Result<Times> {
    let channel = format!("caller {caller}");
    let mut times = Times::new();
    for round in 0_u64.. {
        if enough.load(Ordering::Relaxed) {
            break;
        }
        let (text, swapping, began) =
            (round.to_string(), !swaps.load(Ordering::Relaxed).is_multiple_of(2), Instant::now());
        let written = storage.upsert_message_state(&state(&channel, &text)).await.context("a write")?;
        times.push((swapping, began.elapsed()));
        ensure!(written == Written::Stored(()), "{channel}: {written:?}");
        let read = message(&*storage, &channel).await.context("a read")?;
        ensure!(read.as_deref() == Some(&text), "{channel}: {read:?} instead of {text}");
    }
    ensure!(!times.is_empty(), "{channel} did nothing");
    Ok(times)
}

fn p99(times: &Times, swapping: bool) -> Duration {
    let mut times: Vec<_> = times.iter().filter(|(during, _)| *during == swapping).map(|(_, time)| *time).collect();
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}

/// What this process has in memory, in KiB.
async fn resident() -> u64 {
    let memory = Memory::watch(std::process::id());
    while memory.now() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let now = memory.now();
    memory.stop();
    now
}

async fn swap_under_load(home: Home, builds: [&str; 2]) -> Result<()> {
    let full = std::env::var_os("COFFERDAM_TEST_FULL").is_some();
    let rounds = if full { 1_000 } else { 20 };
    let storage = Arc::new(ResilientStorage::builder(home.config()).build()?);
    storage.initialize().await?;
    let (enough, swaps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers: Vec<_> =
        (0..CALLERS).map(|caller| tokio::spawn(work(storage.clone(), caller, enough.clone(), swaps.clone()))).collect();
    // To compare with.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (mut took, mut after_ten, mut failed) = (Vec::new(), 0, None);
    for round in 0..rounds {
        swaps.fetch_add(1, Ordering::Relaxed);
        let report = storage.swap_plugin(to(builds[round % 2])).await;
        swaps.fetch_add(1, Ordering::Relaxed);
        match report {
            Ok(report) if report.swapped && report.rehearsed => took.push(report.took),
            other => {
                failed = Some(format!("swap {round}: {other:?}"));
                break;
            }
        }
        if round + 1 == 10 {
            after_ten = resident().await;
        }
    }
    let after_all = resident().await;
    enough.store(true, Ordering::Relaxed);
    let mut times = Times::new();
    for caller in callers {
        times.extend(caller.await?.context("a caller noticed a swap")?);
    }
    ensure!(failed.is_none(), "{failed:?}");

    let status = storage.status().storage;
    ensure!(status.swaps.swapped == rounds as u64 && status.swaps.swapped_back == 0, "{:?}", status.swaps);
    ensure!(status.discarded_instances == 0, "{} instances were thrown away", status.discarded_instances);
    took.sort_unstable();
    println!(
        "{}: {rounds} swaps, median {:?}, longest {:?}; {} writes, p99 {:?} and {:?} while a swap was under way; resident {} MiB \
         after 10 swaps, {} MiB after all",
        home.name(),
        took[took.len() / 2],
        took[took.len() - 1],
        times.len(),
        p99(&times, false),
        p99(&times, true),
        after_ten >> 10,
        after_all >> 10,
    );
    // The callers' notes are part of what is resident.
    let notes = (times.capacity() * size_of::<(bool, Duration)>()) as u64 >> 9;
    if full {
        ensure!(after_all <= after_ten + after_ten / 20 + notes, "{after_ten} KiB became {after_all} KiB");
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
