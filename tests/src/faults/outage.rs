//! A long outage, and a long time of short ones.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cofferdam::config::{HostPort, MysqlConfig};
use tokio::time::sleep;

use super::load::LoadOptions;
use super::mysql::{self, AWAY};
use super::network;
use super::opened::Opened;
use super::scene::{DEADLINE, Scene};
use super::verdict::{Expected, Verdict};
use super::{Guard, Run};
use crate::harness::memory::resident;
use crate::harness::mysql::{DatabaseOptions, MysqlServer};
use crate::harness::proxy::{Mode, Proxy};
use crate::harness::storage::mysql_config;

/// What the load writes a second during an outage, each time a new row, and how long the outage is.
const RATE: u32 = 500;
const OUTAGE: Duration = Duration::from_secs(60);
const SHORT_OUTAGE: Duration = Duration::from_secs(5);

/// How fast a spool is to be replayed, in writes a second.
const REPLAY: f64 = 5_000.0;

/// How long the soak is, and what comes before anything is measured.
const SOAK: Duration = Duration::from_secs(600);
const SHORT_SOAK: Duration = Duration::from_secs(30);

/// What a process may grow by during the soak: what caches and allocators take in their own time.
const GROWTH: u64 = 16 << 20;
const DESCRIPTORS: u64 = 16;

/// The server is killed, and stays away for long.
pub(super) async fn long(name: &'static str, run: Run) -> Result<Verdict> {
    let mut server = MysqlServer::start(&[]).await?;
    let database = server.create_database(DatabaseOptions::default()).await?;
    let opened = Opened::on(mysql_config(database.config()), run.guard).await?;
    let callers = 32;
    // Three of four operations are writes.
    let pause = Duration::from_secs(1) * callers * 3 / 4 / RATE;
    let load =
        LoadOptions { callers: callers as usize, writes_per_row: 1, pause: Some(pause), ..LoadOptions::new(DEADLINE) };
    let mut replay = None;
    let scene = Scene { fault: name, expected: AWAY, opened: &opened, load };
    let played = scene
        .play(async |_| {
            let process = server.process().context("the server is ours")?;
            process.kill()?;
            sleep(if run.full { OUTAGE } else { SHORT_OUTAGE }).await;
            process.start_again().await?;
            if run.guard == Guard::Spool {
                replay = Some(watch_replay(&opened).await);
            }
            Ok(())
        })
        .await?;
    let mut verdict = played.judge(&mysql::look(&server, &database).await?);
    opened.service.close().await?;
    if let Some((writes, took)) = replay {
        let rate = writes as f64 / took.as_secs_f64();
        verdict.notes.push(format!("{writes} writes were replayed in {took:.2?}, {rate:.0} a second"));
        if run.full && rate < REPLAY {
            verdict.broken.push(format!("the spool was replayed at {rate:.0} writes a second, not at {REPLAY}"));
        }
    }
    Ok(verdict)
}

/// From the first write that leaves the spool until those of the outage are out: how many, and how long it took.
async fn watch_replay(opened: &Opened) -> (u64, Duration) {
    let look = || opened.storage.status().spool.map_or((0, 0), |spool| (spool.depth, spool.replayed));
    let end = Instant::now() + Duration::from_secs(60);
    let mut started = None;
    let (_, before) = look();
    loop {
        let (depth, replayed) = look();
        if started.is_none() && replayed > before {
            started = Some((Instant::now(), replayed));
        }
        if let Some((start, first)) = started
            && (depth == 0 || Instant::now() > end)
        {
            return (replayed - first, start.elapsed().max(Duration::from_micros(1)));
        }
        if Instant::now() > end {
            return (0, Duration::from_secs(60));
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// Faults of the network and of the server at random, until the time is over: nothing grows.
pub(super) async fn soak(name: &'static str, run: Run) -> Result<Verdict> {
    let mut server = MysqlServer::start(&[]).await?;
    let database = server.create_database(DatabaseOptions::default()).await?;
    let proxy = Proxy::start(server.process().context("the server is ours")?.port())?;
    let config = MysqlConfig { hosts: vec![HostPort::new("127.0.0.1", proxy.port())], ..database.config() };
    let opened = Opened::on(mysql_config(config), run.guard).await?;
    let mut random = fastrand::Rng::with_seed(run.seed);
    let soak = if run.full { SOAK } else { SHORT_SOAK };
    let (mut faults, mut sizes) = (0, Vec::new());
    let expected = Expected { is_felt: true, ..AWAY };
    let scene = Scene { fault: name, expected, opened: &opened, load: LoadOptions::new(DEADLINE) };
    let played = scene
        .play(async |_| {
            let started = Instant::now();
            while started.elapsed() < soak {
                let lasting = Duration::from_millis(random.u64(100..1_500));
                match random.u8(0..10) {
                    0 => {
                        let process = server.process().context("the server is ours")?;
                        process.kill()?;
                        sleep(lasting).await;
                        process.start_again().await?;
                    }
                    1 => {
                        let process = server.process().context("the server is ours")?;
                        process.pause()?;
                        sleep(lasting).await;
                        process.resume()?;
                    }
                    _ => {
                        proxy.switch(network::mode(&mut random));
                        sleep(lasting).await;
                        proxy.switch(Mode::Pass);
                    }
                }
                faults += 1;
                sleep(Duration::from_millis(random.u64(500..1_500))).await;
                // The first third is for what is allocated once.
                if started.elapsed() > soak / 3 {
                    sizes.push(Size::of_this_process()?);
                }
            }
            Ok(())
        })
        .await?;
    let mut verdict = played.judge(&mysql::look(&server, &database).await?);
    opened.service.close().await?;
    // Peaks, since a size that is taken while the server is away lacks the connections.
    let (earlier, later) = sizes.split_at(sizes.len() / 2);
    let (first, last) = (Size::peak(earlier).context("a size")?, Size::peak(later).context("a size")?);
    verdict.rounds = faults;
    verdict.notes.push(format!(
        "{faults} faults in {soak:?}; at most {} MiB of memory in the middle third and {} MiB in the last, file descriptors {} and {}",
        first.memory >> 20,
        last.memory >> 20,
        first.descriptors,
        last.descriptors
    ));
    if last.memory > first.memory + GROWTH || last.descriptors > first.descriptors + DESCRIPTORS {
        verdict.broken.push("memory or file descriptors grew".into());
    }
    Ok(verdict)
}

/// What this process takes.
struct Size {
    /// Resident, in bytes.
    memory: u64,
    descriptors: u64,
}

impl Size {
    /// The most of each.
    fn peak(sizes: &[Self]) -> Option<Self> {
        let memory = sizes.iter().map(|size| size.memory).max()?;
        let descriptors = sizes.iter().map(|size| size.descriptors).max()?;
        Some(Self { memory, descriptors })
    }

    fn of_this_process() -> Result<Self> {
        let descriptors = std::fs::read_dir("/proc/self/fd")?.count() as u64;
        Ok(Self { memory: resident(std::process::id())? << 10, descriptors })
    }
}
