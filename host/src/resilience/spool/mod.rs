//! Writes that wait on the local disk for a database that is away.
//!
//! A SQLite file of one process alone, written with `synchronous=FULL`: an accepted write survives the end of the process
//! and of the machine. For each row it keeps the last write; cleanups stand between what was written before and after
//! them. Once the database is back, writes go to it in the order in which they were accepted, as imports, so that a
//! newer row that somebody else has written meanwhile stays.
//!
//! - `copy` is a second file with the same writes, so that a disk which damages one of them costs nothing.
//! - `tables` is what both are made of; `file` opens the spool; `journal` is the thread that writes it.
//! - `salvage` saves what can be read of a damaged one, with `log` what is in its log.
//! - `view` is what it holds, for those who read.
//! - `replay` puts it into the database; `times` knows the order of writes also where the clock was wrong.

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

/// What is in a spool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpoolContent {
    /// The writes that wait, the oldest first.
    pub entries: Vec<SpoolEntry>,
    /// The writes that the database refused for good, each with its reason.
    pub rejected: Vec<(SpoolEntry, String)>,
    /// Rows of the file that are not what was written: the disk has changed them.
    pub unreadable: u64,
}

/// What is in the spool at `path`, which a running host may have open. Changes nothing.
///
/// # Errors
///
/// There is none, the file is something else or damaged, or the system does not let it be read.
pub fn inspect(path: &Path) -> Result<SpoolContent, SpoolError> {
    let tables::Content { entries, rejected, unreadable, .. } = file::inspect(&Whereabouts::of(path).path())?;
    Ok(SpoolContent { entries, rejected, unreadable })
}
