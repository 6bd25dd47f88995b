//! How an operation fails.

use std::fmt;

/// The result of a storage operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed, from a closed list that every backend shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// An argument breaks the rules of its type. The database was not touched.
    InvalidInput,
    /// `initialize` has not succeeded, or `close` was called.
    NotInitialized,
    /// The database or the backend is unavailable at the moment.
    Unavailable,
    /// A deadline passed. Whether a write took effect is unknown.
    Timeout,
    /// The database aborted this operation in favour of another, for example as the victim of a deadlock.
    Conflict,
    /// The account lacks a right.
    PermissionDenied,
    /// A disk, quota or table is full.
    StorageFull,
    /// The schema is newer than the backend supports, or does not match its version. Nothing was written.
    SchemaMismatch,
    /// Stored data cannot be understood.
    CorruptData,
    /// The database refused this row or statement because of a constraint, a trigger, a limit or a setting of the server.
    /// Another row may be accepted; the same one is accepted once that rule is changed.
    Refused,
    /// A bug of the backend or the host.
    Internal,
}

impl ErrorKind {
    /// Every kind, in the order of the contract.
    pub const ALL: [Self; 11] = [
        Self::InvalidInput,
        Self::NotInitialized,
        Self::Unavailable,
        Self::Timeout,
        Self::Conflict,
        Self::PermissionDenied,
        Self::StorageFull,
        Self::SchemaMismatch,
        Self::CorruptData,
        Self::Refused,
        Self::Internal,
    ];

    /// The kind's name in the contract, such as `schema-mismatch`.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid-input",
            Self::NotInitialized => "not-initialized",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Conflict => "conflict",
            Self::PermissionDenied => "permission-denied",
            Self::StorageFull => "storage-full",
            Self::SchemaMismatch => "schema-mismatch",
            Self::CorruptData => "corrupt-data",
            Self::Refused => "refused",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A failed operation: its kind, one sentence for an operator, and the database's own code if there is one.
///
/// Messages contain no values of rows and no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    code: Option<String>,
    message: String,
}

impl Error {
    /// An error without a database code.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, code: None, message: message.into() }
    }

    /// The same error with the database's own code, such as `1062` or `SQLITE_BUSY`.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Why it failed.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The database's own code, if the error came from there.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// What failed, why, and what to do.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether a retry of the same call may succeed. Upserts, reads and cleanups are idempotent, so a retry is safe.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Conflict)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)?;
        match &self.code {
            Some(code) => write!(f, " [{code}]"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
