//! Writes that wait for the database.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use cofferdam::clock::{ManualClock, SystemClock};
use cofferdam::resilience::spool::{SpooledWrite, inspect};
use cofferdam::{ErrorKind, MessageState, StorageService, ThreadOwnership, TransferService, Written};
use cofferdam_tests::harness::storage::mysql_storage;

use crate::rig::{Rig, build, build_at, depth, message, start, state, until_closed, until_empty, until_open};

const NOW: i64 = 1_700_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_during_an_outage_is_seen_at_once_and_stored_afterwards() -> Result<()> {
    let mut rig = Rig::new().await?;
    let storage = start(rig.spooling()).await?;
    assert_eq!(storage.upsert_message_state(&state("a", "stored")).await?, Written::Stored(()));
    rig.kill()?;
    assert_eq!(storage.upsert_message_state(&state("a", "1")).await?, Written::Spooled);
    assert_eq!(storage.upsert_message_state(&state("a", "2")).await?, Written::Spooled);
    assert_eq!(storage.upsert_message_state(&state("b", "new")).await?, Written::Spooled);
    let ownership = ThreadOwnership::new("t", "user", "bot", 5);
    assert_eq!(storage.upsert_thread_ownership(&ownership).await?, Written::Spooled);
    assert_eq!(depth(&storage), 3);
    assert_eq!(message(&storage, "a").await?.as_deref(), Some("2"));
    assert_eq!(storage.get_thread_ownership("t").await?.map(|row| row.original_user_id).as_deref(), Some("user"));
    let unknown = storage.get_message_state("c", None).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Unavailable);
    let invalid = storage.upsert_message_state(&state("", "x")).await.unwrap_err();
    assert_eq!(invalid.kind(), ErrorKind::InvalidInput);

    rig.start_again().await?;
    until_empty(&storage).await?;
    until_closed(&storage).await?;
    assert_eq!(storage.upsert_message_state(&state("a", "after")).await?, Written::Stored(()));
    storage.close().await?;
    let plain = mysql_storage(rig.database.config(), Arc::new(SystemClock))?;
    plain.initialize().await?;
    let mut states = plain.get_all_message_states().await?;
    states.sort_by(|a, b| a.channel_id.cmp(&b.channel_id));
    let stored: Vec<_> = states.iter().map(|row| (row.channel_id.as_str(), row.last_message_id.as_str())).collect();
    assert_eq!(stored, [("a", "after"), ("b", "new")]);
    assert_eq!(plain.get_all_thread_ownerships().await?.len(), 1);
    Ok(plain.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_row_of_somebody_else_stays_and_an_older_one_keeps_when_it_was_made() -> Result<()> {
    let mut rig = Rig::new().await?;
    let clock = Arc::new(ManualClock::at(NOW));
    let storage = build_at(rig.spooling(), &clock)?;
    storage.initialize().await?;
    for channel in ["newer", "older", "same"] {
        let made = MessageState { created_at: 7, ..state(channel, "before") };
        storage.upsert_message_state(&made).await?;
    }
    rig.kill()?;
    // In the second in which the row in the database was written.
    assert!(storage.upsert_message_state(&state("same", "spooled")).await?.is_spooled());
    clock.set(NOW + 10);
    for channel in ["newer", "older"] {
        assert!(storage.upsert_message_state(&state(channel, "spooled")).await?.is_spooled());
    }
    storage.close().await?;

    rig.start_again().await?;
    let other_clock = Arc::new(ManualClock::at(NOW + 20));
    let other = mysql_storage(rig.database.config(), other_clock)?;
    other.initialize().await?;
    other.upsert_message_state(&state("newer", "of somebody else")).await?;
    storage.initialize().await?;
    until_empty(&storage).await?;
    let rows = other.export_message_states(None, 10).await?;
    let rows: Vec<_> = rows.iter().map(|row| (&*row.channel_id, &*row.last_message_id, row.created_at)).collect();
    assert_eq!(rows, [("newer", "of somebody else", 7), ("older", "spooled", 7), ("same", "spooled", 7)]);
    storage.close().await?;
    Ok(other.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cleanup_waits_in_its_place() -> Result<()> {
    let mut rig = Rig::new().await?;
    let clock = Arc::new(ManualClock::at(NOW));
    let storage = build_at(rig.spooling(), &clock)?;
    storage.initialize().await?;
    let ownership = |thread: &str, made| ThreadOwnership::new(thread, "user", "bot", made);
    storage.upsert_thread_ownership(&ownership("stored, old", NOW - 101)).await?;
    storage.upsert_thread_ownership(&ownership("stored, exactly that old", NOW - 100)).await?;
    rig.kill()?;
    storage.upsert_thread_ownership(&ownership("before", NOW - 200)).await?;
    assert_eq!(storage.cleanup_old_thread_ownerships(Duration::from_secs(100)).await?, Written::Spooled);
    storage.upsert_thread_ownership(&ownership("after", NOW - 300)).await?;
    assert_eq!(storage.get_thread_ownership("before").await?, None);
    assert!(storage.get_thread_ownership("after").await?.is_some());
    let zero = storage.cleanup_old_thread_ownerships(Duration::ZERO).await.unwrap_err();
    assert_eq!(zero.kind(), ErrorKind::InvalidInput);

    rig.start_again().await?;
    // Time goes on, and the cleanup means what it meant.
    clock.set(NOW + 1000);
    until_empty(&storage).await?;
    let threads = storage.get_all_thread_ownerships().await?;
    let threads: Vec<_> = threads.iter().map(|row| row.thread_id.as_str()).collect();
    assert_eq!(threads, ["stored, exactly that old", "after"]);
    Ok(storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_refuses_and_says_so_and_still_takes_rows_that_it_has() -> Result<()> {
    let mut rig = Rig::new().await?;
    let mut config = rig.spooling();
    if let Some(spool) = &mut config.resilience.spool {
        spool.limit = 2;
    }
    let storage = start(config).await?;
    rig.kill()?;
    until_open(&storage).await?;
    for channel in ["a", "b"] {
        storage.upsert_message_state(&state(channel, "1")).await?;
    }
    let error = storage.upsert_message_state(&state("c", "1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("is full: it holds 2 writes, the maximum in COFFERDAM_SPOOL_LIMIT"), "{error}");
    storage.upsert_message_state(&state("a", "2")).await?;
    rig.start_again().await?;
    until_empty(&storage).await?;
    assert_eq!(message(&storage, "a").await?.as_deref(), Some("2"));
    assert_eq!(message(&storage, "c").await?, None);
    Ok(storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_never_share_a_spool_and_anybody_may_look() -> Result<()> {
    let mut rig = Rig::new().await?;
    let storage = start(rig.spooling()).await?;
    rig.kill()?;
    storage.upsert_message_state(&state("a", "1")).await?;
    let second = build(rig.spooling())?;
    let error = second.initialize().await.unwrap_err();
    assert!(error.message().contains("is in use by another process"), "{error}");
    let content = inspect(&rig.folder.path().join("spool"))?;
    let [entry] = &content.entries[..] else { panic!("{content:?}") };
    let SpooledWrite::State(spooled) = &entry.write else { panic!("{entry:?}") };
    assert_eq!((&*spooled.channel_id, &*spooled.last_message_id), ("a", "1"));
    // Without a goodbye: the lock goes with the storage.
    drop(storage);
    second.initialize().await?;
    assert_eq!(message(&second, "a").await?.as_deref(), Some("1"));
    Ok(second.close().await?)
}
