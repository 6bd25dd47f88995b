use std::io;
use std::path::PathBuf;

use super::VERSION;
use crate::error::Error;
use crate::limit;

/// Why a snapshot was not exported or not imported.
///
/// If an import fails with anything but [`Storage`](Self::Storage), [`Batch`](Self::Batch) or
/// [`Changed`](Self::Changed), nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The storage refused to export.
    #[error(transparent)]
    Storage(#[from] Error),
    /// The storage failed to import. All lines before these are imported.
    #[error("lines {first} to {last} were not imported: {source}")]
    Batch {
        /// The first line of the rows that were imported together.
        first: u64,
        /// The last one.
        last: u64,
        /// What the storage said.
        source: Error,
    },
    /// A file or a stream cannot be opened, read or written.
    #[error("{what}: {}", limit::explain(source))]
    Io {
        /// What cannot be done.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A snapshot would replace a file.
    #[error("{} exists", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A folder was named where a file is needed.
    #[error("{} is a folder: name a file", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// A snapshot would replace a device, a pipe or a socket.
    #[error("{} is not a regular file, and cannot be replaced by one: name another", .path.display())]
    Special {
        /// What was named.
        path: PathBuf,
    },
    /// A snapshot would replace a file of another purpose.
    #[error("{} is {what}, which a snapshot never replaces: name another file", .path.display())]
    Needed {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The file is something else.
    #[error("this is not a snapshot ({reason}): name a file that `cofferdam export` wrote")]
    NotSnapshot {
        /// What it is instead.
        reason: String,
    },
    /// The file is from the future.
    #[error(
        "the snapshot has format version {version}, this cofferdam reads up to version {VERSION}: update cofferdam"
    )]
    NewerVersion {
        /// The version of its format.
        version: u64,
    },
    /// The file ends too early.
    #[error(
        "the snapshot is truncated {}: copy it again",
        match .line { 0 => "in its first line".to_owned(), line => format!("after line {line}") }
    )]
    Truncated {
        /// The last complete line, counted from 1.
        line: u64,
    },
    /// The file is damaged.
    #[error("line {line} is corrupted ({reason}): copy the snapshot again")]
    Corrupted {
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is as it was written, but some of its rows no storage takes.
    #[error(
        "line {line}: {rule}{}",
        match .more { 0 => String::new(), more => format!("; {more} more rows break a rule") }
    )]
    Row {
        /// The first such line, counted from 1.
        line: u64,
        /// The rule that it breaks.
        rule: String,
        /// How many more such rows there are.
        more: u64,
    },
    /// The file was written to while it was imported.
    #[error("the snapshot changed while it was imported, so the import is incomplete: import it again")]
    Changed,
}

impl SnapshotError {
    pub(super) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }

    /// Whether a retry of the same call may succeed. Exports and imports are idempotent, so a retry is safe.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Storage(error) | Self::Batch { source: error, .. } => error.is_retryable(),
            Self::Changed => true,
            _ => false,
        }
    }
}
