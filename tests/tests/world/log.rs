//! The log of SQLite stays bounded.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cofferdam::{MessageState, StorageService};
use cofferdam_tests::harness::command::{on_sqlite, run};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::{sqlite_config, sqlite_storage};
use cofferdam_tests::harness::wait::until;
use cofferdam_tests::harness::writer::Locker;

const MEBIBYTE: u64 = 1 << 20;

/// What docs/reliability.md promises, with the pages' headers and all that one group of writes may add.
const BOUND: u64 = 68 * MEBIBYTE;

/// Each write leaves one page in the log at the least, and this is three times as many as the bound has.
const WRITES: u64 = 3 * (BOUND / 4096);

const PATIENCE: Duration = Duration::from_secs(120);

struct Bot {
    folder: SqliteFolder,
    storage: Arc<cofferdam::Storage>,
}

impl Bot {
    async fn start() -> Self {
        let folder = SqliteFolder::new().unwrap();
        let storage = sqlite_storage(&folder.database(), Arc::new(cofferdam::clock::SystemClock)).unwrap();
        storage.initialize().await.unwrap();
        Self { folder, storage: Arc::new(storage) }
    }

    fn log(&self) -> PathBuf {
        beside(&self.folder.database(), "-wal")
    }

    fn log_bytes(&self) -> u64 {
        std::fs::metadata(self.log()).map_or(0, |file| file.len())
    }

    async fn write(&self, number: u64) {
        write(&*self.storage, number).await;
    }

    /// Writes this often, and returns the largest log that was seen.
    async fn write_many(&self, writes: u64) -> u64 {
        let mut largest = 0;
        for number in 0..writes {
            self.write(number).await;
            if number % 16 == 0 {
                largest = self.log_bytes().max(largest);
            }
        }
        largest
    }

    fn remarks(&self) -> String {
        let mut check = on_sqlite(&["check", "--no-upgrade"]);
        check.env("DATABASE_PATH", self.folder.database());
        let (stdout, _) = run(&mut check, 0);
        stdout.lines().filter(|line| line.starts_with("remark")).collect()
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    name.into()
}

async fn write(storage: &dyn StorageService, number: u64) {
    let state = MessageState::new(format!("channel {}", number % 100), None, number.to_string(), number as i64);
    storage.upsert_message_state(&state).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_caller_who_never_stops_leaves_the_log_bounded() {
    let bot = Bot::start().await;
    let largest = bot.write_many(WRITES).await;
    assert!(largest > MEBIBYTE, "{largest}: the log was looked at while it was used");
    assert!(largest <= BOUND, "{largest}");
    assert_eq!(bot.remarks(), "");
    // All of it is there, also what the log was begun anew over.
    let found = bot.storage.get_message_state("channel 7", None).await.unwrap().unwrap();
    assert_eq!(found.last_message_id, ((WRITES - 8) / 100 * 100 + 7).to_string());
    bot.storage.close().await.unwrap();
}

#[test]
fn a_runtime_with_one_thread_bounds_it_too() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bot = Bot::start().await;
        let largest = bot.write_many(WRITES).await;
        assert!(largest > MEBIBYTE && largest <= BOUND, "{largest}");
        bot.storage.close().await.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_beside_readers_who_come_and_go_leave_it_bounded() {
    let bot = Arc::new(Bot::start().await);
    for number in 0..2000 {
        write(&*bot.storage, number).await;
    }
    let callers: Vec<_> = (0..24)
        .map(|caller| {
            let bot = Arc::clone(&bot);
            tokio::spawn(async move {
                let mut largest = 0;
                for number in 0..WRITES / 8 {
                    if caller < 16 {
                        bot.write(number * 16 + caller).await;
                    } else if number % 16 == 0 {
                        // A list takes a while, and another has begun before it ends.
                        bot.storage.get_message_states_within_window(Duration::from_secs(4_000_000_000)).await.unwrap();
                    }
                    largest = bot.log_bytes().max(largest);
                }
                largest
            })
        })
        .collect();
    let mut largest = 0;
    for caller in callers {
        largest = caller.await.unwrap().max(largest);
    }
    assert!(largest > MEBIBYTE && largest <= BOUND, "{largest}");
    bot.storage.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_reads_without_an_end_is_told_and_does_not_stop_writers() {
    let bot = Bot::start().await;
    bot.write_many(10).await;
    let reader = Locker::reading(&bot.folder.database()).unwrap();
    let mut number = 0;
    while bot.log_bytes() <= 2 * BOUND {
        bot.write(number).await;
        number += 1;
    }
    let remarks = bot.remarks();
    for part in ["the write-ahead log", "bot_state.db-wal", "MiB", "end that program"] {
        assert!(remarks.contains(part), "{part}: {remarks}");
    }
    if Path::new("/proc/locks").exists() {
        assert!(remarks.contains(&format!("process {} (cofferdam-test", reader.process())), "{remarks}");
    }
    // Whoever asks from inside the bot is told the same.
    assert_eq!(bot.storage.remarks().await.unwrap().len(), 1);
    reader.unlock().unwrap();
    until("the log is short again", PATIENCE, async || {
        bot.write(0).await;
        bot.log_bytes() <= BOUND
    })
    .await
    .unwrap();
    assert_eq!(bot.remarks(), "");
    let largest = bot.write_many(WRITES / 3).await;
    assert!(largest <= BOUND, "{largest}");
    bot.storage.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_somebody_left_is_shortened() {
    let bot = Bot::start().await;
    bot.write_many(10).await;
    let reader = Locker::reading(&bot.folder.database()).unwrap();
    while bot.log_bytes() <= 2 * BOUND {
        bot.write(0).await;
    }
    // Closing cannot copy what is read.
    bot.storage.close().await.unwrap();
    let other = sqlite_storage(&bot.folder.database(), Arc::new(cofferdam::clock::SystemClock)).unwrap();
    other.initialize().await.unwrap();
    write(&other, 1).await;
    assert!(bot.log_bytes() > 2 * BOUND);
    reader.unlock().unwrap();
    until("the log is short", PATIENCE, async || {
        write(&other, 2).await;
        bot.log_bytes() <= BOUND
    })
    .await
    .unwrap();
    other.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_a_spool_are_told_of_too() {
    let folder = SqliteFolder::new().unwrap();
    let spool = folder.path().join("spool");
    let mut config = sqlite_config(&folder.path().join("nowhere").join("bot_state.db"));
    config.resilience.spool =
        Some(cofferdam::config::SpoolConfig { path: spool.clone(), limit: cofferdam::config::SpoolConfig::LIMIT });
    // A spool that nobody reads: SQLite keeps its log short by itself.
    std::fs::write(folder.path().join("nowhere"), "a file, so that no database can be made there").unwrap();
    let storage = Arc::new(cofferdam::ResilientStorage::builder(config).build().unwrap());
    storage.initialize().await.unwrap();
    let largest = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let callers: Vec<_> = (0..64)
        .map(|caller| {
            let (storage, largest, log) = (Arc::clone(&storage), Arc::clone(&largest), beside(&spool, "-wal"));
            tokio::spawn(async move {
                for number in 0..100 {
                    write(&*storage, number * 64 + caller).await;
                    let bytes = std::fs::metadata(&log).map_or(0, |file| file.len());
                    largest.fetch_max(bytes, std::sync::atomic::Ordering::Relaxed);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let largest = largest.load(std::sync::atomic::Ordering::Relaxed);
    assert!(largest > 0 && largest <= BOUND, "{largest}");
    storage.close().await.unwrap();
    // As one has it that somebody reads for days; without a header SQLite takes nothing from it.
    std::fs::File::create(beside(&spool, "-wal")).unwrap().set_len(BOUND + 16 * MEBIBYTE).unwrap();
    let mut check = on_sqlite(&["check"]);
    check.env("DATABASE_PATH", folder.path().join("other.db")).env("COFFERDAM_SPOOL", &spool);
    let (stdout, _) = run(&mut check, 0);
    assert!(stdout.contains("remark") && stdout.contains("spool-wal has 84 MiB"), "{stdout}");
}
