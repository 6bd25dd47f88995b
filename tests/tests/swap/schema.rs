//! Plugins for another schema than the database has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use cofferdam::resilience::Upgraded;
use cofferdam::{StorageService, SwapError};
use cofferdam_tests::harness::plugins::{SQLITE, guests};

use crate::rig::{Rig, message, state, to};

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_one_upgrades_if_asked_and_there_is_no_way_back() -> Result<()> {
    let rig = Arc::new(Rig::new().await?);
    rig.storage.upsert_message_state(&state("c", "before")).await?;
    let words = ["is for schema version 3, but the database has version 2", "no way back"];
    let error = rig.refuses(to(guests::NEWER_SCHEMA), guests::NEWER_SCHEMA, &words).await?;
    ensure!(matches!(error, SwapError::NewerSchema { plugin: 3, database: Some(2), .. }), "{error:?}");
    ensure!(!error.is_retryable() && rig.storage.storage().schema_version().await? == Some(2));

    let enough = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..32)
        .map(|caller| {
            let (rig, enough) = (rig.clone(), enough.clone());
            tokio::spawn(async move {
                let channel = format!("caller {caller}");
                for round in 0_u64.. {
                    rig.storage.upsert_message_state(&state(&channel, &round.to_string())).await?;
                    ensure!(message(&rig.storage, &channel).await? == Some(round.to_string()));
                    if enough.load(Ordering::Relaxed) {
                        break;
                    }
                }
                Ok(())
            })
        })
        .collect();
    let report = rig.storage.swap_plugin(to(guests::NEWER_SCHEMA).upgrade_schema()).await?;
    enough.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await?.context("a caller noticed the upgrade")?;
    }
    ensure!(report.upgraded == Some(Upgraded { from: Some(2), to: 3 }) && !report.plugin.on_trial, "{report:?}");
    ensure!(rig.storage.storage().schema_version().await? == Some(3));
    ensure!(message(&rig.storage, "c").await?.as_deref() == Some("before"));

    let words = ["is for schema version 2, but the database has version 3", "use a plugin for version 3"];
    let error = rig.refuses(to(SQLITE).upgrade_schema(), SQLITE, &words).await?;
    ensure!(matches!(error, SwapError::OlderSchema { plugin: 2, database: 3, .. }), "{error:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_fails_leaves_the_plugin_before_at_work() -> Result<()> {
    let rig = Rig::new().await?;
    let file = rusqlite::Connection::open(rig.folder.database())?;
    // The name that the step gives a table.
    file.execute_batch("CREATE INDEX later ON message_states (created_at)")?;
    let request = to(guests::NEWER_SCHEMA).upgrade_schema();
    let error = rig.refuses(request, guests::NEWER_SCHEMA, &["could not upgrade the database", "version 2"]).await?;
    ensure!(matches!(error, SwapError::Upgrade { database: Some(2), .. }), "{error:?}");
    ensure!(rig.storage.storage().schema_version().await? == Some(2));
    Ok(())
}
