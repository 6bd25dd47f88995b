//! Why SQLite does not open a file, or must not: it says so in one code for everything.

use std::path::Path;

use rustix::fs::{Access, access};

use crate::files::{Whereabouts, of_sqlite};
use crate::sql::error::{ErrorKind, Result, SqlError};

/// Refuses a file that has lost its content and has a log. SQLite would take that for a forgotten one, and remove it.
pub(super) fn judge(path: &Path) -> Result<()> {
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    if !std::fs::metadata(path).is_ok_and(|file| file.len() == 0) {
        return Ok(());
    }
    match of_sqlite(path).get(1).map(|log| (length(log), log)) {
        Some((bytes @ 1.., log)) => Err(SqlError::new(
            ErrorKind::CorruptData,
            format!(
                "the database file {} is empty, but its log {} has {bytes} bytes: something has emptied the file. Move both away \
                 and keep them, and restore a backup without a log",
                path.display(),
                log.display()
            ),
        )),
        _ => Ok(()),
    }
}

/// What keeps a file from being opened for writing, where the system tells more than SQLite does. It may pass all the same: a volume comes
/// late, a disk is mounted again.
pub(super) fn explain(path: &Path, error: &SqlError) -> Option<SqlError> {
    if !error.code.as_deref().is_some_and(|code| code.starts_with("SQLITE_CANTOPEN")) {
        return None;
    }
    let there = Whereabouts::of(path);
    if path.is_symlink() && !there.exists() {
        let target = there.path();
        let message = format!(
            "the database file {} is a link to {}, which is not there and cannot be made: make it, or name another file",
            path.display(),
            target.display()
        );
        return Some(SqlError { message, ..error.clone() });
    }
    let real = there.path();
    let folder = real.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for place in [Some(folder), Some(real.as_path()).filter(|file| file.exists())].into_iter().flatten() {
        if let Err(errno) = access(place, Access::WRITE_OK) {
            let message = format!(
                "the database file {} cannot be opened for writing: {}: {}: make it writable, or copy the file and its -wal to a \
                 folder that is",
                path.display(),
                place.display(),
                std::io::Error::from(errno)
            );
            return Some(SqlError { message, ..error.clone() });
        }
    }
    None
}
