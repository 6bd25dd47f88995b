//! The second copy of a spool, in a file beside it: what a disk does to one of them costs nothing.
//!
//! It is written in the same transactions as the spool, before a write is acknowledged, but not synced with each of them: it
//! survives the end of the process, and after the end of the machine it is whole as of a moment ago. Of two files that are
//! whole the spool counts.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::error::SpoolError;
use super::file::{Content, Rejected, create, keep_log, put_into, read, read_rejected, with_suffix};

/// Where the copy of the spool at `path` is.
pub(super) fn of(path: &Path) -> PathBuf {
    with_suffix(path, "-copy")
}

/// What the copy holds, where it is whole and has all up to the number `last`, with the writes that the database refused.
pub(super) fn read_whole(path: &Path, last: i64) -> Result<Option<(Content, Rejected)>, SpoolError> {
    let path = of(path);
    match read(&path) {
        Ok(Some((connection, content))) if content.unreadable == 0 && content.last >= last => {
            let rejected = read_rejected(&connection).map_err(|error| SpoolError::sqlite(&path, &error))?;
            Ok(Some((content, rejected)))
        }
        Ok(_) => Ok(None),
        Err(error) => {
            tracing::warn!(%error, "the copy of the spool cannot be read");
            Ok(None)
        }
    }
}

/// The copy of a spool that is open, as long as it can be written.
pub(super) struct Copy(RefCell<Option<(Connection, PathBuf)>>);

impl Copy {
    /// None is kept.
    pub fn none() -> Self {
        Self(RefCell::new(None))
    }

    /// Opens the copy of the spool at `path`, and makes it anew where it is not what the spool is. A spool without a copy
    /// works as well.
    pub fn beside(path: &Path, spool: &Connection, content: &Content) -> Self {
        let file = of(path);
        match open(&file, spool, content) {
            Ok(connection) => Self(RefCell::new(Some((connection, file)))),
            Err(error) => {
                give_up(&file, &error);
                Self::none()
            }
        }
    }

    /// Does the same in the copy. One in which that fails is no copy any more.
    pub fn perform(&self, what: impl FnOnce(&Connection) -> rusqlite::Result<()>) {
        let mut copy = self.0.borrow_mut();
        if let Some((connection, _)) = &*copy
            && let Err(error) = what(connection)
            && let Some((connection, file)) = copy.take()
        {
            drop(connection);
            give_up(&file, &SpoolError::sqlite(&file, &error));
        }
    }
}

fn open(file: &Path, spool: &Connection, content: &Content) -> Result<Connection, SpoolError> {
    let wrong = |error: rusqlite::Error| SpoolError::sqlite(file, &error);
    let rejected = read_rejected(spool).map_err(wrong)?;
    let is_same = |connection: &Connection, copied: &Content| -> rusqlite::Result<bool> {
        let same = (copied.unreadable, copied.last, &copied.entries) == (0, content.last, &content.entries);
        Ok(same && read_rejected(connection)? == rejected)
    };
    let connection = match read(file) {
        Ok(Some((connection, copied))) if is_same(&connection, &copied).unwrap_or(false) => connection,
        found => {
            if !matches!(&found, Ok(None)) {
                // As after the death of the process between two commits, or where a disk has damaged it.
                tracing::warn!(file = %file.display(), "the copy of the spool is not what the spool is: it is made anew");
            }
            drop(found);
            remove(file).map_err(|error| SpoolError::io(file, &error))?;
            let connection = create(file)?;
            put_into(&connection, content, &rejected).map_err(wrong)?;
            connection
        }
    };
    keep_log(&connection, false).map_err(wrong)?;
    connection.execute_batch("PRAGMA synchronous = NORMAL").map_err(wrong)?;
    Ok(connection)
}

fn remove(file: &Path) -> std::io::Result<()> {
    for suffix in ["-wal", "-shm", ""] {
        match std::fs::remove_file(with_suffix(file, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// What is left of it would be taken for the copy of a later spool.
fn give_up(file: &Path, error: &SpoolError) {
    tracing::error!(%error, "the spool goes on without its copy until it is opened again");
    if let Err(error) = remove(file) {
        tracing::error!(file = %file.display(), %error, "the file cannot be removed");
    }
}
