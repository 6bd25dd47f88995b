//! Closing under load: everybody gets an answer, and nothing that was acknowledged is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use cofferdam::clock::SystemClock;
use cofferdam::config::Config;
use cofferdam::{ErrorKind, ResilientStorage, StorageService};
use cofferdam_tests::harness::storage::mysql_storage;
use cofferdam_tests::harness::wait::until;
use mysql_async::prelude::Queryable;

use crate::rig::{Rig, SOON, message, start, state, until_empty};

const CALLERS: usize = 32;

/// Has callers write numbered values until they are refused, and returns the last number that was acknowledged, and the
/// last one that was tried. The first one that is acknowledged is counted.
async fn write_until_refused(
    storage: Arc<ResilientStorage>,
    caller: usize,
    answered: Arc<AtomicUsize>,
) -> Result<(u64, u64)> {
    let channel = format!("caller {caller}");
    let (mut acknowledged, mut attempted) = (0, 0);
    for number in 1.. {
        match storage.upsert_message_state(&state(&channel, &number.to_string())).await {
            Ok(_) => {
                answered.fetch_add(usize::from(acknowledged == 0), Ordering::Relaxed);
                acknowledged = number;
            }
            Err(error) if error.kind() == ErrorKind::NotInitialized => break,
            // In flight when it was closed: unknown, and not acknowledged.
            Err(error) if error.is_retryable() => {}
            Err(error) => return Err(error.into()),
        }
        attempted = number;
    }
    Ok((acknowledged, attempted))
}

async fn close_under_load(rig: &mut Rig, config: Config, with_outage: bool) -> Result<()> {
    let storage = Arc::new(start(config.clone()).await?);
    let answered = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| tokio::spawn(write_until_refused(storage.clone(), caller, answered.clone())))
        .collect();
    until("every caller was answered", SOON, async || answered.load(Ordering::Relaxed) == CALLERS).await?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    if with_outage {
        rig.kill()?;
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
    storage.close().await?;
    let mut numbers = Vec::new();
    for caller in callers {
        numbers.push(tokio::time::timeout(SOON, caller).await???);
    }
    ensure!(numbers.iter().all(|(acknowledged, _)| *acknowledged > 0), "{numbers:?}");
    if with_outage {
        rig.start_again().await?;
        storage.initialize().await?;
        until_empty(&storage).await?;
        storage.close().await?;
    }
    let mut administrator = rig.server.administrator().await?;
    let text = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'cofferdam'";
    // It takes the server a moment to end the session of who has said goodbye.
    until("no connection is left open", SOON, async || {
        administrator.query_first::<u64, _>(text).await.is_ok_and(|left| left == Some(0))
    })
    .await?;

    let plain = mysql_storage(rig.database.config(), Arc::new(SystemClock))?;
    plain.initialize().await?;
    let mut checked = 0;
    for (caller, (acknowledged, attempted)) in numbers.iter().enumerate() {
        let found = message(&plain, &format!("caller {caller}")).await?;
        let found: u64 = found.map_or(Ok(0), |number| number.parse())?;
        let expected = acknowledged..=attempted;
        ensure!(expected.contains(&&found), "caller {caller}: {expected:?} was expected, and {found} is there");
        checked += acknowledged;
    }
    println!("{checked} acknowledged writes checked");
    Ok(plain.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_under_load_loses_nothing_that_was_acknowledged() -> Result<()> {
    let mut rig = Rig::new().await?;
    let config = rig.config();
    close_under_load(&mut rig, config, false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_under_load_during_an_outage_leaves_the_spool_for_the_next_start() -> Result<()> {
    let mut rig = Rig::new().await?;
    let config = rig.spooling();
    close_under_load(&mut rig, config, true).await
}
