//! The thread that writes the spool. What arrives together is committed together, and acknowledged after that.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread::JoinHandle;

use tokio::sync::{Notify, oneshot};

use super::arriving::{Arrival, Arrivals};
use super::entry::{SpoolEntry, SpooledWrite};
use super::error::SpoolError;
use super::file::{self, SpoolFile};
use super::tables::{self, Content};
use super::times::Times;
use super::view::{Key, View};
use crate::config::SpoolConfig;
use crate::sql::sqlite::remark_on_log;
use crate::threads::lock;

/// The most orders that share a commit.
const BATCH: usize = 1024;

/// Commits between two looks at the length of the file's log, which SQLite keeps short unless somebody reads for long.
const LOOK: u64 = 4096;

/// What stands for the path of one that is not in a file.
const MEMORY: &str = ":memory:";

/// A spool that is open.
pub struct Journal {
    orders: Mutex<Option<mpsc::Sender<Order>>>,
    thread: Option<JoinHandle<()>>,
    view: Arc<Mutex<View>>,
    arrivals: Arc<Arrivals>,
    refused: Arc<Refused>,
    /// The greatest number that was given.
    last: Arc<AtomicI64>,
    times: Times,
    /// Writes have left the spool.
    left: Notify,
    path: PathBuf,
    damaged: Option<(PathBuf, u64)>,
}

/// Writes that the database refused: of each row the numbers.
#[derive(Default)]
struct Refused {
    count: AtomicUsize,
    rows: Mutex<HashMap<Key, Vec<i64>>>,
}

impl Refused {
    fn add(&self, entry: &SpoolEntry) {
        if let Some(key) = Key::of(&entry.write) {
            lock(&self.rows).entry(key).or_default().push(entry.sequence);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// The numbers of a row's.
    fn of(&self, key: &Key) -> Vec<i64> {
        match self.count.load(Ordering::Relaxed) {
            0 => Vec::new(),
            _ => lock(&self.rows).get(key).cloned().unwrap_or_default(),
        }
    }

    fn set(&self, entries: &[(SpoolEntry, String)]) {
        lock(&self.rows).clear();
        self.count.store(0, Ordering::Relaxed);
        entries.iter().for_each(|(entry, _)| self.add(entry));
    }
}

struct Order {
    work: Work,
    /// Of a write that is to be accepted.
    arrival: Option<Arrival>,
    answer: oneshot::Sender<Result<i64, SpoolError>>,
}

enum Work {
    Accept {
        write: SpooledWrite,
        accepted_at: i64,
    },
    Remove(Vec<i64>),
    Reject {
        sequence: i64,
        reason: String,
    },
    /// Forgets what was refused of a row, which has a later write.
    Forget(Key),
    /// Has what was refused wait again, and answers how many those are.
    Restore,
    /// Ends the thread, after all that was ordered before.
    Close,
}

impl Journal {
    /// Opens the file for this process alone. Blocks for the time of a few file accesses.
    pub fn open(config: &SpoolConfig) -> Result<Self, SpoolError> {
        let (file, content) = SpoolFile::open(&config.path)?;
        Self::over(file, content, Times::noted(file::notes(&config.path)), config)
    }

    /// One that ends with this process.
    pub fn in_memory(limit: usize) -> Result<Self, SpoolError> {
        let path = PathBuf::from(MEMORY);
        let file = SpoolFile::in_memory().map_err(|error| SpoolError::sqlite(&path, &error))?;
        Self::over(file, Content::default(), Times::noted(None), &SpoolConfig { path, limit })
    }

    fn over(file: SpoolFile, content: Content, times: Times, config: &SpoolConfig) -> Result<Self, SpoolError> {
        let refused = Arc::new(Refused::default());
        refused.set(&content.rejected);
        let last = Arc::new(AtomicI64::new(content.last));
        let view = Arc::new(Mutex::new(view_of(content)));
        let (orders, arriving) = mpsc::channel();
        let damaged = file.damaged.clone();
        let mut writer = Writer {
            file,
            view: view.clone(),
            refused: refused.clone(),
            last: last.clone(),
            path: config.path.clone(),
            limit: config.limit,
        };
        let thread = std::thread::Builder::new()
            .name("cofferdam-spool".into())
            .spawn(move || {
                let closing = writer.run(&arriving);
                drop(writer);
                // After the file is closed and its lock is free.
                closing.map(|answer| answer.send(Ok(0)));
            })
            .map_err(|error| SpoolError::io(&config.path, &error))?;
        Ok(Self {
            orders: Mutex::new(Some(orders)),
            thread: Some(thread),
            view,
            arrivals: Arc::default(),
            refused,
            last,
            times,
            left: Notify::new(),
            path: config.path.clone(),
            damaged,
        })
    }

    pub fn is_in_memory(&self) -> bool {
        self.path == Path::new(MEMORY)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a damaged file was put when this one was opened, and how many of its writes could not be read.
    pub fn damaged(&self) -> Option<&(PathBuf, u64)> {
        self.damaged.as_ref()
    }

    /// How many writes wait.
    pub fn depth(&self) -> usize {
        self.view().len()
    }

    /// How many writes the database refused for good.
    pub fn rejected(&self) -> usize {
        self.refused.count.load(Ordering::Relaxed)
    }

    /// The time that a write is given when the clock says `now`: see [`Times`].
    pub fn time(&self, now: i64) -> i64 {
        self.times.give(now, self.next())
    }

    /// The number that the next write gets.
    pub fn next(&self) -> i64 {
        self.last.load(Ordering::Relaxed) + 1
    }

    /// The order of what this host has written.
    pub fn times(&self) -> &Times {
        &self.times
    }

    /// Forgets what was refused of a row that the database has a later write of.
    pub async fn forget(&self, write: &SpooledWrite) -> Result<(), SpoolError> {
        match Key::of(write).filter(|key| !self.refused.of(key).is_empty()) {
            Some(key) => self.order(Work::Forget(key)).await.map(drop),
            None => Ok(()),
        }
    }

    /// Has everything wait again that the database has refused, but for rows that have a later write. Says how many those are.
    pub async fn restore(&self) -> Result<usize, SpoolError> {
        self.order(Work::Restore).await.map(|count| usize::try_from(count).unwrap_or_default())
    }

    pub fn view(&self) -> MutexGuard<'_, View> {
        lock(&self.view)
    }

    /// Accepts a write and gives it a number: once this succeeds it survives the end of the process and of the machine.
    pub async fn accept(&self, write: SpooledWrite, accepted_at: i64) -> Result<i64, SpoolError> {
        self.order(Work::Accept { write, accepted_at }).await
    }

    /// Whether a write may have to queue up behind another one.
    pub fn may_precede(&self) -> bool {
        !self.arrivals.is_empty() || self.depth() > 0
    }

    /// Whether a write to this row, or of this kind, has to queue up behind one that waits, or that arrives though its caller may
    /// have given it up.
    pub fn precedes(&self, write: &SpooledWrite) -> bool {
        // In this order: what arrives in between is found where it waits.
        self.arrivals.precedes(write) || self.view().precedes(write)
    }

    /// Waits until a write has left the spool, for the database or for a later write to its row.
    pub async fn until_left(&self, sequence: i64) {
        loop {
            let left = self.left.notified();
            if !self.view().holds(sequence) {
                return;
            }
            left.await;
        }
    }

    /// Removes writes that are in the database.
    pub async fn remove(&self, sequences: Vec<i64>) -> Result<(), SpoolError> {
        self.order(Work::Remove(sequences)).await?;
        self.left.notify_waiters();
        Ok(())
    }

    /// Puts a write aside that the database refuses for good.
    pub async fn reject(&self, sequence: i64, reason: String) -> Result<(), SpoolError> {
        self.order(Work::Reject { sequence, reason }).await?;
        self.left.notify_waiters();
        Ok(())
    }

    /// Closes the file after all that was ordered before. What comes later is refused.
    pub async fn close(&self) {
        let _ = self.order(Work::Close).await;
        lock(&self.orders).take();
    }

    async fn order(&self, work: Work) -> Result<i64, SpoolError> {
        let (answer, answered) = oneshot::channel();
        let arrival = match &work {
            Work::Accept { write, .. } => Some(self.arrivals.begin(write)),
            _ => None,
        };
        let order = Order { work, arrival, answer };
        let sent = lock(&self.orders).as_ref().is_some_and(|orders| orders.send(order).is_ok());
        let closed = || SpoolError::Unusable {
            path: self.path.clone(),
            kind: crate::ErrorKind::Unavailable,
            reason: "it is closed".into(),
        };
        if !sent {
            return Err(closed());
        }
        answered.await.unwrap_or_else(|_| Err(closed()))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Without orders the thread ends, after at most one commit; then another process may have the file.
        lock(&self.orders).take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn view_of(content: Content) -> View {
    let mut view = View::default();
    content.entries.into_iter().for_each(|entry| view.add(entry));
    view
}

struct Writer {
    file: SpoolFile,
    view: Arc<Mutex<View>>,
    refused: Arc<Refused>,
    last: Arc<AtomicI64>,
    path: PathBuf,
    limit: usize,
}

impl Writer {
    /// Works until it is told to close, and returns to whom that is to be answered, or until nobody is there any more.
    fn run(&mut self, arriving: &mpsc::Receiver<Order>) -> Option<oneshot::Sender<Result<i64, SpoolError>>> {
        let mut closing = None;
        let mut commits = 0_u64;
        while closing.is_none()
            && let Ok(first) = arriving.recv()
        {
            let mut batch = Vec::new();
            for order in std::iter::once(first).chain(arriving.try_iter().take(BATCH - 1)) {
                match order.work {
                    Work::Close => closing = Some(order.answer),
                    _ => batch.push(order),
                }
            }
            self.commit(batch);
            commits += 1;
            if commits.is_multiple_of(LOOK)
                && let Some(remark) = remark_on_log(&self.path)
            {
                tracing::warn!("{remark}");
            }
        }
        closing
    }

    /// Runs all orders in one transaction, and answers after its commit.
    fn commit(&self, batch: Vec<Order>) {
        let failed = |error: rusqlite::Error| SpoolError::of(&self.path, Some(&self.file.connection), &error);
        let mut answers = Vec::with_capacity(batch.len());
        let mut whole = self.file.begin().map_err(failed);
        for Order { work, arrival, answer } in batch {
            let result = match &whole {
                Ok(()) => self.perform(&mut lock(&self.view), work),
                Err(_) => Ok(0),
            };
            // Only now: it is found in the view.
            drop(arrival);
            match result {
                // May have left half of an order behind.
                Err(error @ SpoolError::Unusable { .. }) => {
                    whole = Err(error);
                    answers.push((answer, Ok(0)));
                }
                result => answers.push((answer, result)),
            }
        }
        if whole.is_ok() {
            whole = self.file.commit().map_err(failed);
        }
        let accepted = answers.iter().filter_map(|(_, result)| result.as_ref().ok().copied()).max();
        if whole.is_ok()
            && let Some(last) = accepted.filter(|last| *last > self.last.load(Ordering::Relaxed))
        {
            self.last.store(last, Ordering::Relaxed);
            self.file.note_last(last);
        }
        if whole.is_err() {
            self.file.roll_back();
            let mut view = lock(&self.view);
            *view = self.reload(std::mem::take(&mut view));
        }
        for (answer, result) in answers {
            let _ = answer.send(result.and_then(|sequence| whole.clone().map(|()| sequence)));
        }
    }

    /// What the file holds. Where it cannot be read, what it held: better too much than to forget a write.
    fn reload(&self, before: View) -> View {
        match tables::read_all(&self.file.connection) {
            Ok(content) => {
                self.refused.set(&content.rejected);
                view_of(content)
            }
            Err(error) => {
                tracing::error!(spool = %self.path.display(), %error, "the spool cannot be read");
                before
            }
        }
    }

    /// The number is that of an accepted write.
    fn perform(&self, view: &mut View, work: Work) -> Result<i64, SpoolError> {
        let failed = |error: rusqlite::Error| SpoolError::of(&self.path, Some(&self.file.connection), &error);
        match work {
            Work::Accept { write, accepted_at } => {
                let superseded = view.superseded(&write);
                if view.len() + 1 - superseded.len() > self.limit {
                    return Err(SpoolError::Full { path: self.path.clone(), limit: self.limit });
                }
                let replace = || {
                    if let Some(key) = Key::of(&write) {
                        self.forget(&key)?;
                    }
                    superseded.iter().try_for_each(|sequence| self.file.delete(*sequence))?;
                    self.file.add(&write, accepted_at)
                };
                let sequence = replace().map_err(failed)?;
                view.add(SpoolEntry { sequence, accepted_at, write });
                return Ok(sequence);
            }
            Work::Remove(sequences) => {
                for sequence in sequences {
                    self.file.delete(sequence).map_err(failed)?;
                    view.remove(sequence);
                }
            }
            Work::Reject { sequence, reason } => {
                self.file.reject(sequence, &reason).map_err(failed)?;
                if let Some(entry) = view.remove(sequence) {
                    self.refused.add(&entry);
                }
            }
            Work::Forget(key) => self.forget(&key).map_err(failed)?,
            Work::Restore => return self.restore(view).map_err(failed),
            Work::Close => {}
        }
        Ok(0)
    }

    fn forget(&self, key: &Key) -> rusqlite::Result<()> {
        for sequence in self.refused.of(key) {
            self.file.forget(sequence)?;
            self.refused.count.fetch_sub(1, Ordering::Relaxed);
        }
        lock(&self.refused.rows).remove(key);
        Ok(())
    }

    /// The limit does not count: these were in the spool before.
    fn restore(&self, view: &mut View) -> rusqlite::Result<i64> {
        let mut refused = Vec::new();
        tables::read_rejected(&self.file.connection, &mut refused)?;
        let mut restored = 0;
        for (entry, _) in refused {
            if view.has_later(&entry) {
                self.file.forget(entry.sequence)?;
                continue;
            }
            for earlier in view.superseded(&entry.write) {
                self.file.delete(earlier)?;
            }
            self.file.restore(entry.sequence)?;
            view.add(entry);
            restored += 1;
        }
        self.refused.set(&[]);
        Ok(restored)
    }
}
