//! Which requests are one, which wait, and which change nothing.

use std::fs;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{self, Poll, Wake, Waker};

use anyhow::{Context, Result, bail, ensure};
use cofferdam::config::PluginSource;
use cofferdam::resilience::SwapOutcome;
use cofferdam::{ResilientStorage, StorageService, SwapError, SwapReport, SwapRequest};
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::{Home, sqlite_config};
use cofferdam_tests::harness::wait::until;
use tokio::task::JoinSet;

use crate::rig::{Rig, SOON, build, message, sha256, state, to};

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_the_same_are_one_and_others_take_turns() -> Result<()> {
    let rig = Arc::new(Rig::new().await?);
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let rig = rig.clone();
        callers.spawn(async move { rig.swap(build(0)).await });
    }
    while let Some(report) = callers.join_next().await {
        let report = report??;
        ensure!(report.plugin.plugin.sha256 == sha256(build(0))?, "{report:?}");
    }
    ensure!(rig.storage.status().storage.swaps.swapped == 1);

    // Forced, so that each is made: in turn, and each is told of its own.
    let (first, second) =
        tokio::join!(rig.storage.swap_plugin(to(build(0)).force()), rig.storage.swap_plugin(to(build(1)).force()));
    let (first, second) = (first?, second?);
    ensure!(first.plugin.plugin.sha256 == sha256(build(0))?, "{first:?}");
    ensure!(second.plugin.plugin.sha256 == sha256(build(1))?, "{second:?}");
    ensure!(rig.storage.status().storage.swaps.swapped == 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_not_loaded_again_unless_forced() -> Result<()> {
    let rig = Rig::new().await?;
    let report = rig.storage.swap_plugin(SwapRequest::new()).await?;
    ensure!(!report.swapped && report.plugin == rig.storage.status().storage.plugin, "{report:?}");
    ensure!(rig.storage.status().storage.swaps.last.is_none());
    let report = rig.storage.swap_plugin(SwapRequest::new().force()).await?;
    ensure!(report.swapped && report.rehearsed && report.upgraded.is_none(), "{report:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_replaced_is_found_by_the_configuration() -> Result<()> {
    let home = Home::sqlite()?;
    let folder = SqliteFolder::new()?;
    let plugin = folder.path().join("mine.wasm");
    fs::copy(plugins::SQLITE, &plugin)?;
    let mut config = home.config();
    config.plugin = PluginSource::File(plugin.clone());
    let storage = ResilientStorage::builder(config).build()?;
    storage.initialize().await?;
    let before = storage.status().storage.plugin;
    fs::copy(plugins::SQLITE_OTHER_BUILD, &plugin)?;
    let report = storage.swap_plugin(SwapRequest::new()).await?;
    ensure!(report.swapped && report.plugin.on_trial, "{report:?}");
    ensure!(report.plugin.plugin.origin.path() == Some(&*plugin));
    ensure!(report.plugin.plugin.sha256 == sha256(plugins::SQLITE_OTHER_BUILD)?);
    let last = storage.status().storage.swaps.last.context("it is noted")?;
    ensure!(last.from == before.plugin && last.to_sha256.as_ref() == Some(&report.plugin.plugin.sha256), "{last:?}");
    ensure!(matches!(last.outcome, SwapOutcome::Swapped) && last.at >= before.since, "{last:?}");
    ensure!(storage.storage().plugin().sha256 == report.plugin.plugin.sha256);
    Ok(storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_is_compared_and_a_pinned_one_has_to_be_given_anew() -> Result<()> {
    let other = sha256(build(0))?;
    let rig = Rig::new().await?;
    let wrong = to(build(0)).sha256("0".repeat(64));
    let error = rig.refuses(wrong, build(0), &[&other, &"0".repeat(64), "correct the request"]).await?;
    ensure!(matches!(error, SwapError::Checksum { .. }) && !error.is_retryable(), "{error:?}");

    let pinned = sha256(build(1))?;
    let rig = Rig::with(|config| config.plugin_sha256 = Some(pinned)).await?;
    let error = rig.refuses(to(build(0)), build(0), &["COFFERDAM_PLUGIN_SHA256", "name that of the new file"]).await?;
    ensure!(matches!(error, SwapError::Pinned { .. }) && !error.is_retryable(), "{error:?}");
    let report = rig.storage.swap_plugin(to(build(0)).sha256(other.to_uppercase())).await?;
    ensure!(report.swapped && report.plugin.plugin.sha256 == other);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn before_initialize_and_after_close_there_is_nothing_to_rehearse_on() -> Result<()> {
    let home = Home::sqlite()?;
    let Home::Sqlite(folder) = &home else { anyhow::bail!("a file") };
    let storage = ResilientStorage::builder(sqlite_config(&folder.database())).build()?;
    let report = storage.swap_plugin(to(build(0))).await?;
    ensure!(report.swapped && !report.rehearsed && !report.plugin.on_trial, "{report:?}");
    ensure!(!folder.database().exists(), "the database was touched");
    storage.initialize().await?;
    storage.upsert_message_state(&state("c", "m")).await?;
    storage.close().await?;
    let report = storage.swap_plugin(to(build(1))).await?;
    ensure!(report.swapped && !report.rehearsed, "{report:?}");
    storage.initialize().await?;
    ensure!(message(&storage, "c").await?.as_deref() == Some("m"));
    Ok(storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_goes_away_does_not_stop_it() -> Result<()> {
    let rig = Rig::new().await?;
    let mut swap = Box::pin(rig.swap(build(0)));
    let under_way = async || rig.storage.status().storage.swaps.under_way > 0;
    tokio::select! {
        _ = &mut swap => {}
        started = until("the swap begins", SOON, under_way) => started?,
    }
    drop(swap);
    let answers = async || rig.storage.storage().plugin().sha256 == sha256(build(0)).unwrap_or_default();
    until("the other answers", SOON, answers).await
}

/// Says that something goes on.
struct Tell(mpsc::Sender<()>);

impl Wake for Tell {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
    }
}

/// A runtime that shuts down drops a task where it is spawned.
#[test]
fn one_that_begins_while_the_runtime_ends_ends_too() -> Result<()> {
    for _ in 0..100 {
        match swap_while_the_runtime_ends()? {
            // The component was read before the swap was first asked, so the task was spawned in time.
            Ok(_) => {}
            Err(SwapError::Stopped { .. }) => return Ok(()),
            Err(other) => return Err(other.into()),
        }
    }
    bail!("a component is always read before anybody waits for it")
}

fn swap_while_the_runtime_ends() -> Result<Result<SwapReport, SwapError>> {
    let folder = SqliteFolder::new()?;
    let storage = ResilientStorage::builder(sqlite_config(&folder.database())).build()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let _inside = handle.enter();
    let (tell, told) = mpsc::channel();
    let waker = Waker::from(Arc::new(Tell(tell)));
    let mut context = task::Context::from_waker(&waker);
    let mut swap = pin!(storage.swap_plugin(to(build(0))));
    ensure!(swap.as_mut().poll(&mut context).is_pending(), "a component is read on another thread");
    told.recv_timeout(SOON).context("the component was read, or is swapped in")?;
    drop(runtime);
    match swap.as_mut().poll(&mut context) {
        Poll::Ready(outcome) => Ok(outcome),
        Poll::Pending => bail!("the swap waits for a runtime that has ended"),
    }
}
