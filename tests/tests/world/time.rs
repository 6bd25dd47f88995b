//! A clock that jumps loses no write.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam::clock::ManualClock;
use cofferdam::config::{Config, DatabaseConfig, MirrorConfig, SqliteConfig};
use cofferdam::{MessageState, ResilientStorage, Storage, StorageService, ThreadOwnership, Written};
use cofferdam_tests::harness::command::{on_sqlite, run};
use cofferdam_tests::harness::seed::seed;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::{spool_in, sqlite_config, sqlite_storage};
use cofferdam_tests::harness::wait::{SOON, until, until_spooled};

/// Enough for the disk of a busy machine.
const PATIENCE: Duration = Duration::from_secs(2);

const NOW: i64 = 1_790_000_000;
const YEAR_1970: i64 = 1_000;
const YEAR_2099: i64 = 4_070_908_800;

fn state(channel: &str, message: &str) -> MessageState {
    MessageState::new(channel, None, message, 1)
}

/// A host with a spool, whose database can be away and whose clock can be set.
struct Host {
    folder: SqliteFolder,
    clock: Arc<ManualClock>,
    storage: ResilientStorage,
    lock: RefCell<Option<rusqlite::Connection>>,
    patience: Duration,
}

impl Host {
    /// A write waits for most of `patience` where the database is away.
    async fn start(patience: Duration) -> Result<Self> {
        let folder = SqliteFolder::new()?;
        let clock = Arc::new(ManualClock::at(NOW));
        let storage = build(config(&folder, patience), &clock)?;
        storage.initialize().await?;
        Ok(Self { folder, clock, storage, lock: RefCell::default(), patience })
    }

    /// The database takes no writes from now on, or takes them again.
    fn set_away(&self, is_away: bool) -> Result<()> {
        let mut lock = self.lock.borrow_mut();
        *lock = match lock.take() {
            _ if !is_away => None,
            None => {
                let connection = rusqlite::Connection::open(self.folder.database())?;
                connection.busy_timeout(SOON)?;
                connection.execute_batch("BEGIN IMMEDIATE")?;
                Some(connection)
            }
            held => held,
        };
        Ok(())
    }

    /// The same host after the death of its process, which is as good as any end of it.
    async fn dies(&mut self) -> Result<()> {
        let again = build(config(&self.folder, self.patience), &self.clock)?;
        drop(std::mem::replace(&mut self.storage, again));
        Ok(self.storage.initialize().await?)
    }

    async fn settles(&self) -> Result<()> {
        let depth = || self.storage.status().spool.map_or(0, |spool| spool.depth);
        until("the spool is empty", SOON, async || depth() == 0).await?;
        let spool = self.storage.status().spool.context("a spool")?;
        ensure!(spool.rejected == 0, "{spool:?}");
        Ok(())
    }

    async fn put(&self, channel: &str, message: &str) -> Result<Written> {
        Ok(self.storage.upsert_message_state(&state(channel, message)).await?)
    }

    /// The same while the database is away.
    async fn spools(&self, channel: &str, message: &str) -> Result<()> {
        until_spooled(async || self.storage.upsert_message_state(&state(channel, message)).await).await
    }

    /// What is in the database, past this host.
    async fn stored(&self) -> Result<BTreeMap<String, MessageState>> {
        let storage = sqlite_storage(&self.folder.database(), self.clock.clone())?;
        storage.initialize().await?;
        let rows = storage.get_all_message_states().await?;
        storage.close().await?;
        Ok(rows.into_iter().map(|row| (row.channel_id.clone(), row)).collect())
    }

    async fn message(&self, channel: &str) -> Result<Option<String>> {
        Ok(self.stored().await?.remove(channel).map(|row| row.last_message_id))
    }

    /// Another host, whose clock says this.
    async fn other(&self, now: i64) -> Result<Storage> {
        let storage = sqlite_storage(&self.folder.database(), Arc::new(ManualClock::at(now)))?;
        storage.initialize().await?;
        Ok(storage)
    }
}

fn config(folder: &SqliteFolder, patience: Duration) -> Config {
    let mut config = sqlite_config(&folder.database());
    config.timeouts.operation = patience;
    config.resilience.spool = Some(spool_in(folder));
    config.resilience.retry.attempts = 1;
    config.resilience.breaker.failures = 1;
    config.resilience.breaker.probe_interval = Duration::from_millis(20);
    config
}

fn build(config: Config, clock: &Arc<ManualClock>) -> Result<ResilientStorage> {
    Ok(ResilientStorage::builder(config).clock(clock.clone()).build()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_accepted_in_1970_is_stored() -> Result<()> {
    let mut host = Host::start(PATIENCE).await?;
    assert_eq!(host.put("a", "before").await?, Written::Stored(()));
    host.set_away(true)?;
    host.clock.set(YEAR_1970);
    host.spools("a", "in 1970").await?;
    host.spools("b", "in 1970").await?;
    host.set_away(false)?;
    host.settles().await?;
    assert_eq!(host.message("a").await?.as_deref(), Some("in 1970"));
    // A machine without a battery: the process begins there.
    host.set_away(true)?;
    host.dies().await?;
    host.spools("a", "after a cold start").await?;
    host.clock.set(NOW + 60);
    host.set_away(false)?;
    host.settles().await?;
    assert_eq!(host.message("a").await?.as_deref(), Some("after a cold start"));
    assert_eq!(host.message("b").await?.as_deref(), Some("in 1970"));
    Ok(host.storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_2099_give_way_to_what_is_accepted_later() -> Result<()> {
    let mut host = Host::start(PATIENCE).await?;
    host.clock.set(YEAR_2099);
    for channel in ["direct", "spooled", "ownership"] {
        host.put(channel, "in 2099").await?;
    }
    host.storage.upsert_thread_ownership(&ThreadOwnership::new("t", "in 2099", "b", 1)).await?;
    host.clock.set(NOW + 10);
    host.put("direct", "now").await?;
    host.set_away(true)?;
    host.spools("spooled", "now").await?;
    let ownership = ThreadOwnership::new("t", "now", "b", 1);
    until_spooled(async || host.storage.upsert_thread_ownership(&ownership).await).await?;
    host.set_away(false)?;
    host.settles().await?;
    let stored = host.stored().await?;
    for channel in ["direct", "spooled"] {
        let row = &stored[channel];
        assert_eq!((row.last_message_id.as_str(), row.updated_at), ("now", NOW + 10), "{channel}");
    }
    let ownership = host.storage.get_thread_ownership("t").await?.context("the ownership")?;
    assert_eq!((ownership.original_user_id.as_str(), ownership.updated_at), ("now", NOW + 10));
    // And one that was accepted there does not carry that time into the database.
    host.set_away(true)?;
    host.clock.set(YEAR_2099);
    host.spools("spooled", "again").await?;
    // Or a replay may have begun there, which waits for the database.
    host.storage = build(config(&host.folder, host.patience), &host.clock)?;
    host.clock.set(NOW + 20);
    host.set_away(false)?;
    host.storage.initialize().await?;
    host.settles().await?;
    let row = &host.stored().await?["spooled"];
    assert_eq!((row.last_message_id.as_str(), row.updated_at), ("again", NOW + 20));
    Ok(host.storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_hosts_newer_row_stays_whatever_this_ones_clock_has_said() -> Result<()> {
    let host = Host::start(PATIENCE).await?;
    for channel in ["a", "b"] {
        host.put(channel, "before").await?;
    }
    host.clock.set(YEAR_2099);
    host.put("elsewhere", "in 2099").await?;
    host.clock.set(NOW + 100);
    host.set_away(true)?;
    host.spools("a", "spooled").await?;
    host.clock.set(YEAR_1970);
    host.spools("b", "spooled in 1970").await?;
    host.storage.close().await?;
    host.set_away(false)?;
    host.clock.set(NOW + 2000);
    let other = host.other(NOW + 1000).await?;
    for channel in ["a", "b"] {
        other.upsert_message_state(&state(channel, "of the other host")).await?;
    }
    other.close().await?;
    host.storage.initialize().await?;
    host.settles().await?;
    for channel in ["a", "b"] {
        assert_eq!(host.message(channel).await?.as_deref(), Some("of the other host"), "{channel}");
    }
    Ok(host.storage.close().await?)
}

/// What happens to a host and its clock, at random.
#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_acceptance_decides_on_one_host() -> Result<()> {
    let seed = seed()?;
    let rounds = if std::env::var_os("COFFERDAM_TEST_FULL").is_some() { 64 } else { 4 };
    for round in 0..rounds {
        let seed = seed.wrapping_add(round);
        jumps(&mut fastrand::Rng::with_seed(seed)).await.with_context(|| format!("COFFERDAM_TEST_SEED={seed}"))?;
    }
    Ok(())
}

async fn jumps(random: &mut fastrand::Rng) -> Result<()> {
    let mut host = Host::start(Duration::from_millis(300)).await?;
    let mut accepted: BTreeMap<String, String> = BTreeMap::new();
    let (mut truth, mut story) = (NOW, String::new());
    for step in 0..50 {
        truth += random.i64(0..40);
        let event = random.u8(0..12);
        match event {
            0 => host.clock.set(YEAR_1970 + random.i64(0..100)),
            1 => host.clock.set(YEAR_2099 + random.i64(0..100)),
            2 => host.clock.set(truth - random.i64(0..90_000)),
            3 | 4 => host.clock.set(truth),
            5 => host.set_away(true)?,
            6 => {
                host.set_away(false)?;
                host.settles().await?;
            }
            7 => host.dies().await?,
            _ => {
                let channel = format!("c{}", random.u8(0..4));
                let message = format!("m{step}");
                let written = host.put(&channel, &message).await;
                story += &format!("{step}: {channel} {written:?}\n");
                // A write may meet the moment in which the database goes; what is refused is not acknowledged.
                if written.is_ok() {
                    accepted.insert(channel, message);
                } else {
                    accepted.remove(&channel);
                }
            }
        }
        if event < 8 {
            let what = ["1970", "2099", "set back", "right", "right", "away", "back and settled", "died"];
            story += &format!("{step}: {}; the clock says {}\n", what[usize::from(event)], host.clock.seconds());
        }
    }
    host.set_away(false)?;
    if random.bool() {
        host.clock.set(truth);
    }
    host.settles().await?;
    let stored = host.stored().await?;
    for (channel, message) in accepted {
        let row = stored.get(&channel).with_context(|| format!("{channel} is not there\n{story}"))?;
        ensure!(row.last_message_id == message, "{channel} holds {row:?}, and {message} was accepted last\n{story}");
    }
    Ok(host.storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_gets_rid_of_rows_from_the_future() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let mirror = folder.path().join("mirror.db");
    let mut config = config(&folder, PATIENCE);
    let mut target = config.clone();
    target.database = DatabaseConfig::Sqlite(SqliteConfig { path: mirror.clone() });
    config.mirror = Some(MirrorConfig { name: "mirror".into(), config: Box::new(target), shadow_reads: 0.0 });
    let clock = Arc::new(ManualClock::at(YEAR_2099));
    let storage = build(config, &clock)?;
    storage.initialize().await?;
    let there = async || -> Result<Option<String>> {
        let other = sqlite_storage(&mirror, clock.clone())?;
        other.initialize().await?;
        let row = other.get_message_state("a", None).await?;
        other.close().await?;
        Ok(row.map(|row| row.last_message_id))
    };
    storage.upsert_message_state(&state("a", "in 2099")).await?;
    until("the mirror has the row", SOON, async || there().await.is_ok_and(|it| it.as_deref() == Some("in 2099")))
        .await?;
    clock.set(NOW);
    storage.upsert_message_state(&state("a", "now")).await?;
    until("the mirror has the later write", SOON, async || there().await.is_ok_and(|it| it.as_deref() == Some("now")))
        .await?;
    Ok(storage.close().await?)
}

#[test]
fn check_and_the_plan_tell_of_rows_from_the_future() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let database = folder.database();
    let check = |arguments: &[&str]| {
        let mut command = on_sqlite(arguments);
        command.env("DATABASE_PATH", &database);
        command
    };
    run(&mut check(&["check"]), 0);
    let (text, _) = run(&mut check(&["check", "--json"]), 0);
    let before: serde_json::Value = serde_json::from_str(&text)?;
    assert!(!before["remarks"].to_string().contains("from now"), "{before}");
    rusqlite::Connection::open(&database)?.execute_batch(&format!(
        "INSERT INTO message_states (channel_id, last_message_id, last_seen_timestamp, created_at, updated_at)
             VALUES ('a', 'm', {YEAR_2099}, 1, {YEAR_2099});
         INSERT INTO thread_ownerships (thread_id, original_user_id, created_by, creation_time, created_at, updated_at)
             VALUES ('t', 'u', 'b', {YEAR_2099}, 1, 1)"
    ))?;
    let (text, _) = run(&mut check(&["check"]), 0);
    assert!(
        text.contains("1 rows of message_states have a last_seen_timestamp more than an hour in the future"),
        "{text}"
    );
    assert!(
        text.contains("1 rows of thread_ownerships have a creation_time more than an hour in the future"),
        "{text}"
    );
    let (from, to) =
        (format!("sqlite:{}", database.display()), format!("sqlite:{}", folder.path().join("to.db").display()));
    let (text, _) = run(&mut on_sqlite(&["migrate", "--from", &from, "--to", &to]), 0);
    assert!(text.contains("it has rows with an updated_at more than an hour in the future"), "{text}");
    Ok(())
}
