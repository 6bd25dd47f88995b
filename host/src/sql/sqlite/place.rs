//! Whether a path still names the file that is open under it.
//!
//! SQLite goes on writing into a file that was removed or replaced: what it says is committed is in a file that nobody
//! can open any more. And a connection that is opened beside others on such a path can mix the log of the one file with
//! the other. So every commit is followed by a look at the path before anybody hears of it, and so is the opening of a
//! connection; where the path names something else all connections are closed before another is opened.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::files::FileId;
use crate::sql::error::{ErrorKind, Result, SqlError};
use crate::threads::lock;

/// How long readers trust a look at the path. A read takes some microseconds, of which a look would be a good part.
const TRUST: Duration = Duration::from_millis(100);

/// The files that a pool has open: the database, and its write-ahead log while there is one.
#[derive(Default)]
struct Files {
    database: Option<FileId>,
    log: Option<FileId>,
    /// Beside the database itself, where the path is a link to it.
    log_path: PathBuf,
    /// Whether the database was seen to have content, which it never loses by itself.
    has_content: bool,
}

/// The file of a path, and whether it has content.
fn seen(path: &Path) -> (Option<FileId>, bool) {
    let metadata = std::fs::metadata(path).ok();
    (metadata.as_ref().map(FileId::of), metadata.is_some_and(|metadata| metadata.len() > 0))
}

/// The path of a database, and the files that are open under it.
pub(super) struct Place {
    path: PathBuf,
    files: Mutex<Files>,
    /// Whether the path was seen to name something else, and connections are yet to be closed.
    lost: AtomicBool,
    /// Whether a backend had foreign keys not enforced here.
    unenforced: Arc<AtomicBool>,
    /// When readers look again: nanoseconds after `base`.
    next_look: AtomicU64,
    base: Instant,
}

impl Place {
    /// A path under which nothing is open yet.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            files: Mutex::default(),
            lost: AtomicBool::new(false),
            unenforced: Arc::default(),
            next_look: AtomicU64::new(0),
            base: Instant::now(),
        }
    }

    /// The database's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a backend had foreign keys not enforced here.
    pub fn is_unenforced(&self) -> &Arc<AtomicBool> {
        &self.unenforced
    }

    /// Whether a file is there at all.
    pub fn is_file(&self) -> bool {
        FileId::at(&self.path).is_some()
    }

    /// Whether the pool's connections have to be closed before another is opened.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Opens the first of the pool's connections by `open`: from then on the files that are there now are those that
    /// have to stay.
    pub fn settle<T>(&self, is_new: bool, open: impl FnOnce() -> Result<T>) -> Result<T> {
        let before = FileId::at(&self.path);
        let opened = open()?;
        let mut log = OsString::from(std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone()));
        log.push("-wal");
        let log_path = PathBuf::from(log);
        let (database, has_content) = seen(&self.path);
        let now = Files { database, log: FileId::at(&log_path), log_path, has_content };
        // Replaced while it was being opened: which of the two is open is not known.
        if now.database.is_none() || before != now.database && !(is_new && before.is_none()) {
            return Err(self.error());
        }
        *lock(&self.files) = now;
        self.lost.store(false, Ordering::Release);
        Ok(opened)
    }

    /// Opens another of the pool's connections by `open`, after a [`check`](Self::check).
    pub fn join<T>(&self, open: impl FnOnce() -> Result<T>) -> Result<T> {
        let opened = open();
        // Opened on a log that was removed meanwhile it may fail in any way.
        self.check()?;
        opened
    }

    /// Fails where the path names something else than what is open.
    pub fn check(&self) -> Result<()> {
        let mut files = lock(&self.files);
        let ((database, has_content), log) = (seen(&self.path), FileId::at(&files.log_path));
        // The log comes with the first write.
        files.log = files.log.or(log);
        if files.database == database && files.log == log && (has_content || !files.has_content) {
            files.has_content = has_content;
            return Ok(());
        }
        self.lost.store(true, Ordering::Release);
        Err(self.error())
    }

    /// Has a look where the last one was a while ago. `false` where the path names something else.
    pub fn look(&self, now: Instant) -> bool {
        let now = u64::try_from((now - self.base).as_nanos()).unwrap_or(u64::MAX);
        if now < self.next_look.load(Ordering::Relaxed) {
            return true;
        }
        self.next_look.store(now.saturating_add(TRUST.as_nanos() as u64), Ordering::Relaxed);
        self.check().is_ok()
    }

    /// Whether the file is there and has no content: what its log holds is then all that is left.
    pub fn is_emptied(&self) -> bool {
        matches!(seen(&self.path), (Some(_), false))
    }

    /// What happened to the file, and what to do.
    pub fn error(&self) -> SqlError {
        let path = self.path.display();
        let message = match seen(&self.path) {
            (Some(_), true) => format!(
                "the database file {path} or its log was removed or replaced while it was open: it is reopened; \
                 whether the last write took effect is unknown. Stop the host before replacing the file"
            ),
            (Some(_), false) => format!(
                "the database file {path} was emptied while it was open: whether the last writes took effect is unknown, and what \
                 is not in its log is lost. Stop the host, move the file and its log away, and restore a backup"
            ),
            (None, _) => format!(
                "the database file {path} was removed while it was open: put it back, or restart the host to begin \
                 with an empty one"
            ),
        };
        SqlError { code: Some("SQLITE_READONLY_DBMOVED".to_owned()), ..SqlError::new(ErrorKind::Unavailable, message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_followed_from_file_to_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a"), folder.path().join("b"));
        let place = Place::new(path.clone());
        assert!(place.settle(false, || Ok(())).is_err(), "there is no file");
        let create = || {
            std::fs::write(&path, "").unwrap();
            Ok(())
        };
        place.settle(true, create).unwrap();
        place.check().unwrap();
        // The log comes later, and stays.
        let log = folder.path().join("a-wal");
        std::fs::write(&log, "").unwrap();
        place.check().unwrap();
        std::fs::remove_file(&log).unwrap();
        assert!(place.check().is_err() && place.is_lost());
        place.settle(false, || Ok(())).unwrap();
        assert!(!place.is_lost());
        std::fs::write(&other, "").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(place.check().unwrap_err().kind, ErrorKind::Unavailable);
        place.settle(false, || Ok(())).unwrap();
        place.join(|| Ok(())).unwrap();
        std::fs::remove_file(&path).unwrap();
        let error = place.join(|| Ok(())).unwrap_err();
        assert!(error.message.contains("was removed"), "{error}");
    }

    #[test]
    fn readers_look_once_in_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "").unwrap();
        let place = Place::new(path.clone());
        place.settle(false, || Ok(())).unwrap();
        let now = Instant::now();
        assert!(place.look(now));
        std::fs::remove_file(&path).unwrap();
        assert!(place.look(now + TRUST / 2) && !place.is_lost());
        assert!(!place.look(now + TRUST * 2) && place.is_lost());
    }
}
