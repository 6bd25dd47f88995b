//! Writes that wait on the local disk while the database is unavailable.
//!
//! The spool is a SQLite file of one process, written with `synchronous=FULL`: an acknowledged write survives the death of
//! the process and of the machine. It keeps the last write of each row; cleanups keep their place between earlier and later
//! writes. When the database is back, the writes are replayed at least once in the order of acceptance. Replay imports
//! them, so it is idempotent, and a newer row of another writer stays.
//!
//! - `copy` is a second file with the same writes: if a disk damages one of them, nothing is lost.
//! - `tables` has the schema of both; `file` opens the spool; `journal` is the thread that writes it.
//! - `salvage` recovers what is readable in a damaged spool, and `log` what is in its write-ahead log.
//! - `view` holds its content in memory, for reads; `arriving` knows what is not in it yet.
//! - `replay` writes it to the database; `times` knows the order of writes even if the clock was wrong.

mod arriving;
mod copy;
mod entry;
mod error;
mod file;
mod journal;
mod log;
mod replay;
mod salvage;
mod tables;
#[cfg(test)]
mod tests;
mod times;
mod view;

use std::path::Path;

pub use self::entry::{SpoolEntry, SpooledWrite};
pub use self::error::SpoolError;
pub(super) use self::journal::Journal;
pub(super) use self::replay::{Replay, ReplayCounts, age_until};
pub(super) use self::times::is_future;
pub(super) use self::view::Key;
use crate::files::Whereabouts;

/// The content of a spool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpoolContent {
    /// The writes that wait, the oldest first.
    pub entries: Vec<SpoolEntry>,
    /// The writes that the database refused for good, each with its reason.
    pub rejected: Vec<(SpoolEntry, String)>,
    /// Rows of the file whose checksum is wrong: the disk changed them.
    pub unreadable: u64,
}

/// Reads the spool at `path`, which a running host may have open. Changes nothing.
///
/// # Errors
///
/// The file does not exist, is not a spool, is damaged, or cannot be read.
pub fn inspect(path: &Path) -> Result<SpoolContent, SpoolError> {
    let tables::Content { entries, rejected, unreadable, .. } = file::inspect(&Whereabouts::of(path).path())?;
    Ok(SpoolContent { entries, rejected, unreadable })
}
