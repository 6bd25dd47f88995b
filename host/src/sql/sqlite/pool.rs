mod lease;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as StdInstant};

use rusqlite::wal::CheckpointMode;
use tokio::sync::{OwnedMutexGuard, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

pub(super) use self::lease::{Held, ReaderLease, WriterLease};
use super::codes;
use super::log::Log;
use super::others::{Others, busy_pause};
use super::pace::Pace;
use super::place::Place;
use super::queue::Queue;
use super::raw::{Raw, Role};
use crate::config::PoolConfig;
use crate::files::FileUse;
use crate::latency::Histogram;
use crate::sql::PoolStatus;
use crate::sql::error::{ErrorKind, Result, SqlError};
use crate::sql::gate::{self, Counted, Gate, Ticket};
use crate::sql::tally::Tally;
use crate::threads::{self, lock, run_slow};

/// One writer and several readers on one file.
///
/// The writer stays open until the pool is closed: it holds nothing that grows old, and closing it would take the
/// write-ahead log along. Readers come and go with the limits of the configuration.
pub(super) struct Pool {
    pub(super) place: Arc<Place>,
    config: PoolConfig,
    /// What its readers are: [`Role::Reader`], or [`Role::Observer`] where nothing may be written at all.
    readers: Role,
    /// What opens the writer again where it had to be closed.
    writes: Role,
    writer: Arc<tokio::sync::Mutex<Option<Raw>>>,
    writer_open: AtomicBool,
    permits: Arc<Semaphore>,
    idle: Mutex<VecDeque<Idle>>,
    /// Grows when the readers of before are not to be used any more.
    generation: AtomicU64,
    readers_open: AtomicUsize,
    /// Connections since the start.
    opened: AtomicU64,
    acquired: Histogram,
    waiting: Arc<AtomicUsize>,
    gate: Arc<Gate>,
    /// What is known of other processes that lock the file.
    pub(super) others: Others,
    /// Writes that wait for the next group.
    pub(super) queue: Queue,
    pub(super) tally: Tally,
    /// Of what a connection runs for one caller.
    pub(super) pace: Pace,
    /// Of commits for groups of callers.
    pub(super) group_pace: Pace,
    pub(super) log: Arc<Log>,
}

struct Idle {
    raw: Raw,
    since: StdInstant,
}

impl Pool {
    /// Opens the writer, and with it creates the file.
    pub fn open(path: PathBuf, config: PoolConfig, role: Role) -> Result<Self> {
        let log = Arc::<Log>::default();
        let place = Arc::new(Place::new(path));
        let writer = place.settle(true, || Raw::open(&place, role, true, &log))?;
        Ok(Self { writes: role, ..Self::with(place, config, Role::Reader, Some(writer), log) })
    }

    /// Opens a reader, to see that it can be read. There is never a writer.
    pub fn open_read_only(path: PathBuf, config: PoolConfig) -> Result<Self> {
        let log = Arc::<Log>::default();
        let place = Arc::new(Place::new(path));
        let reader = place.settle(false, || Raw::open(&place, Role::Observer, false, &log))?;
        let pool = Self::with(place, config, Role::Observer, None, log);
        pool.count_reader();
        pool.put_back(reader, 0);
        Ok(pool)
    }

    fn with(place: Arc<Place>, config: PoolConfig, readers: Role, writer: Option<Raw>, log: Arc<Log>) -> Self {
        Self {
            opened: AtomicU64::new(writer.is_some().into()),
            writer_open: AtomicBool::new(writer.is_some()),
            place,
            permits: Arc::new(Semaphore::new(self::readers(&config))),
            config,
            readers,
            writes: Role::Writer,
            writer: Arc::new(tokio::sync::Mutex::new(writer)),
            idle: Mutex::default(),
            generation: AtomicU64::new(0),
            readers_open: AtomicUsize::new(0),
            acquired: Histogram::default(),
            waiting: Arc::default(),
            gate: Arc::default(),
            others: Others::default(),
            queue: Queue::default(),
            tally: Tally::default(),
            pace: Pace::default(),
            group_pace: Pace::default(),
            log,
        }
    }

    fn count_reader(&self) {
        self.readers_open.fetch_add(1, Ordering::Relaxed);
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub fn status(&self) -> PoolStatus {
        let writer = usize::from(self.writer_open.load(Ordering::Relaxed));
        let writer_idle = if self.writer.try_lock().is_ok() { writer } else { 0 };
        let (groups, grouped) = self.tally.count();
        PoolStatus {
            max: readers(&self.config) + 1,
            open: self.readers_open.load(Ordering::Relaxed) + writer,
            idle: lock(&self.idle).len() + writer_idle,
            waiting: self.waiting.load(Ordering::Relaxed),
            groups,
            grouped,
            opened: self.opened.load(Ordering::Relaxed),
            acquired: self.acquired.latencies(),
        }
    }

    /// Refuses what came after [`close`](Self::close).
    pub fn check_open(&self) -> Result<()> {
        if self.gate.is_closed() { Err(self.closed_error()) } else { Ok(()) }
    }

    pub(super) fn path(&self) -> &Path {
        self.place.path()
    }

    fn closed_error(&self) -> SqlError {
        SqlError::new(ErrorKind::Unavailable, format!("the database {} is closed", self.path().display()))
    }

    /// Something that has to come back before the pool may close.
    pub fn ticket(&self) -> Ticket {
        self.gate.ticket()
    }

    /// Leases a reader.
    pub async fn reader(self: &Arc<Self>, deadline: Instant) -> Result<ReaderLease> {
        self.check_open()?;
        let now = StdInstant::now();
        if self.place.is_lost() || !self.place.look(now) {
            self.find_again(deadline).await?;
        }
        loop {
            let longest = self.config.acquire_timeout;
            let permit = gate::permit(&self.permits, &self.waiting, &self.acquired, deadline, longest, || {
                format!("{} reading connections to {}", readers(&self.config), self.path().display())
            })
            .await?
            .ok_or_else(|| self.closed_error())?;
            let generation = self.generation.load(Ordering::Acquire);
            let opened = match self.take_idle(now) {
                Some(raw) => Ok(raw),
                None => self.place.check().and_then(|()| {
                    let open = || Raw::open(&self.place, self.readers, false, &self.log);
                    let raw = run_slow(|| self.place.join(open))?;
                    self.count_reader();
                    Ok(raw)
                }),
            };
            let raw = match opened {
                Ok(raw) => raw,
                Err(_) if self.place.is_lost() && Instant::now() < deadline => {
                    // Whoever takes up the file again waits for the permits of all.
                    drop(permit);
                    self.find_again(deadline).await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let (pool, ticket) = (Arc::clone(self), self.ticket());
            return Ok(ReaderLease { raw: Some(raw), generation, pool, _ticket: ticket, _permit: permit });
        }
    }

    /// Takes up the file again after its path named another, or none.
    async fn find_again(self: &Arc<Self>, deadline: Instant) -> Result<()> {
        let guard = timeout_at(deadline, Arc::clone(&self.writer).lock_owned());
        let mut guard = guard.await.map_err(|_| self.waited_too_long())?;
        self.reopen(&mut guard, deadline).await
    }

    /// Opens the writer where it had to be closed, or where the path named another file or none: then all connections are
    /// closed first. Nothing is created.
    async fn reopen(&self, writer: &mut Option<Raw>, deadline: Instant) -> Result<()> {
        let lost = self.place.is_lost();
        // Somebody else may have been here in between.
        if !lost && (writer.is_some() || self.readers == Role::Observer) {
            return Ok(());
        }
        let _alone = if lost || self.place.check().is_err() {
            let alone = self.close_all(writer, deadline).await?;
            if !self.place.is_file() {
                return Err(self.place.error());
            }
            Some(alone)
        } else {
            None
        };
        if self.readers != Role::Observer {
            super::judged(self.path(), FileUse::Database)?;
        }
        // A pool that writes nothing opens no writer, not even to see whether the file is in order.
        let role = if self.readers == Role::Observer { Role::Observer } else { self.writes };
        let open = || Raw::open(&self.place, role, false, &self.log);
        let raw = run_slow(|| self.place.settle(false, open))?;
        if role == Role::Observer {
            self.count_reader();
            self.put_back(raw, self.generation.load(Ordering::Acquire));
        } else {
            *writer = Some(raw);
            self.writer_open.store(true, Ordering::Relaxed);
            self.opened.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Waits until nobody reads or copies the log, closes every connection, and keeps others from opening one as long as
    /// the result lives.
    ///
    /// A new connection beside an old one would share what SQLite keeps in memory about the file's log, and take the one
    /// log for the other.
    async fn close_all(
        &self,
        writer: &mut Option<Raw>,
        deadline: Instant,
    ) -> Result<(SemaphorePermit<'_>, OwnedMutexGuard<()>)> {
        self.retire_readers();
        let late = |_| SqlError::timeout("closing the connections to a file that was removed or replaced");
        let all = u32::try_from(readers(&self.config)).unwrap_or(u32::MAX);
        let readers = timeout_at(deadline, self.permits.acquire_many(all)).await.map_err(late)?;
        let readers = readers.map_err(|_| self.closed_error())?;
        let checkpoint = timeout_at(deadline, self.log.alone()).await.map_err(late)?;
        if let Some(raw) = writer.take() {
            self.writer_open.store(false, Ordering::Relaxed);
            tracing::warn!(path = %self.path().display(), "the database file or its log was removed or replaced");
            run_slow(|| self.bring_log_home(raw));
        }
        Ok((readers, checkpoint))
    }

    /// Copies the log of a lost file into it, whatever its name is now, and empties the log, which then does no harm to a
    /// file that took the place of the other.
    fn bring_log_home(&self, raw: Raw) {
        // Pages of the log alone make no database, and the log is all that is left.
        if self.place.is_emptied() {
            raw.keep_log();
            return;
        }
        if let Err(error) = raw.checkpoint(CheckpointMode::TRUNCATE, Duration::ZERO) {
            tracing::warn!(path = %self.path().display(), %error, "the log of a lost file was not checkpointed");
        }
    }

    /// Closes the readers that nobody uses, and the others when they come back.
    fn retire_readers(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        let idle = std::mem::take(&mut *lock(&self.idle));
        self.readers_open.fetch_sub(idle.len(), Ordering::Relaxed);
    }

    /// Takes the writer, waiting for those before.
    pub async fn writer(self: &Arc<Self>, deadline: Instant) -> Result<WriterLease> {
        self.check_open()?;
        let guard = match Arc::clone(&self.writer).try_lock_owned() {
            Ok(guard) => guard,
            Err(_) => {
                let _waiting = Counted::new(&self.waiting);
                match timeout_at(deadline, Arc::clone(&self.writer).lock_owned()).await {
                    Ok(guard) => guard,
                    Err(_) => return Err(self.waited_too_long()),
                }
            }
        };
        self.writer_lease(guard, deadline).await
    }

    /// The lock of the writer, for those who also wait for something else.
    pub fn writer_lock(&self) -> Arc<tokio::sync::Mutex<Option<Raw>>> {
        Arc::clone(&self.writer)
    }

    /// A lease of the writer by one who has the lock. Opens it again where it had to be closed.
    ///
    /// The first lease switches the file to write-ahead logging: not opening it, so that a file which the backend
    /// refuses keeps every byte.
    pub async fn writer_lease(
        self: &Arc<Self>,
        mut guard: OwnedMutexGuard<Option<Raw>>,
        deadline: Instant,
    ) -> Result<WriterLease> {
        self.check_open()?;
        if guard.is_none() || self.place.is_lost() {
            self.reopen(&mut guard, deadline).await?;
        }
        if self.log.is_due() {
            guard = self.log.begin_anew(&self.place, guard, deadline).await?;
        }
        let lease = WriterLease { guard, pool: Arc::clone(self), _ticket: self.ticket() };
        if lease.raw().is_some_and(|raw| !raw.is_logged().unwrap_or(false)) {
            return self.begin_log(lease, deadline).await;
        }
        Ok(lease)
    }

    /// Keeps this host's readers out while it waits for those of other processes, which may be many in turn.
    async fn begin_log(&self, lease: WriterLease, deadline: Instant) -> Result<WriterLease> {
        let all = u32::try_from(readers(&self.config)).unwrap_or(u32::MAX);
        let _readers = timeout_at(deadline, self.permits.acquire_many(all))
            .await
            .map_err(|_| SqlError::timeout("waiting for readers before the reset of the write-ahead log"))?
            .map_err(|_| self.closed_error())?;
        let mut pause = busy_pause();
        loop {
            match lease.raw().map_or(Ok(()), |raw| run_slow(|| raw.begin_log())) {
                Err(error) if codes::is_busy(&error) => {
                    let _blocked = self.others.block();
                    if !pause.wait(deadline).await {
                        return Err(self.busy());
                    }
                }
                result => {
                    // Those of before would open the log when they are next used, whatever is there then.
                    self.retire_readers();
                    return result.map(|()| lease);
                }
            }
        }
    }

    /// Counts one who waits.
    pub fn count_waiting(&self) -> Counted {
        Counted::new(&self.waiting)
    }

    /// Why the writer could not be had before the deadline.
    pub fn waited_too_long(&self) -> SqlError {
        if self.others.have_it_locked() {
            return self.busy();
        }
        SqlError::timeout("waiting for the write lock")
    }

    /// Another process kept the file locked until the deadline.
    pub fn busy(&self) -> SqlError {
        SqlError {
            code: Some("SQLITE_BUSY".to_owned()),
            ..SqlError::new(
                ErrorKind::Conflict,
                format!("another process kept {} locked until the deadline", self.path().display()),
            )
        }
    }

    fn take_idle(&self, now: StdInstant) -> Option<Raw> {
        // Closing a connection takes system calls, which nobody should wait for behind this lock.
        let mut expired = Vec::new();
        let mut idle = lock(&self.idle);
        let found = loop {
            match idle.pop_back() {
                Some(entry) if self.is_expired(&entry.raw, now) || self.is_idle_too_long(&entry, now) => {
                    expired.push(entry);
                }
                other => break other.map(|entry| entry.raw),
            }
        };
        drop(idle);
        self.readers_open.fetch_sub(expired.len(), Ordering::Relaxed);
        found
    }

    fn put_back(&self, raw: Raw, generation: u64) {
        let now = StdInstant::now();
        let clean = raw.clean();
        if raw.is_spoiled() {
            // The others would meet the same, each for itself.
            self.retire_readers();
        }
        let is_current = generation == self.generation.load(Ordering::Acquire);
        let keep = clean && is_current && !self.is_expired(&raw, now) && !self.gate.is_closed();
        let mut dropped = Vec::new();
        let mut idle = lock(&self.idle);
        if keep && idle.len() < self.config.max_idle {
            idle.push_back(Idle { raw, since: now });
        } else {
            dropped.push(raw);
        }
        while let Some(entry) = idle.pop_front_if(|entry| self.is_idle_too_long(entry, now)) {
            dropped.push(entry.raw);
        }
        drop(idle);
        self.readers_open.fetch_sub(dropped.len(), Ordering::Relaxed);
    }

    fn is_expired(&self, raw: &Raw, now: StdInstant) -> bool {
        now.duration_since(raw.opened()) > self.config.lifetime
    }

    fn is_idle_too_long(&self, idle: &Idle, now: StdInstant) -> bool {
        now.duration_since(idle.since) > self.config.idle_timeout
    }

    /// Refuses further leases, waits for those that are out until `deadline`, and closes the connections.
    pub async fn close(&self, deadline: Instant) {
        self.permits.close();
        self.gate.close(deadline).await;
        let readers = std::mem::take(&mut *lock(&self.idle));
        self.readers_open.fetch_sub(readers.len(), Ordering::Relaxed);
        drop(readers);
        self.queue.clear();
        let Ok(mut writer) = timeout_at(deadline, Arc::clone(&self.writer).lock_owned()).await else {
            return;
        };
        // A checkpoint of a large log takes long and cannot be interrupted: it ends by itself if the deadline comes.
        let running = timeout_at(deadline, self.log.alone()).await;
        if let Some(raw) = writer.take() {
            self.writer_open.store(false, Ordering::Relaxed);
            let path = self.path().to_owned();
            let last = threads::spawn(move || {
                if let Err(error) = raw.checkpoint(CheckpointMode::TRUNCATE, Duration::ZERO) {
                    tracing::debug!(path = %path.display(), %error, "the last checkpoint failed; opening makes up for \
                        it");
                }
                drop((raw, running));
            });
            let _ = timeout_at(deadline, last).await;
        }
    }
}

/// How many connections may read.
fn readers(config: &PoolConfig) -> usize {
    config.max_open.saturating_sub(1).clamp(1, Semaphore::MAX_PERMITS)
}
