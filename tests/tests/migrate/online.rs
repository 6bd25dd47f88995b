//! A bot that moves while it works: it writes to both databases, is backfilled, compared, and exchanges them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use cofferdam::clock::SystemClock;
use cofferdam::config::MirrorConfig;
use cofferdam::resilience::MirrorStatus;
use cofferdam::{MessageState, OnEqual, ResilientStorage, StorageService, ThreadOwnership, TransferService, Written};
use cofferdam_tests::harness::command::run;
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::{Home, spool_in};
use cofferdam_tests::harness::wait::{SOON, until};
use cofferdam_tests::harness::writer::Locker;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::rig::{dump, fill, many, migrate, times, verify, without_ids};

/// Callers and the pause between two writes of one of them: 500 writes a second in all.
const CALLERS: usize = 8;
const PAUSE: Duration = Duration::from_millis(16);

fn build(own: &Home, mirror: &Home, spool: Option<&SqliteFolder>, shadow_reads: f64) -> Result<ResilientStorage> {
    let mut config = own.config();
    let name = format!("the {} database", mirror.name());
    config.resilience.breaker.probe_interval = Duration::from_millis(100);
    config.resilience.spool = spool.map(spool_in);
    config.timeouts.operation = Duration::from_secs(2);
    let mut target = mirror.config();
    target.resilience.breaker.probe_interval = Duration::from_millis(100);
    target.timeouts.operation = Duration::from_secs(2);
    target.timeouts.list = Duration::from_secs(5);
    config.mirror = Some(MirrorConfig { config: Box::new(target), name, shadow_reads });
    Ok(ResilientStorage::builder(config).clock(Arc::new(SystemClock)).build()?)
}

async fn start(own: &Home, mirror: &Home, spool: Option<&SqliteFolder>) -> Result<ResilientStorage> {
    let storage = build(own, mirror, spool, 0.0)?;
    storage.initialize().await?;
    Ok(storage)
}

fn status(storage: &ResilientStorage) -> MirrorStatus {
    storage.status().mirror.expect("there is a mirror")
}

async fn until_caught_up(storage: &ResilientStorage) -> Result<()> {
    until("the mirror has everything", SOON, async || status(storage).waiting == 0).await
}

async fn assert_equal(one: &Home, other: &Home) -> Result<()> {
    let (one, other) = (without_ids(dump(one).await?), without_ids(dump(other).await?));
    assert_eq!((one.0.len(), one.1.len()), (other.0.len(), other.1.len()));
    for (one, other) in one.0.iter().zip(&other.0) {
        assert_eq!(one, other);
    }
    for (one, other) in one.1.iter().zip(&other.1) {
        assert_eq!(one, other);
    }
    Ok(())
}

/// What callers do all the while, and how many operations they have made.
struct Load {
    stop: Arc<AtomicBool>,
    operations: Arc<AtomicU64>,
    callers: JoinSet<Result<()>>,
}

impl Load {
    /// Callers who write old rows and new ones, hot ones among them, and clean up.
    fn start(storage: &Arc<ResilientStorage>, old: &[MessageState]) -> Self {
        let (stop, operations) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (storage, stop, operations) = (storage.clone(), stop.clone(), operations.clone());
            let old: Vec<_> = old.iter().skip(caller).step_by(97 * CALLERS).cloned().collect();
            callers.spawn(async move {
                let mut ticks = interval(PAUSE);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
                for number in 0_usize.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    ticks.tick().await;
                    let message = format!("{caller}-{number}");
                    let now = std::time::UNIX_EPOCH.elapsed()?.as_secs() as i64;
                    let written = match number % 8 {
                        0 | 1 => {
                            let row = &old[number % old.len()];
                            let state = MessageState { last_message_id: message, ..row.clone() };
                            storage.upsert_message_state(&state).await
                        }
                        2 | 3 => {
                            let state = MessageState::new(format!("new-{caller}-{number}"), None, message, now);
                            storage.upsert_message_state(&state).await
                        }
                        // One row that everybody writes, many times a second.
                        4 | 5 => storage.upsert_message_state(&MessageState::new("hot", Some("t"), message, now)).await,
                        6 => {
                            let ownership = ThreadOwnership::new(format!("t-{}", number % 512), message, "bot", now);
                            storage.upsert_thread_ownership(&ownership).await
                        }
                        _ if number % 64 == 63 => storage
                            .cleanup_old_thread_ownerships(Duration::from_secs(5))
                            .await
                            .map(|_| Written::Stored(())),
                        _ => {
                            let ownership = ThreadOwnership::new(format!("old-{caller}"), message, "bot", now - 4);
                            storage.upsert_thread_ownership(&ownership).await
                        }
                    };
                    written.with_context(|| format!("operation {number} of caller {caller}"))?;
                    operations.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        Self { stop, operations, callers }
    }

    /// Says how many operations there were, of which none failed.
    async fn stop(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(caller) = self.callers.join_next().await {
            caller??;
        }
        Ok(self.operations.load(Ordering::Relaxed))
    }
}

async fn moves_while_it_works(own: Home, other: Home, folder: &Path) -> Result<()> {
    let rows = many(i64::from(times(30_000, 300_000)));
    own.open().await?.close().await?;
    fill(&own, &rows).await?;
    let storage = Arc::new(start(&own, &other, None).await?);
    let load = Load::start(&storage, &rows.0);
    sleep(Duration::from_millis(500)).await;

    let (from, to, place) = (&own, &other, folder);
    let (moved, _) = tokio::task::block_in_place(|| run(&mut migrate(from, to, place, &["--execute"]), 0));
    // With everybody still writing.
    let (settled, _) = tokio::task::block_in_place(|| run(&mut verify(from, to, place, &["--wait", "60s"]), 0));
    println!("{moved}{settled}");

    let operations = load.stop().await?;
    ensure!(operations > 200, "{operations} operations are no load");
    // A row that was moved after it was cleaned up goes with the next cleanup.
    storage.cleanup_old_thread_ownerships(Duration::from_secs(5)).await?;
    until_caught_up(&storage).await?;
    let status = status(&storage);
    assert_eq!((status.missed, status.newer), (0, 0));
    ensure!(status.mirrored > 100, "{} rows were brought over", status.mirrored);
    storage.close().await?;
    println!("{operations} operations while {} rows moved, none failed", rows.0.len() + rows.1.len());
    assert_equal(&own, &other).await?;
    run(&mut verify(&own, &other, folder, &[]), 0);

    // The roles are exchanged, and the way back stays open.
    let storage = start(&other, &own, None).await?;
    storage.upsert_message_state(&MessageState::new("after", None, "m", 1)).await?;
    storage.upsert_message_state(&MessageState::new("hot", Some("t"), "last", 1)).await?;
    storage.close().await?;
    assert_equal(&own, &other).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_moves_to_a_server_while_it_works() -> Result<()> {
    let folder = tempfile::tempdir()?;
    moves_while_it_works(Home::sqlite()?, Home::mysql().await?, folder.path()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_moves_to_a_file_while_it_works() -> Result<()> {
    let folder = tempfile::tempdir()?;
    moves_while_it_works(Home::mysql().await?, Home::sqlite()?, folder.path()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_goes_away_fails_no_operation_and_catches_up() -> Result<()> {
    for with_spool in [false, true] {
        let mut server = MysqlServer::start(&[]).await?;
        let (own, mirror) = (Home::sqlite()?, Home::Mysql(server.create_database(DatabaseOptions::default()).await?));
        let folder = SqliteFolder::new()?;
        let storage = start(&own, &mirror, with_spool.then_some(&folder)).await?;
        storage.upsert_message_state(&MessageState::new("before", None, "m", 1)).await?;
        until_caught_up(&storage).await?;
        server.process().context("a server of one's own")?.kill()?;
        for number in 0..300 {
            let state = MessageState::new(format!("c{}", number % 100), None, number.to_string(), 1);
            assert_eq!(storage.upsert_message_state(&state).await?, Written::Stored(()));
        }
        storage.upsert_thread_ownership(&ThreadOwnership::new("old", "u", "b", 1)).await?;
        assert_eq!(storage.cleanup_old_thread_ownerships(Duration::from_secs(1)).await?, Written::Stored(1));
        until("the mirror says that it is away", SOON, async || status(&storage).last_error.is_some()).await?;
        let behind = status(&storage);
        assert!(behind.waiting >= 100 && behind.missed == 0, "{behind:?}");
        server.process().context("a server of one's own")?.start_again().await?;
        until_caught_up(&storage).await?;
        assert_equal(&own, &mirror).await?;
        storage.close().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_starts_and_stops_without_its_mirror_and_the_spool_remembers() -> Result<()> {
    let mut server = MysqlServer::start(&[]).await?;
    let (own, mirror) = (Home::sqlite()?, Home::Mysql(server.create_database(DatabaseOptions::default()).await?));
    let folder = SqliteFolder::new()?;
    server.process().context("a server of one's own")?.kill()?;
    let storage = start(&own, &mirror, Some(&folder)).await?;
    for number in 0..50 {
        storage.upsert_message_state(&MessageState::new(format!("c{number}"), None, "m", 1)).await?;
    }
    // Dropped without being closed, as by a crash.
    drop(storage);
    server.process().context("a server of one's own")?.start_again().await?;
    let storage = start(&own, &mirror, Some(&folder)).await?;
    until_caught_up(&storage).await?;
    storage.close().await?;
    assert_equal(&own, &mirror).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_the_spool_reaches_the_mirror_as_the_database_has_it() -> Result<()> {
    let mut server = MysqlServer::start(&[]).await?;
    let (own, mirror) = (Home::Mysql(server.create_database(DatabaseOptions::default()).await?), Home::sqlite()?);
    let folder = SqliteFolder::new()?;
    let storage = start(&own, &mirror, Some(&folder)).await?;
    storage.upsert_message_state(&MessageState::new("c", None, "before", 1)).await?;
    storage.upsert_thread_ownership(&ThreadOwnership::new("old", "u", "b", 1)).await?;
    until_caught_up(&storage).await?;
    server.process().context("a server of one's own")?.kill()?;
    assert_eq!(storage.upsert_message_state(&MessageState::new("c", None, "spooled", 2)).await?, Written::Spooled);
    assert_eq!(storage.upsert_message_state(&MessageState::new("d", None, "new", 2)).await?, Written::Spooled);
    assert_eq!(storage.cleanup_old_thread_ownerships(Duration::from_secs(1)).await?, Written::Spooled);
    // Behind the cleanup, and as old as what that removes.
    assert_eq!(storage.upsert_thread_ownership(&ThreadOwnership::new("new", "u", "b", 1)).await?, Written::Spooled);
    assert_eq!(status(&storage).waiting, 4);
    server.process().context("a server of one's own")?.start_again().await?;
    until_caught_up(&storage).await?;
    storage.close().await?;
    let rows = dump(&own).await?;
    assert_eq!((rows.0.len(), rows.1.len(), rows.1[0].thread_id.as_str()), (2, 1, "new"));
    assert_equal(&own, &mirror).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cleanup_that_fails_leaves_the_mirror_alone() -> Result<()> {
    let (own, mirror) = (Home::sqlite()?, Home::sqlite()?);
    let storage = start(&own, &mirror, None).await?;
    storage.upsert_thread_ownership(&ThreadOwnership::new("old", "u", "b", 1)).await?;
    until_caught_up(&storage).await?;
    let Home::Sqlite(folder) = &own else { unreachable!() };
    let locker = Locker::start(&folder.database())?;
    storage.cleanup_old_thread_ownerships(Duration::from_secs(1)).await.unwrap_err();
    locker.unlock()?;
    until_caught_up(&storage).await?;
    assert_eq!(dump(&mirror).await?.1.len(), 1);
    storage.cleanup_old_thread_ownerships(Duration::from_secs(1)).await?;
    until_caught_up(&storage).await?;
    storage.close().await?;
    assert_eq!(dump(&mirror).await?.1.len(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_newer_in_the_mirror_stays_there() -> Result<()> {
    let (own, mirror) = (Home::sqlite()?, Home::sqlite()?);
    // Within what hosts' clocks may differ: more than that is a wrong clock's, and gives way.
    let now = i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs())?;
    let newer = MessageState { updated_at: now + 600, created_at: 1, ..MessageState::new("c", None, "theirs", 1) };
    let other = mirror.open().await?;
    other.import_message_states_with(&[newer], OnEqual::Keep).await?;
    let storage = start(&own, &mirror, None).await?;
    storage.upsert_message_state(&MessageState::new("c", None, "ours", 1)).await?;
    until_caught_up(&storage).await?;
    assert_eq!(status(&storage).newer, 1);
    storage.close().await?;
    assert_eq!(dump(&mirror).await?.0[0].last_message_id, "theirs");
    other.close().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_is_newer_than_its_plugin_fails_no_operation() -> Result<()> {
    let (own, mirror) = (Home::sqlite()?, Home::sqlite()?);
    mirror.open().await?.close().await?;
    let Home::Sqlite(folder) = &mirror else { unreachable!() };
    rusqlite::Connection::open(folder.database())?
        .execute_batch("INSERT INTO schema_versions (version, applied_at) VALUES (99, 0)")?;
    let storage = start(&own, &mirror, None).await?;
    assert_eq!(storage.upsert_message_state(&MessageState::new("c", None, "m", 1)).await?, Written::Stored(()));
    until("the mirror says why", SOON, async || {
        status(&storage).last_error.is_some_and(|last| last.error.kind() == cofferdam::ErrorKind::SchemaMismatch)
    })
    .await?;
    assert_eq!(status(&storage).waiting, 1);
    storage.close().await?;
    // Nobody will bring it over: there is no spool to remember it.
    assert_eq!(status(&storage).missed, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_are_compared() -> Result<()> {
    let (own, mirror) = (Home::sqlite()?, Home::mysql().await?);
    let storage = build(&own, &mirror, None, 1.0)?;
    storage.initialize().await?;
    storage.upsert_message_state(&MessageState::new("c", None, "m", 1)).await?;
    storage.upsert_thread_ownership(&ThreadOwnership::new("t", "u", "b", 1)).await?;
    until_caught_up(&storage).await?;
    let same = || status(&storage).shadow.same;
    for (number, read) in ["state", "none", "all", "window", "ownership", "ownerships"].into_iter().enumerate() {
        match read {
            "state" => drop(storage.get_message_state("c", None).await?),
            "none" => drop(storage.get_message_state("nobody", None).await?),
            "all" => drop(storage.get_all_message_states().await?),
            "window" => drop(storage.get_message_states_within_window(Duration::from_secs(60)).await?),
            "ownership" => drop(storage.get_thread_ownership("t").await?),
            _ => drop(storage.get_all_thread_ownerships().await?),
        }
        until(read, SOON, async || same() == number as u64 + 1).await?;
    }
    let row = MessageState { updated_at: i64::MAX, created_at: 1, ..MessageState::new("c", None, "theirs", 1) };
    let other = mirror.open().await?;
    other.import_message_states(&[row]).await?;
    storage.get_message_state("c", None).await?;
    until("the difference is counted", SOON, async || status(&storage).shadow.different == 1).await?;
    other.close().await?;
    storage.close().await.map_err(Into::into)
}
