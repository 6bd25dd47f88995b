//! The write-ahead log: copied into the file in the background, and begun anew before it grows without end.
//!
//! A copy goes on beside the writer, so that there is always something in the log that it has not seen, and SQLite begins
//! the log anew only where there is nothing. So the next writer of a log that has grown copies the rest, which is little
//! where a copy has just ended, and begins anew. It has the writer's turn meanwhile, and holds no thread of the runtime.
//!
//! SQLite cannot do that while somebody reads what was before the copy. Who does so for long makes the log grow: writers
//! wait for him a moment, once for each time that it doubles, and go on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant as StdInstant};

use rusqlite::wal::CheckpointMode;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, timeout_at};

use super::codes;
use super::log::{COPY, Log, remark};
use super::place::Place;
use super::raw::{Raw, Role};
use crate::sql::error::{ErrorKind, Result, SqlError};
use crate::threads::{self, lock};

/// The longest that a writer waits for a copy that is under way, on a disk that does not keep up.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long writers wait for somebody who reads, the first time and the last.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(1);

/// How often it is told that somebody reads for too long.
const TELL: Duration = Duration::from_secs(600);

type Writer = OwnedMutexGuard<Option<Raw>>;

impl Log {
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
