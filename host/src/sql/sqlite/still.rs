//! Files that are read where nothing can be written.
//!
//! In write-ahead logging SQLite makes an index of the log beside the file, for reading too. On a read-only mount it cannot.
//! Where there is no log, all is in the file itself, and it can be read as one that nobody changes; whoever writes it
//! elsewhere makes a log first. So each result is followed by a look: as long as there is no log, and the file is what it
//! was, what was read is what it holds.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::files::{immutable_uri, with_suffix};
use crate::sql::error::{ErrorKind, Result, SqlError};

/// A file in write-ahead logging without a log, as it was when it was opened.
pub(super) struct Still {
    path: PathBuf,
    log: PathBuf,
    was: (u64, u64, u64, i64, i64),
}

impl Still {
    /// `None` where it has a log, or another way of logging.
    pub fn of(path: &Path) -> Option<Self> {
        let path = std::fs::canonicalize(path).ok()?;
        let mut head = [0; 20];
        File::open(&path).and_then(|mut file| file.read_exact(&mut head)).ok()?;
        // https://sqlite.org/fileformat2.html: the versions that are needed to write and to read it.
        if !head.starts_with(b"SQLite format 3\0") || head[18..] != [2, 2] {
            return None;
        }
        let was = state(&std::fs::metadata(&path).ok()?);
        let still = Self { log: with_suffix(&path, "-wal"), path, was };
        still.is_as_it_was().then_some(still)
    }

    /// By which SQLite opens it without locks and without a log.
    pub fn uri(&self) -> String {
        immutable_uri(&self.path)
    }

    /// Whether what was read until now is what the file holds.
    pub fn check(&self) -> Result<()> {
        if self.is_as_it_was() {
            return Ok(());
        }
        let path = self.path.display();
        let message =
            format!("the database file {path}, which is read-only here, was written elsewhere while it was read");
        Err(SqlError::new(ErrorKind::Unavailable, message))
    }

    fn is_as_it_was(&self) -> bool {
        !has_content(&self.log) && std::fs::metadata(&self.path).is_ok_and(|file| state(&file) == self.was)
    }
}

fn state(file: &Metadata) -> (u64, u64, u64, i64, i64) {
    (file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec())
}

fn has_content(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.len() > 0)
}

/// Whether an error can be that of a file that lies where nothing can be written.
pub(super) fn is_in_question(error: &SqlError) -> bool {
    let code = error.code.as_deref().unwrap_or_default();
    code.starts_with("SQLITE_CANTOPEN") || code.starts_with("SQLITE_READONLY")
}

/// Why a file cannot be read, and how to get at what is in it; `None` where it is for no such reason.
pub(super) fn why_unreadable(path: &Path, error: &SqlError) -> Option<&'static str> {
    if matches!(File::open(path), Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied) {
        return Some("cannot be read by this user: check its owner and mode");
    }
    if !is_in_question(error) || !path.is_file() {
        return None;
    }
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if has_content(&with_suffix(&real, "-journal")) {
        return Some(
            "has a hot rollback journal (the file -journal beside it), which cannot be rolled back by reading alone: \
             start the program that uses it, or copy both files to a writable folder, run `cofferdam check` on the \
             copy, and name the copy",
        );
    }
    if has_content(&with_suffix(&real, "-wal")) {
        return Some(
            "has rows in its write-ahead log (the file -wal beside it), which cannot be read in a read-only folder: \
             copy both files to a writable folder, and name the copy",
        );
    }
    Some("cannot be read in a read-only folder: copy it to a writable folder, and name the copy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_a_log_is_not_still_and_one_that_changes_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b%.db");
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE t (a)").unwrap();
        assert!(Still::of(&path).is_none(), "it has no write-ahead log");
        connection.execute_batch("PRAGMA journal_mode = WAL; INSERT INTO t VALUES (1)").unwrap();
        assert!(Still::of(&path).is_none(), "there is a log");
        drop(connection);
        let still = Still::of(&path).unwrap();
        assert!(still.uri().contains("/a%20b%25.db?immutable=1"), "{}", still.uri());
        still.check().unwrap();
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        still.check().unwrap_err();
        drop(connection);
        still.check().unwrap_err();
    }
}
