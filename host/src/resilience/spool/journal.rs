//! The thread that writes the spool. What arrives together is committed together, and acknowledged after that.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use tokio::sync::{Notify, oneshot};

use super::entry::{SpoolEntry, SpooledWrite};
use super::error::SpoolError;
use super::file::SpoolFile;
use super::tables::{self, Content};
use super::view::View;
use crate::config::SpoolConfig;

/// The most orders that share a commit.
const BATCH: usize = 1024;

/// What stands for the path of one that is not in a file.
const MEMORY: &str = ":memory:";

/// A spool that is open.
pub struct Journal {
    orders: Mutex<Option<mpsc::Sender<Order>>>,
    thread: Option<JoinHandle<()>>,
    view: Arc<Mutex<View>>,
    rejected: Arc<AtomicUsize>,
    /// Writes have left the spool.
    left: Notify,
    path: PathBuf,
    damaged: Option<(PathBuf, u64)>,
}

struct Order {
    work: Work,
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
    /// Ends the thread, after all that was ordered before.
    Close,
}

impl Journal {
    /// Opens the file for this process alone. Blocks for the time of a few file accesses.
    pub fn open(config: &SpoolConfig) -> Result<Self, SpoolError> {
        let (file, content) = SpoolFile::open(&config.path)?;
        Self::over(file, content, config)
    }

    /// One that ends with this process.
    pub fn in_memory(limit: usize) -> Result<Self, SpoolError> {
        let path = PathBuf::from(MEMORY);
        let file = SpoolFile::in_memory().map_err(|error| SpoolError::sqlite(&path, &error))?;
        Self::over(file, Content::default(), &SpoolConfig { path, limit })
    }

    fn over(file: SpoolFile, content: Content, config: &SpoolConfig) -> Result<Self, SpoolError> {
        let rejected = Arc::new(AtomicUsize::new(content.rejected.len()));
        let view = Arc::new(Mutex::new(view_of(content)));
        let (orders, arriving) = mpsc::channel();
        let damaged = file.damaged.clone();
        let mut writer = Writer {
            file,
            view: view.clone(),
            rejected: rejected.clone(),
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
            rejected,
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
        self.rejected.load(Ordering::Relaxed)
    }

    pub fn view(&self) -> MutexGuard<'_, View> {
        lock(&self.view)
    }

    /// Accepts a write and gives it a number: once this succeeds it survives the end of the process and of the machine.
    pub async fn accept(&self, write: SpooledWrite, accepted_at: i64) -> Result<i64, SpoolError> {
        self.order(Work::Accept { write, accepted_at }).await
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
        let sent = lock(&self.orders).as_ref().is_some_and(|orders| orders.send(Order { work, answer }).is_ok());
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Writer {
    file: SpoolFile,
    view: Arc<Mutex<View>>,
    rejected: Arc<AtomicUsize>,
    path: PathBuf,
    limit: usize,
}

impl Writer {
    /// Works until it is told to close, and returns to whom that is to be answered, or until nobody is there any more.
    fn run(&mut self, arriving: &mpsc::Receiver<Order>) -> Option<oneshot::Sender<Result<i64, SpoolError>>> {
        let mut closing = None;
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
        }
        closing
    }

    /// Runs all orders in one transaction, and answers after its commit.
    fn commit(&self, batch: Vec<Order>) {
        let failed = |error: rusqlite::Error| SpoolError::sqlite(&self.path, &error);
        let mut answers = Vec::with_capacity(batch.len());
        let mut whole = self.file.begin().map_err(failed);
        for order in batch {
            let result = match &whole {
                Ok(()) => self.perform(&mut lock(&self.view), order.work),
                Err(_) => Ok(0),
            };
            match result {
                // May have left half of an order behind.
                Err(error @ SpoolError::Unusable { .. }) => {
                    whole = Err(error);
                    answers.push((order.answer, Ok(0)));
                }
                result => answers.push((order.answer, result)),
            }
        }
        if whole.is_ok() {
            whole = self.file.commit().map_err(failed);
        }
        let accepted = answers.iter().filter_map(|(_, result)| result.as_ref().ok().copied()).max();
        if whole.is_ok()
            && let Some(last @ 1..) = accepted
        {
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
            Ok(content) => view_of(content),
            Err(error) => {
                tracing::error!(spool = %self.path.display(), %error, "the spool cannot be read");
                before
            }
        }
    }

    /// The number is that of an accepted write.
    fn perform(&self, view: &mut View, work: Work) -> Result<i64, SpoolError> {
        let failed = |error: rusqlite::Error| SpoolError::sqlite(&self.path, &error);
        match work {
            Work::Accept { mut write, accepted_at } => {
                let superseded = view.superseded(&write);
                if view.len() + 1 - superseded.len() > self.limit {
                    return Err(SpoolError::Full { path: self.path.clone(), limit: self.limit });
                }
                let earlier = view.updated_at(&write);
                put_after(&mut write, earlier);
                let replace = || {
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
                view.remove(sequence);
                self.rejected.fetch_add(1, Ordering::Relaxed);
            }
            Work::Close => {}
        }
        Ok(0)
    }
}

/// Keeps the times of writes to one row from falling when the clock is set back: an older row would not replace a newer one.
fn put_after(write: &mut SpooledWrite, earlier: Option<i64>) {
    let Some(earlier) = earlier else { return };
    let updated_at = match write {
        SpooledWrite::State(state) => &mut state.updated_at,
        SpooledWrite::Ownership(ownership) => &mut ownership.updated_at,
        SpooledWrite::Cleanup { .. } => return,
    };
    *updated_at = (*updated_at).max(earlier);
}
