//! The second copy of a spool, in a file beside it: what a disk does to one of them costs nothing.
//!
//! It is written in the same transactions as the spool, before a write is acknowledged, but not synced with each of them: it
//! survives the end of the process, and after the end of the machine it is whole as of a moment ago. Of two files that are
//! whole the spool counts.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::error::SpoolError;
use super::tables::{Content, create, keep_log, move_aside, read, remove};
use crate::files::with_suffix;

/// Where the copy of the spool at `path` is.
pub(super) fn of(path: &Path) -> PathBuf {
    with_suffix(path, "-copy")
}

/// What the copy holds, where it is whole and has all up to the number `last`.
pub(super) fn read_whole(path: &Path, last: i64) -> Option<Content> {
    match read(&of(path)) {
        Ok(found) => found.map(|(_, content)| content).filter(|content| content.is_whole(last)),
        Err(error) => {
            tracing::warn!(%error, "the copy of the spool cannot be read");
            None
        }
    }
}

/// The copy of a spool that is open, as long as it can be written.
pub(super) struct SpoolCopy(RefCell<Option<(Connection, PathBuf)>>);

impl SpoolCopy {
    /// None is kept.
    pub fn none() -> Self {
        Self(RefCell::new(None))
    }

    /// Opens the copy of the spool at `path`, and makes it anew where it is not what the spool holds. A spool without a copy
    /// works as well.
    pub fn beside(path: &Path, content: &Content) -> Self {
        let file = of(path);
        match open(&file, content) {
            Ok(connection) => Self(RefCell::new(Some((connection, file)))),
            Err(error) => {
                tracing::error!(%error, "{WITHOUT}");
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
            tracing::error!(error = %SpoolError::sqlite(&file, &error), "{WITHOUT}");
            // It would be taken for the copy of what the spool holds later.
            if let Err(error) = remove(&file) {
                tracing::error!(file = %file.display(), %error, "the file cannot be removed");
            }
        }
    }
}

fn open(file: &Path, content: &Content) -> Result<Connection, SpoolError> {
    let wrong = |error: rusqlite::Error| SpoolError::sqlite(file, &error);
    let is_same = |copied: &Content| {
        copied.unreadable == 0
            && (copied.last, &copied.entries, &copied.rejected) == (content.last, &content.entries, &content.rejected)
    };
    let failed = |error| SpoolError::io(file, &error);
    let connection = match read(file) {
        Ok(Some((connection, copied))) if is_same(&copied) => connection,
        Ok(None) => make(file, content)?,
        // As after the death of the process between two commits.
        Ok(Some((connection, copied)))
            if is_copy(&connection) && copied.unreadable == 0 && copied.last <= content.last =>
        {
            drop(connection);
            tracing::info!(file = %file.display(), "the copy of the spool is behind: it is rebuilt");
            remove(file).map_err(failed)?;
            make(file, content)?
        }
        // May be worth a look.
        found => {
            drop(found);
            if let Some(kept) = move_aside(file).map_err(failed)? {
                tracing::warn!(
                    file = %file.display(), kept = %kept.display(),
                    "the copy of the spool differs from the spool: it is rebuilt"
                );
            }
            make(file, content)?
        }
    };
    keep_log(&connection, false).map_err(wrong)?;
    connection.execute_batch("PRAGMA synchronous = NORMAL").map_err(wrong)?;
    Ok(connection)
}

/// In the header of a copy, so that it is told from a spool that somebody has copied there.
const APPLICATION: i64 = 0x636f_7079;

fn make(file: &Path, content: &Content) -> Result<Connection, SpoolError> {
    let connection = create(file, content)?;
    let marked = connection.execute_batch(&format!("PRAGMA application_id = {APPLICATION}"));
    marked.map_err(|error| SpoolError::sqlite(file, &error))?;
    Ok(connection)
}

fn is_copy(connection: &Connection) -> bool {
    connection.query_row("PRAGMA application_id", (), |row| row.get(0)).is_ok_and(|id: i64| id == APPLICATION)
}

const WITHOUT: &str = "the spool continues without its copy until it is reopened";
