//! Swaps while the database is away, while the spool is replayed, and beside a mirror.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam::config::{DatabaseConfig, MirrorConfig};
use cofferdam::plugin::Limits;
use cofferdam::resilience::{BreakerState, Readiness};
use cofferdam::{ResilientStorage, StorageService, SwapError, Written};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::{Home, mysql_config, spool_in};
use cofferdam_tests::harness::wait::until;

use crate::rig::{Rig, SOON, build, compile, message, sha256, state, to};

/// What waits in the spool: more than is replayed during one swap.
const ROWS: usize = 5_000;

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_refuses_it_for_now_and_a_replay_does_not() -> Result<()> {
    let mut server = MysqlServer::start(&[]).await?;
    let database = server.create_database(DatabaseOptions::default()).await?;
    let folder = SqliteFolder::new()?;
    let mut config = mysql_config(database.config());
    if let DatabaseConfig::Mysql(mysql) = &mut config.database {
        mysql.connect_attempts = 1;
    }
    config.timeouts.operation = Duration::from_secs(1);
    config.resilience.breaker.failures = 2;
    config.resilience.breaker.probe_interval = Duration::from_millis(100);
    config.resilience.spool = Some(spool_in(&folder));
    compile(&config, plugins::MYSQL_OTHER_BUILD, Limits::standard());
    let storage = ResilientStorage::builder(config.clone()).build()?;
    storage.initialize().await?;
    server.process().context("a process")?.kill()?;
    for row in 0..ROWS {
        let written = storage.upsert_message_state(&state(&format!("row {row}"), "spooled")).await?;
        ensure!(written == Written::Spooled, "{written:?}");
    }
    ensure!(storage.status().breaker.state != BreakerState::Closed);
    let error = storage.swap_plugin(to(plugins::MYSQL_OTHER_BUILD)).await.err().context("the database is away")?;
    ensure!(matches!(error, SwapError::Unavailable { .. }) && error.is_retryable(), "{error}");
    ensure!(storage.storage().plugin().sha256 == sha256(plugins::MYSQL)?);

    // The same for one that has never seen its database.
    config.resilience.spool = None;
    let degraded = ResilientStorage::builder(config).build()?;
    degraded.initialize().await?;
    ensure!(degraded.status().readiness == Readiness::Degraded);
    let error = degraded.swap_plugin(to(plugins::MYSQL_OTHER_BUILD)).await.err().context("the database is away")?;
    ensure!(error.is_retryable(), "{error}");

    server.process().context("a process")?.start_again().await?;
    // As soon as the database answers, which is when the replay begins.
    let depth = || storage.status().spool.map_or(0, |spool| spool.depth);
    let (mut round, mut during) = (0, 0);
    while depth() > 0 {
        let build = if round % 2 == 0 { plugins::MYSQL_OTHER_BUILD } else { plugins::MYSQL };
        match storage.swap_plugin(to(build)).await {
            Ok(_) => round += 1,
            Err(error) => ensure!(error.is_retryable(), "{error}"),
        }
        during += usize::from(round > 0 && depth() > 0);
    }
    println!("{round} swaps, {during} of them while the spool was replayed");
    ensure!(during > 0, "the replay was over before a swap");
    for row in 0..ROWS {
        ensure!(message(&storage, &format!("row {row}")).await?.as_deref() == Some("spooled"), "row {row}");
    }
    let spool = storage.status().spool.context("a spool")?;
    ensure!(spool.rejected == 0, "{spool:?}");
    until("the other is ready", SOON, async || degraded.status().readiness == Readiness::Ready).await?;
    ensure!(degraded.swap_plugin(to(plugins::MYSQL_OTHER_BUILD)).await?.swapped);
    degraded.close().await?;
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
