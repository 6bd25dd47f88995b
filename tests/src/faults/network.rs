//! Faults of the network between the storage and a MariaDB server.

use std::time::Duration;

use anyhow::{Context, Result};
use cofferdam::config::{HostPort, MysqlConfig};
use tokio::time::sleep;

use super::Run;
use super::load::LoadOptions;
use super::mysql::{AWAY, look};
use super::opened::Opened;
use super::scene::{DEADLINE, Scene};
use super::verdict::{Expected, Verdict};
use crate::harness::mysql::{DatabaseOptions, MysqlDatabase, MysqlServer};
use crate::harness::proxy::{Direction, Mode, Proxy};
use crate::harness::storage::mysql_config;

/// How many seeds.
const SEEDS: u64 = 200;
const SHORT_SEEDS: u64 = 20;

/// The most bytes that pass before a cut: several statements with their answers.
const BYTES: usize = 4000;

/// The longest delay, and the longest and shortest time that a fault lasts, in milliseconds.
const DELAY: u64 = 300;
const LASTING: std::ops::Range<u64> = 100..700;

struct Stage {
    server: MysqlServer,
    database: MysqlDatabase,
    proxy: Proxy,
    opened: Opened,
}

impl Stage {
    async fn set(run: Run) -> Result<Self> {
        let mut server = MysqlServer::start(&[]).await?;
        let database = server.create_database(DatabaseOptions::default()).await?;
        let port = server.process().map_or(0, |process| process.port());
        let proxy = Proxy::start(port)?;
        let config = MysqlConfig { hosts: vec![HostPort::new("127.0.0.1", proxy.port())], ..database.config() };
        let opened = Opened::on(mysql_config(config), run.guard).await?;
        Ok(Self { server, database, proxy, opened })
    }

    /// Lets the network misbehave for a while.
    async fn play(
        &self,
        fault: &str,
        expected: Expected,
        load: LoadOptions,
        mode: Mode,
        lasting: Duration,
    ) -> Result<Verdict> {
        let scene = Scene { fault, expected, opened: &self.opened, load };
        let played = scene
            .play(async |_| {
                self.proxy.switch(mode);
                sleep(lasting).await;
                self.proxy.switch(Mode::Pass);
                Ok(())
            })
            .await?;
        Ok(played.judge(&look(&self.server, &self.database).await?))
    }
}

/// Each seed is a fault of its own, and can be repeated by running with it alone.
pub(super) async fn random(name: &'static str, run: Run) -> Result<Verdict> {
    let stage = Stage::set(run).await?;
    let mut all: Option<Verdict> = None;
    let seeds = if run.full { SEEDS } else { SHORT_SEEDS };
    for seed in (0..seeds).map(|number| run.seed.wrapping_add(number)) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mode = mode(&mut random);
        let lasting = Duration::from_millis(random.u64(LASTING));
        // A short delay, and a cut after more bytes than come, may go unnoticed.
        let expected = Expected { is_felt: false, ..AWAY };
        let load = LoadOptions { prefix: format!("seed {seed}"), ..LoadOptions::new(DEADLINE) };
        let mut verdict = stage.play(name, expected, load, mode, lasting).await?;
        let what = format!("seed {seed} ({mode:?} for {lasting:?})");
        verdict.broken.iter_mut().for_each(|broken| *broken = format!("{what}: {broken}"));
        match &mut all {
            Some(all) => all.add(verdict),
            None => all = Some(verdict),
        }
    }
    stage.opened.service.close().await?;
    let mut all = all.context("there is a seed")?;
    all.notes.push(format!("{} seeds from {}", all.rounds, run.seed));
    Ok(all)
}

pub(super) fn mode(random: &mut fastrand::Rng) -> Mode {
    let direction = if random.bool() { Direction::ToServer } else { Direction::ToClient };
    match random.u8(0..6) {
        0 => Mode::Reset,
        1 => Mode::Swallow,
        2 => Mode::Delay(Duration::from_millis(random.u64(1..DELAY))),
        _ => Mode::Cut { direction, after: random.usize(..BYTES) },
    }
}

pub(super) async fn refuse(name: &'static str, run: Run) -> Result<Verdict> {
    let stage = Stage::set(run).await?;
    let load = LoadOptions::new(DEADLINE);
    let verdict = stage.play(name, AWAY, load, Mode::Refuse, Duration::from_millis(1500)).await?;
    stage.opened.service.close().await?;
    Ok(verdict)
}
