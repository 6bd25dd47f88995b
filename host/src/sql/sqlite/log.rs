//! The write-ahead log: copied into the file in the background, and begun anew before it grows without end.
//!
//! A copy goes on beside the writer, so that there is always something in the log that it has not seen, and SQLite begins
//! the log anew only where there is nothing. So the next writer of a log that has grown copies the rest, which is little
//! where a copy has just ended, and begins anew. It has the writer's turn meanwhile, and holds no thread of the runtime.
//!
//! SQLite cannot do that while somebody reads what was before the copy. Who does so for long makes the log grow: writers
//! wait for him a moment, once for each time that it doubles, and go on.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as StdInstant};

use rusqlite::wal::CheckpointMode;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, timeout_at};

use super::codes;
use super::holders;
use super::place::Place;
use super::pool::lock;
use super::raw::{Raw, Role};
use crate::sql::error::{ErrorKind, Result, SqlError};
use crate::threads;

/// The most bytes of log before a writer waits for it to begin anew. Syncs of a disk are what that costs, and few of them are
/// shared by many writes.
pub(super) const MOST: usize = 64 << 20;

/// The pages after which a copy is due, as SQLite's own default.
const COPY: usize = 1000;

/// SQLite's own size of a page.
const PAGE: usize = 4096;

/// The longest that a writer waits for a copy that is under way, on a disk that does not keep up.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long writers wait for somebody who reads, the first time and the last.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(1);

/// How often is tried whether one who read for long has ended.
const AGAIN: Duration = Duration::from_secs(1);

/// How often it is told that somebody reads for too long.
const TELL: Duration = Duration::from_secs(600);

type Writer = OwnedMutexGuard<Option<Raw>>;

/// The log of one file.
pub(super) struct Log {
    /// Its pages after the last commit.
    pages: AtomicUsize,
    /// The pages that are [`MOST`].
    most: AtomicUsize,
    /// The pages at the last copy's start.
    copy_begun: AtomicUsize,
    /// The pages that the last copy has put into the file, where it was whole.
    copied: AtomicUsize,
    /// The pages from which on a writer begins the log anew.
    due: AtomicUsize,
    /// Who copies has it.
    copying: Arc<tokio::sync::Mutex<()>>,
    /// Whether somebody who reads is in the way.
    is_held: AtomicBool,
    hold: Mutex<Hold>,
}

/// What is known of somebody who reads for long.
#[derive(Default)]
struct Hold {
    waits: u32,
    tried: Option<StdInstant>,
    told: Option<StdInstant>,
}

impl Default for Log {
    fn default() -> Self {
        let log = Self {
            pages: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            copy_begun: AtomicUsize::new(0),
            copied: AtomicUsize::new(0),
            due: AtomicUsize::new(0),
            copying: Arc::default(),
            is_held: AtomicBool::new(false),
            hold: Mutex::default(),
        };
        log.opened(PAGE);
        log
    }
}

impl Log {
    /// A writer has opened the file, whose pages have this many bytes.
    pub fn opened(&self, page: usize) {
        self.most.store((MOST / page.max(1)).max(COPY), Ordering::Relaxed);
        self.emptied();
    }

    /// A commit has left this many pages in it.
    pub fn grown(&self, pages: usize) {
        self.pages.store(pages, Ordering::Relaxed);
    }

    fn emptied(&self) {
        self.pages.store(0, Ordering::Relaxed);
        self.copy_begun.store(0, Ordering::Relaxed);
        self.copied.store(0, Ordering::Relaxed);
        self.due.store(self.early(), Ordering::Relaxed);
        self.is_held.store(false, Ordering::Relaxed);
        let mut hold = lock(&self.hold);
        *hold = Hold { told: hold.told, ..Hold::default() };
    }

    /// From here on it is worth the syncs, where a copy has just ended.
    fn early(&self) -> usize {
        self.most.load(Ordering::Relaxed) / 4 * 3
    }

    /// Waits for the copy that is under way, and keeps others from beginning one.
    pub fn alone(&self) -> impl Future<Output = OwnedMutexGuard<()>> + use<> {
        Arc::clone(&self.copying).lock_owned()
    }

    /// Starts a copy where one is due, on a thread where it holds up nobody.
    pub fn copy_if_due(self: &Arc<Self>, place: &Arc<Place>) {
        let pages = self.pages.load(Ordering::Relaxed);
        // The log began anew, or has grown as much again since the last copy, which a long reader can keep from finishing.
        let last = self.copy_begun.load(Ordering::Relaxed);
        let last = if pages < last {
            self.copied.store(0, Ordering::Relaxed);
            0
        } else {
            last
        };
        if pages < last + COPY && !self.is_to_be_tried_again() {
            return;
        }
        let Ok(alone) = Arc::clone(&self.copying).try_lock_owned() else { return };
        self.copy_begun.store(pages, Ordering::Relaxed);
        let (log, place) = (Arc::clone(self), Arc::clone(place));
        // Where there is no thread for it the next writer does it.
        let begun = threads::try_spawn(move || {
            let _alone = alone;
            let copied = place
                .check()
                .and_then(|()| place.join(|| Raw::open(&place, Role::Checkpointer, false, &log)))
                .and_then(|raw| raw.checkpoint(CheckpointMode::PASSIVE, Duration::ZERO));
            match copied {
                Ok(is_whole) => log.was_copied(pages, is_whole),
                Err(error) => tracing::debug!(
                    path = %place.path().display(), %error, "a checkpoint failed; the next one makes up for it"
                ),
            }
        });
        drop(begun);
    }

    fn was_copied(&self, pages: usize, is_whole: bool) {
        let may_try = self.is_to_be_tried_again();
        let mut hold = lock(&self.hold);
        if !is_whole {
            self.is_held.store(true, Ordering::Relaxed);
            hold.tried = Some(StdInstant::now());
            return;
        }
        self.copied.store(pages, Ordering::Relaxed);
        if hold.waits == 0 {
            self.is_held.store(false, Ordering::Relaxed);
        } else if may_try {
            // Whoever was in the way has gone on.
            self.due.store(self.early(), Ordering::Relaxed);
        }
    }

    fn is_to_be_tried_again(&self) -> bool {
        self.is_held.load(Ordering::Relaxed) && lock(&self.hold).tried.is_none_or(|tried| tried.elapsed() >= AGAIN)
    }

    /// Whether it has grown so far that the next writer begins it anew.
    pub fn is_due(&self) -> bool {
        self.pages.load(Ordering::Relaxed) >= self.due.load(Ordering::Relaxed)
    }

    /// Begins the log anew, where it costs little or cannot wait: by the writer of this lock, which is given back.
    pub async fn begin_anew(self: &Arc<Self>, place: &Arc<Place>, writer: Writer, deadline: Instant) -> Result<Writer> {
        let pages = self.pages.load(Ordering::Relaxed);
        let alone = if pages < self.most.load(Ordering::Relaxed) {
            // There is time yet to wait for the moment at which it costs the least.
            let is_little_left = pages.saturating_sub(self.copied.load(Ordering::Relaxed)) < COPY;
            Arc::clone(&self.copying).try_lock_owned().ok().filter(|_| is_little_left)
        } else {
            timeout_at(deadline.min(Instant::now() + PATIENCE), self.alone()).await.ok()
        };
        let Some(alone) = alone else { return Ok(writer) };
        let (log, place) = (Arc::clone(self), Arc::clone(place));
        let task = threads::spawn(move || {
            let _alone = alone;
            if let Some(raw) = &*writer {
                log.empty(raw, place.path());
            }
            writer
        });
        let late = |_| SqlError::timeout("waiting for a checkpoint of the write-ahead log");
        let ended = |_| SqlError::new(ErrorKind::Other, "the thread of the checkpoint ended early");
        timeout_at(deadline, task).await.map_err(late)?.map_err(ended)
    }

    fn empty(&self, raw: &Raw, path: &Path) {
        let pages = self.pages.load(Ordering::Relaxed);
        let most = self.most.load(Ordering::Relaxed);
        let waits = lock(&self.hold).waits;
        let is_doubled = waits == 0 || pages >= self.due.load(Ordering::Relaxed) && pages >= most;
        let wait = if is_doubled { FIRST_WAIT.saturating_mul(1 << waits.min(8)).min(LAST_WAIT) } else { FIRST_WAIT };
        // The file is cut where somebody made it grow beyond what is usual; else its blocks are written again.
        let mode = if pages > 2 * most { CheckpointMode::TRUNCATE } else { CheckpointMode::RESTART };
        let started = StdInstant::now();
        match raw.checkpoint(mode, wait) {
            Ok(_) => {
                let microseconds = started.elapsed().as_micros();
                tracing::debug!(path = %path.display(), pages, microseconds, "the write-ahead log was reset");
                if pages > 2 * most {
                    tracing::info!(path = %path.display(), "the write-ahead log is short again");
                }
                self.emptied();
            }
            Err(error) => {
                self.due.store(pages.saturating_mul(2), Ordering::Relaxed);
                self.is_held.store(true, Ordering::Relaxed);
                let mut hold = lock(&self.hold);
                hold.waits += 1;
                hold.tried = Some(StdInstant::now());
                if !codes::is_busy(&error) {
                    tracing::debug!(path = %path.display(), %error, "the write-ahead log was not reset");
                } else if pages >= most && hold.told.is_none_or(|told| told.elapsed() >= TELL) {
                    hold.told = Some(StdInstant::now());
                    drop(hold);
                    if let Some(remark) = remark(path) {
                        tracing::warn!("{remark}");
                    }
                }
            }
        }
    }
}

/// The bytes of log that are kept for the next writes, of pages of this size.
pub(super) fn most_bytes(page: usize) -> usize {
    // Each page has a header of 24 bytes there.
    MOST / page.max(1) * (page + 24) + 32
}

/// What an operator should know of the write-ahead log of the SQLite file at this path: that it is longer than it should be, and
/// who keeps it so.
pub fn remark(path: &Path) -> Option<String> {
    let path = std::fs::canonicalize(path).ok()?;
    let beside = |suffix: &str| {
        let mut name = path.clone().into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    };
    let (log, index) = (beside("-wal"), beside("-shm"));
    let bytes = std::fs::metadata(&log).ok()?.len();
    // A large transaction may go beyond for a while.
    if bytes <= MOST as u64 + (MOST / 8) as u64 {
        return None;
    }
    let holders = holders::of(&index);
    let who = match &*holders {
        [] => "programs on other machines or in other containers are not visible from here".to_owned(),
        _ => format!("{} reads it now", holders.join(", ")),
    };
    Some(format!(
        "the write-ahead log {} has {} MiB, since a program with an open read transaction keeps it from being reset: \
         end that program ({who}); the next writes truncate the log",
        log.display(),
        bytes >> 20,
    ))
}
