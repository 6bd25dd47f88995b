//! A plugin that fails in its first operations.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam::config::Config;
use cofferdam::resilience::SwapOutcome;
use cofferdam::{ErrorKind, StorageService, SwapError};
use cofferdam_tests::harness::plugins::guests;
use cofferdam_tests::harness::wait::until;

use crate::rig::{Rig, SOON, SOUND, build, sha256, state, to};

#[tokio::test(flavor = "multi_thread")]
async fn it_is_swapped_back_once_and_not_tried_again_unless_forced() -> Result<()> {
    let rig = Rig::of_guest(SOUND).await?;
    let before = rig.storage.status().storage.plugin;
    let report = rig.swap(guests::TRAPS_ON_WRITES).await?;
    ensure!(report.swapped && report.plugin.on_trial, "{report:?}");
    for failure in 1..=3 {
        rig.storage.health_check().await?;
        let error = rig.storage.upsert_message_state(&state("c", "m")).await.unwrap_err();
        ensure!(error.kind() == ErrorKind::Internal, "{failure}: {error}");
    }
    rig.storage.upsert_message_state(&state("c", "m")).await.context("the plugin before answers again")?;
    let status = rig.storage.status().storage;
    ensure!(status.plugin.plugin == before.plugin && !status.plugin.on_trial, "{:?}", status.plugin);
    ensure!((status.swaps.swapped, status.swaps.swapped_back) == (1, 1), "{:?}", status.swaps);
    let last = rig.last()?;
    let SwapOutcome::SwappedBack(reason) = &last.outcome else { anyhow::bail!("{last:?}") };
    ensure!(reason.contains("it failed in 3 of its first 6 operations, the last time because it panicked"), "{reason}");
    ensure!(last.from == before.plugin && last.to_sha256 == Some(sha256(guests::TRAPS_ON_WRITES)?), "{last:?}");

    let words = ["was swapped back before, since it failed in 3 of", "force the swap"];
    let error = rig.refuses(to(guests::TRAPS_ON_WRITES), guests::TRAPS_ON_WRITES, &words).await?;
    ensure!(matches!(error, SwapError::SwappedBack { .. }) && !error.is_retryable(), "{error:?}");
    let report = rig.storage.swap_plugin(to(guests::TRAPS_ON_WRITES).force()).await?;
    ensure!(report.swapped, "{report:?}");
    for _ in 0..3 {
        let _ = rig.storage.upsert_message_state(&state("c", "m")).await;
    }
    rig.storage.upsert_message_state(&state("c", "m")).await?;
    ensure!(rig.storage.status().storage.swaps.swapped_back == 2);
    Ok(())
}

/// An operation hangs until its deadline, or until its caller has no time for it any more.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_hangs_is_swapped_back() -> Result<()> {
    let short = |config: &mut Config| config.timeouts.operation = Duration::from_secs(2);
    let rig = Rig::of_guest_with(SOUND, short).await?;
    rig.swap(guests::FAILS_WHEN_TOLD).await?;
    for _ in 0..2 {
        let error = rig.storage.upsert_message_state(&state("hang", "m")).await.unwrap_err();
        ensure!(error.kind() == ErrorKind::Timeout, "{error}");
    }
    let hang = state("hang", "m");
    // Long before the deadline, and long enough for the guest to be at fault.
    let given_up = tokio::time::timeout(Duration::from_secs(1), rig.storage.upsert_message_state(&hang)).await;
    ensure!(given_up.is_err(), "{given_up:?}");
    rig.storage.upsert_message_state(&hang).await.context("the plugin before knows no such word")?;
    let SwapOutcome::SwappedBack(reason) = rig.last()?.outcome else { anyhow::bail!("{:?}", rig.last()?) };
    ensure!(
        reason.contains("it failed in 3 of its first 3 operations, the last time because it hung for "),
        "{reason}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_reports_mistakes_of_its_own_is_swapped_back() -> Result<()> {
    let rig = Rig::of_guest(SOUND).await?;
    rig.swap(guests::FAILS_WHEN_TOLD).await?;
    for _ in 0..3 {
        let error = rig.storage.upsert_message_state(&state("mistake", "m")).await.unwrap_err();
        ensure!(error.kind() == ErrorKind::Internal, "{error}");
    }
    rig.storage.upsert_message_state(&state("mistake", "m")).await?;
    let SwapOutcome::SwappedBack(reason) = rig.last()?.outcome else { anyhow::bail!("{:?}", rig.last()?) };
    ensure!(reason.contains("it reported a mistake of its own: it forgot how to write"), "{reason}");
    Ok(())
}

/// A row that the database refuses, and a file that another process has locked for longer than operations may take.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_the_fault_of_the_database_counts_for_nothing() -> Result<()> {
    let short = |config: &mut Config| config.timeouts.operation = Duration::from_secs(1);
    let rig = Rig::of_guest_with(SOUND, short).await?;
    rig.swap(guests::FAILS_WHEN_TOLD).await?;
    for _ in 0..4 {
        let error = rig.storage.upsert_message_state(&state("refusal", "m")).await.unwrap_err();
        ensure!(error.kind() == ErrorKind::Refused, "{error}");
    }
    let other = rusqlite::Connection::open(rig.folder.database())?;
    other.execute_batch("BEGIN IMMEDIATE")?;
    for _ in 0..4 {
        let error = rig.storage.upsert_message_state(&state("c", "m")).await.unwrap_err();
        ensure!(matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Timeout), "{error}");
    }
    other.execute_batch("ROLLBACK")?;
    until("it writes again", SOON, async || rig.storage.upsert_message_state(&state("c", "m")).await.is_ok()).await?;
    let status = rig.storage.status().storage;
    ensure!(status.plugin.on_trial && status.swaps.swapped_back == 0, "{status:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_meet_it_together_swap_it_back_once() -> Result<()> {
    let rig = Arc::new(Rig::of_guest(SOUND).await?);
    rig.swap(guests::TRAPS_ON_WRITES).await?;
    let callers: Vec<_> = (0..32)
        .map(|_| {
            let rig = rig.clone();
            tokio::spawn(async move { rig.storage.upsert_message_state(&state("c", "m")).await.is_ok() })
        })
        .collect();
    for caller in callers {
        caller.await?;
    }
    rig.storage.upsert_message_state(&state("c", "m")).await?;
    let swaps = rig.storage.status().storage.swaps;
    ensure!((swaps.swapped, swaps.swapped_back) == (1, 1), "{swaps:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_works_stays_and_the_one_before_is_freed() -> Result<()> {
    let rig = Rig::new().await?;
    let instances =
        async |count| until("instances", SOON, async || rig.storage.status().storage.instances == count).await;
    rig.storage.health_check().await?;
    instances(1).await?;
    rig.swap(build(0)).await?;
    // Of the plugin before none is left, though it may come back; of this one there is the first.
    rig.storage.health_check().await?;
    instances(1).await?;
    ensure!(rig.storage.status().storage.plugin.on_trial);
    for round in 0..100 {
        rig.storage.upsert_message_state(&state("c", &round.to_string())).await?;
    }
    ensure!(!rig.storage.status().storage.plugin.on_trial);
    ensure!(rig.storage.status().storage.swaps.swapped_back == 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_neither_inherited_nor_kept() -> Result<()> {
    let rig = Rig::of_guest(guests::PANICS).await?;
    let paused = async || -> Result<()> {
        until("the plugin is paused", SOON, async || {
            let outcome = rig.storage.storage().get_message_state("c", None).await;
            outcome.is_err_and(|error| error.kind() == ErrorKind::Unavailable)
        })
        .await
    };
    paused().await?;
    rig.swap(guests::TRAPS_ON_WRITES).await.context("a paused plugin is in nobody's way")?;
    rig.storage.storage().get_message_state("c", None).await.context("not inherited")?;
    for _ in 0..3 {
        let _ = rig.storage.storage().upsert_message_state(&state("c", "m")).await;
    }
    let status = rig.storage.status().storage;
    ensure!(status.swaps.swapped_back == 1, "{:?}", status.swaps);
    rig.storage.storage().health_check().await.context("not kept")?;
    Ok(())
}
