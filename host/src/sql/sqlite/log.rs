//! The write-ahead log: how long it is, and when it is to be copied into the file and begun anew. `checkpoint.rs` does both.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::holders;
use crate::files::with_suffix;
use crate::threads::lock;

/// The most bytes of log before a writer waits for it to begin anew. Syncs of a disk are what that costs, and few of them are
/// shared by many writes.
pub(super) const MOST: usize = 64 << 20;

/// The pages after which a copy is due, as SQLite's own default.
pub(super) const COPY: usize = 1000;

/// SQLite's own size of a page.
const PAGE: usize = 4096;

/// How often is tried whether one who read for long has ended.
const AGAIN: Duration = Duration::from_secs(1);

/// The log of one file.
pub(super) struct Log {
    /// Its pages after the last commit.
    pub(super) pages: AtomicUsize,
    /// The pages that are [`MOST`].
    pub(super) most: AtomicUsize,
    /// The pages at the last copy's start.
    pub(super) copy_begun: AtomicUsize,
    /// The pages that the last copy has put into the file, where it was whole.
    pub(super) copied: AtomicUsize,
    /// The pages from which on a writer begins the log anew.
    pub(super) due: AtomicUsize,
    /// Who copies has it.
    pub(super) copying: Arc<tokio::sync::Mutex<()>>,
    /// Whether somebody who reads is in the way.
    pub(super) is_held: AtomicBool,
    pub(super) hold: Mutex<Hold>,
}

/// What is known of somebody who reads for long.
#[derive(Default)]
pub(super) struct Hold {
    pub(super) waits: u32,
    pub(super) tried: Option<Instant>,
    pub(super) told: Option<Instant>,
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

    pub(super) fn emptied(&self) {
        self.pages.store(0, Ordering::Relaxed);
        self.copy_begun.store(0, Ordering::Relaxed);
        self.copied.store(0, Ordering::Relaxed);
        self.due.store(self.early(), Ordering::Relaxed);
        self.is_held.store(false, Ordering::Relaxed);
        let mut hold = lock(&self.hold);
        *hold = Hold { told: hold.told, ..Hold::default() };
    }

    /// From here on it is worth the syncs, where a copy has just ended.
    pub(super) fn early(&self) -> usize {
        self.most.load(Ordering::Relaxed) / 4 * 3
    }

    pub(super) fn was_copied(&self, pages: usize, is_whole: bool) {
        let may_try = self.is_to_be_tried_again();
        let mut hold = lock(&self.hold);
        if !is_whole {
            self.is_held.store(true, Ordering::Relaxed);
            hold.tried = Some(Instant::now());
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

    pub(super) fn is_to_be_tried_again(&self) -> bool {
        self.is_held.load(Ordering::Relaxed) && lock(&self.hold).tried.is_none_or(|tried| tried.elapsed() >= AGAIN)
    }

    /// Whether it has grown so far that the next writer begins it anew.
    pub fn is_due(&self) -> bool {
        self.pages.load(Ordering::Relaxed) >= self.due.load(Ordering::Relaxed)
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
    let (log, index) = (with_suffix(&path, "-wal"), with_suffix(&path, "-shm"));
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
