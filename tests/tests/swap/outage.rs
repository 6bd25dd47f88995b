//! Swaps while the database is away, while the spool is replayed, and beside a mirror.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam::config::{Config, DatabaseConfig, MirrorConfig};
use cofferdam::plugin::Limits;
use cofferdam::resilience::{BreakerState, Readiness};
use cofferdam::{ResilientStorage, StorageService, SwapError, Written};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::{Home, mysql_config, spool_in};
use cofferdam_tests::harness::wait::until;
use tokio::time::Instant;

use crate::rig::{Rig, SOON, build, compile, message, sha256, state, to};

/// What waits in the spool: more than is replayed during one swap, as a rule.
const ROWS: usize = 5_000;

/// How many replays may be over before a swap, which says nothing about either.
const ROUNDS: usize = 5;

/// The two builds of the backend for MySQL, in turn.
fn build_for_mysql(swaps: usize) -> &'static str {
    if swaps.is_multiple_of(2) { plugins::MYSQL } else { plugins::MYSQL_OTHER_BUILD }
}

/// Of a storage that knows soon that its server is away, and has time to wait for the disk of its spool.
async fn config_on(server: &MysqlServer) -> Result<Config> {
    let database = server.create_database(DatabaseOptions::default()).await?;
    let mut config = mysql_config(database.config());
    if let DatabaseConfig::Mysql(mysql) = &mut config.database {
        mysql.connect_attempts = 1;
    }
    config.timeouts.operation = SOON;
    config.resilience.breaker.failures = 2;
    config.resilience.breaker.probe_interval = Duration::from_millis(100);
    compile(&config, plugins::MYSQL_OTHER_BUILD, Limits::standard());
    Ok(config)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_refuses_it_for_now_and_a_replay_does_not() -> Result<()> {
    let mut server = MysqlServer::start(&[]).await?;
    let folder = SqliteFolder::new()?;
    let mut config = config_on(&server).await?;
    config.resilience.spool = Some(spool_in(&folder));
    let storage = ResilientStorage::builder(config).build()?;
    storage.initialize().await?;
    let depth = || storage.status().spool.map_or(0, |spool| spool.depth);
    let (mut round, mut swaps, mut during) = (0, 0, 0);
    while during == 0 {
        round += 1;
        ensure!(round <= ROUNDS, "each replay was over before a swap");
        let written = format!("spooled in round {round}");
        server.process().context("a process")?.kill()?;
        for row in 0..ROWS {
            let written = storage.upsert_message_state(&state(&format!("row {row}"), &written)).await?;
            ensure!(written == Written::Spooled, "{written:?}");
        }
        ensure!(storage.status().breaker.state != BreakerState::Closed);
        let error = storage.swap_plugin(to(build_for_mysql(swaps + 1))).await.err().context("the database is away")?;
        ensure!(matches!(error, SwapError::Unavailable { .. }) && error.is_retryable(), "{error}");
        ensure!(storage.storage().plugin().sha256 == sha256(build_for_mysql(swaps))?);

        server.process().context("a process")?.start_again().await?;
        // As soon as the database answers, which is when the replay begins.
        let deadline = Instant::now() + 3 * SOON;
        while depth() > 0 {
            ensure!(Instant::now() < deadline, "{} writes still wait", depth());
            match storage.swap_plugin(to(build_for_mysql(swaps + 1))).await {
                Ok(report) => {
                    ensure!(report.swapped, "{report:?}");
                    swaps += 1;
                    during += usize::from(depth() > 0);
                }
                Err(error) => ensure!(error.is_retryable(), "{error}"),
            }
        }
        for row in 0..ROWS {
            ensure!(message(&storage, &format!("row {row}")).await?.as_ref() == Some(&written), "row {row}");
        }
    }
    println!("{swaps} swaps in {round} rounds, {during} of them while the spool was replayed");
    let spool = storage.status().spool.context("a spool")?;
    ensure!(spool.rejected == 0, "{spool:?}");
    Ok(storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_has_never_seen_its_database_is_refused_it_too() -> Result<()> {
    let mut server = MysqlServer::start(&[]).await?;
    let storage = ResilientStorage::builder(config_on(&server).await?).build()?;
    server.process().context("a process")?.kill()?;
    storage.initialize().await?;
    ensure!(storage.status().readiness == Readiness::Degraded);
    let error = storage.swap_plugin(to(plugins::MYSQL_OTHER_BUILD)).await.err().context("the database is away")?;
    ensure!(error.is_retryable(), "{error}");
    server.process().context("a process")?.start_again().await?;
    until("it is ready", SOON, async || storage.status().readiness == Readiness::Ready).await?;
    ensure!(storage.swap_plugin(to(plugins::MYSQL_OTHER_BUILD)).await?.swapped);
    Ok(storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_keeps_its_own_plugin() -> Result<()> {
    let copy = Home::sqlite()?;
    let second = MirrorConfig { config: Box::new(copy.config()), name: copy.spec(), shadow_reads: 0.0 };
    let rig = Rig::with(|config| config.mirror = Some(second)).await?;
    for round in 0..10 {
        rig.storage.upsert_message_state(&state("c", &round.to_string())).await?;
        ensure!(rig.swap(build(round)).await?.swapped);
    }
    until("all is mirrored", SOON, async || rig.storage.status().mirror.is_some_and(|mirror| mirror.waiting == 0))
        .await?;
    let mirror = rig.storage.status().mirror.context("a mirror")?;
    ensure!(mirror.missed == 0 && mirror.last_error.is_none(), "{mirror:?}");
    rig.storage.close().await?;
    let copy = copy.open().await?;
    ensure!(message(&*copy, "c").await?.as_deref() == Some("9"));
    Ok(copy.close().await?)
}
