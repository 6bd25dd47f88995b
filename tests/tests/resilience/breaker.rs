//! The circuit breaker and the repetition of operations.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use cofferdam::resilience::BreakerState;
use cofferdam::{ErrorKind, StorageService, Written};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::{spool_in, sqlite_config};
use cofferdam_tests::harness::wait::{until, until_spooled};
use cofferdam_tests::harness::writer::Locker;
use mysql_async::prelude::Queryable;
use tokio::time::Instant;

use crate::rig::{Rig, SOON, message, start, state, until_closed, until_empty, until_open};

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_at_once_while_the_database_is_away_and_closes_by_itself() -> Result<()> {
    let mut rig = Rig::new().await?;
    let storage = start(rig.config()).await?;
    storage.upsert_message_state(&state("c", "before")).await?;
    rig.kill()?;
    until_open(&storage).await?;
    let error = storage.get_message_state("c", None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("the circuit breaker is open after "), "{error}");
    assert!(storage.status().breaker.opened >= 1);

    rig.start_again().await?;
    until_closed(&storage).await?;
    assert_eq!(message(&storage, "c").await?.as_deref(), Some("before"));
    assert_eq!(storage.status().breaker.failures, 0);
    Ok(storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_costs_an_operation_its_deadline_and_those_after_it_nothing() -> Result<()> {
    let mut rig = Rig::new().await?;
    let storage = start(rig.config()).await?;
    rig.server.process().context("a process")?.pause()?;
    // Its deadline, and not the longest round trip.
    let start = Instant::now();
    let error = storage.get_message_state("c", None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(start.elapsed() < SOON);
    until_open(&storage).await?;
    assert_eq!(storage.get_message_state("c", None).await.unwrap_err().kind(), ErrorKind::Unavailable);
    rig.server.process().context("a process")?.resume()?;
    until_closed(&storage).await?;
    storage.upsert_message_state(&state("c", "after")).await?;
    Ok(storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_ridden_through() -> Result<()> {
    let rig = Rig::new().await?;
    let storage = start(rig.config()).await?;
    let mut administrator = rig.server.administrator().await?;
    for round in 0..20 {
        storage.upsert_message_state(&state("c", &round.to_string())).await?;
        let connections: Vec<u64> = administrator
            .query("SELECT id FROM information_schema.processlist WHERE user = 'cofferdam' AND command = 'Sleep'")
            .await?;
        for id in connections {
            // It may have ended by itself.
            let _ = administrator.query_drop(format!("KILL CONNECTION {id}")).await;
        }
        let expected = round.to_string();
        assert_eq!(message(&storage, "c").await?, Some(expected));
    }
    assert_eq!(storage.status().breaker.state, BreakerState::Closed);
    Ok(storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_another_process_has_locked_is_there() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let mut config = sqlite_config(&folder.database());
    config.timeouts.operation = Duration::from_millis(300);
    config.resilience.breaker.failures = 1;
    let storage = Arc::new(start(config.clone()).await?);
    let locker = Locker::start(&folder.database())?;
    let writes: Vec<_> = (0..8)
        .map(|number| {
            let storage = storage.clone();
            tokio::spawn(async move { storage.upsert_message_state(&state(&format!("c{number}"), "1")).await })
        })
        .collect();
    for write in writes {
        let error = write.await?.unwrap_err();
        assert!([ErrorKind::Conflict, ErrorKind::Timeout].contains(&error.kind()), "{error}");
    }
    assert_eq!(storage.status().breaker.opened, 0);
    locker.unlock()?;
    until("the file is free", SOON, async || {
        storage.upsert_message_state(&state("c0", "1")).await.is_ok_and(|written| written == Written::Stored(()))
    })
    .await?;
    storage.close().await?;

    config.resilience.spool = Some(spool_in(&folder));
    // A tenth of it is kept for the spool, which waits for the disk.
    config.timeouts.operation = Duration::from_secs(2);
    let storage = start(config).await?;
    let locker = Locker::start(&folder.database())?;
    for message in ["2", "3"] {
        until_spooled(async || storage.upsert_message_state(&state("c0", message)).await).await?;
    }
    assert_eq!(storage.status().breaker.opened, 0);
    locker.unlock()?;
    until_empty(&storage).await?;
    assert_eq!(storage.upsert_message_state(&state("c0", "4")).await?, Written::Stored(()));
    assert_eq!(message(&storage, "c0").await?.as_deref(), Some("4"));
    Ok(storage.close().await?)
}
