//! Starting without the database.

use anyhow::{Context, Result};
use cofferdam::resilience::Readiness;
use cofferdam::{ErrorKind, StorageService};
use cofferdam_tests::harness::wait::until;

use crate::rig::{Rig, SOON, build, failing, start, state, until_closed};

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_starts_without_its_database_and_works_once_it_is_there() -> Result<()> {
    let mut rig = Rig::new().await?;
    rig.kill()?;
    let storage = start(rig.config()).await?;
    let status = storage.status();
    assert_eq!(status.readiness, Readiness::Degraded);
    assert_eq!(status.last_error.map(|last| last.error.kind()), Some(ErrorKind::Unavailable));
    let error = storage.get_all_message_states().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("been unavailable since the start; it is probed every 100ms"), "{error}");
    assert!(error.message().contains("[2002]"), "{error}");

    rig.start_again().await?;
    until("it initialises by itself", SOON, async || storage.status().readiness == Readiness::Ready)
        .await
        .with_context(|| format!("{:?}", storage.status()))?;
    storage.upsert_message_state(&state("c", "m")).await?;
    storage.health_check().await?;
    storage.close().await?;
    assert_eq!(storage.status().readiness, Readiness::Closed);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_fails_without_its_database_where_that_is_asked_for() -> Result<()> {
    let mut rig = Rig::new().await?;
    rig.kill()?;
    let storage = build(failing(rig.config()))?;
    assert_eq!(storage.initialize().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(storage.status().readiness, Readiness::Closed);
    assert_eq!(storage.health_check().await.unwrap_err().kind(), ErrorKind::NotInitialized);
    rig.start_again().await?;
    storage.initialize().await?;
    Ok(storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waiting_cannot_mend_fails_a_start_at_once() -> Result<()> {
    let rig = Rig::new().await?;
    let mut config = rig.config();
    if let cofferdam::config::DatabaseConfig::Mysql(mysql) = &mut config.database {
        mysql.password = cofferdam::config::Secret::new("wrong");
    }
    let error = build(config)?.initialize().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::PermissionDenied, Some("1045")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_closed_while_the_database_is_away_and_opened_again() -> Result<()> {
    let mut rig = Rig::new().await?;
    rig.kill()?;
    let storage = start(rig.spooling()).await?;
    assert!(storage.upsert_message_state(&state("c", "m")).await?.is_spooled());
    storage.close().await?;
    assert_eq!(storage.upsert_message_state(&state("c", "n")).await.unwrap_err().kind(), ErrorKind::NotInitialized);
    rig.start_again().await?;
    storage.initialize().await?;
    until_closed(&storage).await?;
    crate::rig::until_empty(&storage).await?;
    assert_eq!(crate::rig::message(&storage, "c").await?.as_deref(), Some("m"));
    Ok(storage.close().await?)
}
