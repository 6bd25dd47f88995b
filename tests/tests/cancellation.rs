//! Operations whose futures are dropped at any point leave nothing behind.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cofferdam::{MessageState, Storage, StorageService, ThreadOwnership, TransferService};
use cofferdam_tests::harness::mysql::MysqlServer;
use cofferdam_tests::harness::storage::Home;
use cofferdam_tests::harness::wait::until;
use mysql_async::prelude::Queryable;
use tokio::task::JoinHandle;

/// How often each operation is dropped, half by counting polls, half from another task.
const DROPS: u64 = 200;
const LOAD: usize = 4;
const IMPORTED: usize = 50;
/// How long a dropped operation's connection may take to come back, so that a test ends.
const SETTLING: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
enum Operation {
    GetState,
    UpsertState,
    GetAllStates,
    Window,
    HealthCheck,
    GetOwnership,
    UpsertOwnership,
    GetAllOwnerships,
    Cleanup,
    ExportStates,
    ImportStates,
    ExportOwnerships,
    ImportOwnerships,
}

impl Operation {
    const ALL: [Self; 13] = [
        Self::GetState,
        Self::UpsertState,
        Self::GetAllStates,
        Self::Window,
        Self::HealthCheck,
        Self::GetOwnership,
        Self::UpsertOwnership,
        Self::GetAllOwnerships,
        Self::Cleanup,
        Self::ExportStates,
        Self::ImportStates,
        Self::ExportOwnerships,
        Self::ImportOwnerships,
    ];

    /// The operation with a number that its rows bear, so that half a write can be told from a whole one.
    async fn run(self, storage: &Storage, number: u64) -> cofferdam::Result<()> {
        let seen = i64::try_from(number).unwrap_or(i64::MAX);
        let name = format!("dropped {number}");
        match self {
            Self::GetState => storage.get_message_state("load 0", None).await.map(drop),
            Self::UpsertState => {
                storage.upsert_message_state(&MessageState::new(&*name, Some(&name), &*name, seen)).await.map(drop)
            }
            Self::GetAllStates => storage.get_all_message_states().await.map(drop),
            Self::Window => storage.get_message_states_within_window(Duration::from_secs(300)).await.map(drop),
            Self::HealthCheck => storage.health_check().await,
            Self::GetOwnership => storage.get_thread_ownership("load 0").await.map(drop),
            Self::UpsertOwnership => {
                storage.upsert_thread_ownership(&ThreadOwnership::new(&*name, &*name, &*name, i64::MAX)).await.map(drop)
            }
            Self::GetAllOwnerships => storage.get_all_thread_ownerships().await.map(drop),
            Self::Cleanup => storage.cleanup_old_thread_ownerships(Duration::from_secs(3600)).await.map(drop),
            Self::ExportStates => storage.export_message_states(None, 100).await.map(drop),
            Self::ImportStates => {
                let row = |thread: usize| MessageState {
                    updated_at: seen,
                    ..MessageState::new(format!("import {number}"), Some(&thread.to_string()), &*name, seen)
                };
                storage.import_message_states(&(0..IMPORTED).map(row).collect::<Vec<_>>()).await.map(drop)
            }
            Self::ExportOwnerships => storage.export_thread_ownerships(None, 100).await.map(drop),
            Self::ImportOwnerships => {
                let user = format!("import {number}");
                let row = |row: usize| ThreadOwnership::new(format!("{user} {row}"), &*user, "bot", i64::MAX);
                storage.import_thread_ownerships(&(0..IMPORTED).map(row).collect::<Vec<_>>()).await.map(drop)
            }
        }
    }
}

/// Polls a future so many times, whenever it is woken, and then drops it. Whether it came to its end.
struct PolledAtMost<F> {
    future: Option<Pin<Box<F>>>,
    left: u64,
}

impl<F: Future> Future for PolledAtMost<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let Some(future) = self.future.as_mut() else { return Poll::Ready(None) };
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        self.left -= 1;
        if self.left == 0 {
            self.future = None;
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

impl<F> Unpin for PolledAtMost<F> {}

/// Numbers that look random and are the same in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Runs what `operation` makes and drops it half-way; an error of one that came to its end counts.
async fn drop_half_way<F>(numbers: &mut Numbers, number: u64, operation: F) -> Result<()>
where
    F: Future<Output = cofferdam::Result<()>> + Send + 'static,
{
    if number.is_multiple_of(2) {
        let polls = PolledAtMost { future: Some(Box::pin(operation)), left: 1 + numbers.below(12) };
        if let Some(outcome) = polls.await {
            outcome?;
        }
    } else {
        let task = tokio::spawn(operation);
        // Shorter than a timer of the runtime can be; which point it hits is left to chance.
        let (started, pause) = (Instant::now(), Duration::from_micros(numbers.below(800)));
        while started.elapsed() < pause {
            tokio::task::yield_now().await;
        }
        task.abort();
        match task.await {
            Ok(outcome) => outcome?,
            Err(error) => ensure!(error.is_cancelled(), "an operation panicked: {error}"),
        }
    }
    Ok(())
}

/// Other users of the storage, who must notice nothing.
struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Result<(String, u64)>>>,
}

impl Load {
    fn start(storage: &Arc<Storage>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = (0..LOAD)
            .map(|task| {
                let (storage, stop) = (storage.clone(), stop.clone());
                tokio::spawn(async move {
                    let (name, mut number) = (format!("load {task}"), 0_u64);
                    while !stop.load(Ordering::Relaxed) {
                        number += 1;
                        let message = number.to_string();
                        storage.upsert_message_state(&MessageState::new(&*name, None, &*message, 1)).await?;
                        let row = storage.get_message_state(&name, None).await?;
                        let stored = row.map(|row| row.last_message_id);
                        ensure!(stored.as_deref() == Some(&message), "{name} wrote {message} and read {stored:?}");
                        storage.upsert_thread_ownership(&ThreadOwnership::new(&*name, &*message, "bot", 1)).await?;
                        storage.get_message_states_within_window(Duration::from_secs(1)).await?;
                        tokio::task::yield_now().await;
                    }
                    Ok((name, number))
                })
            })
            .collect();
        Self { stop, tasks }
    }

    async fn stop(self) -> Result<Vec<(String, u64)>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut last = Vec::new();
        for task in self.tasks {
            last.push(task.await?.context("another user of the storage")?);
        }
        Ok(last)
    }
}

async fn pool_is_whole(storage: &Storage) -> Result<()> {
    until("every connection is back in its pool", SETTLING, async || {
        storage.status().pool.is_some_and(|pool| pool.open == pool.idle && pool.open <= pool.max && pool.waiting == 0)
    })
    .await
    .with_context(|| format!("{:?}", storage.status()))
}

async fn no_transaction_is_open(home: &Home) -> Result<()> {
    match home {
        Home::Sqlite(folder) => {
            let path = folder.database();
            until("no transaction is open", SETTLING, async || {
                let Ok(connection) = rusqlite::Connection::open(&path) else { return false };
                // The first fails while somebody writes; the second says 1 while somebody reads or writes.
                connection.busy_timeout(Duration::ZERO).is_ok()
                    && connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok()
                    && connection
                        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
                        .is_ok_and(|busy| busy == 0)
            })
            .await
        }
        Home::Mysql(database) => {
            let mut connection = MysqlServer::shared().await?.administrator().await?;
            let open = "SELECT CONCAT_WS(' ', p.id, p.command, p.time, p.state, p.info, t.trx_state, t.trx_started, NOW()) \
                        FROM information_schema.innodb_trx t \
                        JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id WHERE p.db = ?";
            let name = database.config().database;
            let mut last = None;
            until("no transaction is open", SETTLING, async || {
                // InnoDB takes a new look only where a tenth of a second has passed since the table was last read.
                tokio::time::sleep(Duration::from_millis(110)).await;
                last = Some(connection.exec::<String, _, _>(open, (&name,)).await);
                matches!(&last, Some(Ok(open)) if open.is_empty())
            })
            .await
            .with_context(|| format!("the server says {last:?}"))?;
            Ok(connection.disconnect().await?)
        }
    }
}

/// Every write is there as a whole or not at all.
async fn data_is_consistent(storage: &Storage, load: &[(String, u64)]) -> Result<()> {
    let mut imports: BTreeMap<String, usize> = BTreeMap::new();
    for row in storage.get_all_message_states().await? {
        if row.channel_id.starts_with("import ") {
            *imports.entry(row.channel_id).or_default() += 1;
        } else if let Some(number) = row.channel_id.strip_prefix("dropped ") {
            assert_eq!(row.last_message_id, row.channel_id);
            assert_eq!(row.last_seen_timestamp.to_string(), number);
        }
    }
    for row in storage.get_all_thread_ownerships().await? {
        if row.original_user_id.starts_with("import ") {
            *imports.entry(format!("ownerships {}", row.original_user_id)).or_default() += 1;
        } else if row.thread_id.starts_with("dropped ") {
            assert_eq!((&row.original_user_id, &row.created_by), (&row.thread_id, &row.thread_id));
        }
    }
    for (import, rows) in imports {
        assert_eq!(rows, IMPORTED, "{import} is there in part");
    }
    for (name, number) in load {
        let row = storage.get_message_state(name, None).await?;
        assert_eq!(row.map(|row| row.last_message_id), Some(number.to_string()), "{name}");
    }
    Ok(())
}

async fn drop_everything(home: Home) -> Result<()> {
    let storage = home.open().await?;
    let (mut numbers, mut number) = (Numbers(0x9e37_79b9_7f4a_7c15), 0);
    for operation in Operation::ALL {
        let load = Load::start(&storage);
        for _ in 0..DROPS {
            number += 1;
            let storage = storage.clone();
            drop_half_way(&mut numbers, number, async move { operation.run(&storage, number).await })
                .await
                .with_context(|| format!("{operation:?}"))?;
        }
        let last = load.stop().await.with_context(|| format!("while {operation:?} was dropped"))?;
        pool_is_whole(&storage).await.with_context(|| format!("after {operation:?} was dropped"))?;
        no_transaction_is_open(&home).await.with_context(|| format!("after {operation:?} was dropped"))?;
        data_is_consistent(&storage, &last).await?;
        for further in Operation::ALL {
            number += 1;
            further.run(&storage, number).await.with_context(|| format!("{further:?} after {operation:?}"))?;
        }
    }
    storage.close().await?;
    Ok(())
}

async fn drop_opening_and_closing(home: Home) -> Result<()> {
    let storage = home.open().await?;
    storage.upsert_message_state(&MessageState::new("c", None, "m", 1)).await?;
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    for number in 0..DROPS {
        let closing = storage.clone();
        drop_half_way(&mut numbers, number, async move { closing.close().await }).await.context("close")?;
        let opening = storage.clone();
        // The parity decides how it is dropped; of both operations, both ways.
        drop_half_way(&mut numbers, number / 2, async move { opening.initialize().await })
            .await
            .context("initialize")?;
    }
    storage.initialize().await?;
    let row = storage.get_message_state("c", None).await?;
    assert_eq!(row.map(|row| row.last_message_id).as_deref(), Some("m"));
    for operation in Operation::ALL {
        operation.run(&storage, 1).await.with_context(|| format!("{operation:?}"))?;
    }
    pool_is_whole(&storage).await?;
    no_transaction_is_open(&home).await?;
    storage.close().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dropped_operations_leave_nothing_behind_on_sqlite() -> Result<()> {
    drop_everything(Home::sqlite()?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dropped_operations_leave_nothing_behind_on_mysql() -> Result<()> {
    drop_everything(Home::mysql().await?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_dropped_initialize_or_close_can_be_repeated_on_sqlite() -> Result<()> {
    drop_opening_and_closing(Home::sqlite()?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_dropped_initialize_or_close_can_be_repeated_on_mysql() -> Result<()> {
    drop_opening_and_closing(Home::mysql().await?).await
}
