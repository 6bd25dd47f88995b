use std::io;
use std::path::PathBuf;

use rusqlite::{Connection, ErrorCode};

use crate::error::{Error, ErrorKind};
use crate::limit;
use crate::sql::sqlite::limits;

/// Why a spool cannot be used. Each message says which file, why, and what to do.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// Another process has it.
    #[error(
        "the spool {} is in use by another process: give each host its own file in COFFERDAM_SPOOL, or wait until the \
         other process has ended",
        .path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// There is none.
    #[error("the spool {} does not exist: name the spool file of a bot in COFFERDAM_SPOOL", .path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{} is not a spool ({reason}): name another file in COFFERDAM_SPOOL", .path.display())]
    NotSpool {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        reason: String,
    },
    /// The file was made by a later version.
    #[error("the spool {} has format {version}, but this host supports format {known}: update the host", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The file's format.
        version: i64,
        /// The newest format that this host knows.
        known: i64,
    },
    /// It holds as much as it may.
    #[error(
        "the spool {} is full: it holds {limit} writes, the maximum in COFFERDAM_SPOOL_LIMIT, and the database is not \
         back yet",
        .path.display()
    )]
    Full {
        /// The file.
        path: PathBuf,
        /// How many writes it may hold.
        limit: usize,
    },
    /// The system refuses it.
    #[error("the spool {} cannot be used: {reason}", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the operation that needs it ends with.
        kind: ErrorKind,
        /// What the system or SQLite said.
        reason: String,
    },
}

impl SpoolError {
    pub(super) fn io(path: impl Into<PathBuf>, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                ErrorKind::StorageFull
            }
            _ => ErrorKind::Unavailable,
        };
        Self::Unusable { path: path.into(), kind, reason: limit::explain(error) }
    }

    pub(super) fn sqlite(path: impl Into<PathBuf>, error: &rusqlite::Error) -> Self {
        Self::of(path, None, error)
    }

    /// As [`sqlite`](Self::sqlite), on a connection that knows more.
    pub(super) fn of(path: impl Into<PathBuf>, connection: Option<&Connection>, error: &rusqlite::Error) -> Self {
        let limit = limits::of(connection, error);
        let kind = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => ErrorKind::StorageFull,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => {
                ErrorKind::PermissionDenied
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => ErrorKind::CorruptData,
            _ if limit.is_some_and(|(_, is_room)| is_room) => ErrorKind::StorageFull,
            _ => ErrorKind::Unavailable,
        };
        let reason = limit.map_or_else(|| error.to_string(), |(limit, _)| format!("{error}: {limit}"));
        Self::Unusable { path: path.into(), kind, reason }
    }

    /// Whether the same call may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::InUse { .. } | Self::Full { .. } | Self::Unusable { kind: ErrorKind::Unavailable, .. })
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::InUse { .. } | Self::NotFound { .. } | Self::Full { .. } => ErrorKind::Unavailable,
            Self::NotSpool { .. } | Self::Newer { .. } => ErrorKind::SchemaMismatch,
            Self::Unusable { kind, .. } => *kind,
        }
    }
}

impl From<SpoolError> for Error {
    fn from(error: SpoolError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}
