use crate::config::SpecError;
use crate::error::{Error, ErrorKind};
use crate::storage::StartError;

/// The result of a part of a migration.
pub type Result<T, E = MigrateError> = std::result::Result<T, E>;

/// The code with which a backend says that the lease is another's.
pub(super) const LEASE_LOST: &str = "LEASE_LOST";

/// The code with which a backend says that indexes have to be created first.
pub(super) const LACKS_INDEXES: &str = "LACKS_INDEXES";

/// The code with which a backend says that other pages come before this one.
pub(super) const OUT_OF_TURN: &str = "OUT_OF_TURN";

/// Why a migration failed. Committed pages stay, and the same call resumes from there.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The name of a side is malformed.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A side's configuration or component cannot be used.
    #[error("{side}: {error}")]
    Start {
        /// Which side, such as `the source sqlite:a.db`.
        side: String,
        /// Why.
        #[source]
        error: StartError,
    },
    /// A side's database cannot be used as it is.
    #[error("{side}: {message}")]
    Unusable {
        /// Which side.
        side: String,
        /// Why, and what to do.
        message: String,
        /// Whether it does not exist.
        is_missing: bool,
    },
    /// An operation failed.
    #[error("{side}: {error}")]
    Storage {
        /// Which side.
        side: String,
        /// Why.
        #[source]
        error: Error,
    },
    /// Both sides are one database.
    #[error("{from} and {to} are the same database: name two different ones")]
    SameDatabase {
        /// The source.
        from: String,
        /// The destination.
        to: String,
    },
    /// Another process is writing to the destination.
    #[error(
        "{side}: another migration is writing there ({owner}): wait for it, or stop it; then the same command resumes"
    )]
    Taken {
        /// The destination.
        side: String,
        /// Who has the lease.
        owner: String,
    },
    /// A row cannot be migrated, and the caller wanted to stop at the first.
    #[error("row {id} of {table} cannot be moved: {reason}; the run was stopped before its page")]
    Rejected {
        /// The row's table.
        table: &'static str,
        /// The row's number.
        id: i64,
        /// Why.
        reason: String,
    },
    /// Not all rows were read, or some of them twice.
    #[error(
        "{side}: {read} rows were read and there are {rows}, although nobody wrote meanwhile: its pages are \
         truncated; look for a \
         setting that limits results"
    )]
    Miscounted {
        /// Which side.
        side: String,
        /// The rows that were read.
        read: u64,
        /// The rows that are there.
        rows: u64,
    },
    /// The observer failed.
    #[error("{0}")]
    Observer(#[from] std::io::Error),
}

impl MigrateError {
    /// Whether the same call may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Storage { error, .. } => is_worth_another_try(error),
            Self::Taken { .. } => true,
            _ => false,
        }
    }

    /// The kind of the failed operation's error.
    pub fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Storage { error, .. } => Some(error.kind()),
            _ => None,
        }
    }
}

/// Whether an operation may succeed a little later. One that lost the lease does not.
pub(super) fn is_worth_another_try(error: &Error) -> bool {
    error.is_retryable() && error.code() != Some(LEASE_LOST)
}
