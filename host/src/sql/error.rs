use std::fmt;

use crate::error;

/// The result of a call to a database.
pub type Result<T, E = SqlError> = std::result::Result<T, E>;

/// Why a call to a database failed, told from its code and never from its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No connection: refused, lost, gone, too many.
    Unavailable,
    /// A deadline passed, or the database cancelled the statement for taking too long.
    Timeout,
    /// A deadlock or a lock wait ended the statement.
    Conflict,
    /// A unique key, a NOT NULL or another constraint.
    Constraint,
    /// The user's rights, a read-only database, or a statement that is not let through.
    PermissionDenied,
    /// A disk, quota or table is full.
    StorageFull,
    /// The text cannot be prepared, names what does not exist, or has the wrong number of parameters.
    InvalidStatement,
    /// The file or a stored value is damaged.
    CorruptData,
    /// Anything else.
    Other,
}

/// A failed call to a database. Its message contains neither values nor secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// Why it failed.
    pub kind: ErrorKind,
    /// The database's own code, such as `1213` or `SQLITE_CONSTRAINT_UNIQUE`.
    pub code: Option<String>,
    /// Five characters, from MySQL only.
    pub sqlstate: Option<String>,
    /// What failed and why.
    pub message: String,
}

impl SqlError {
    /// An error without a code.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, code: None, sqlstate: None, message: message.into() }
    }

    /// A deadline that passed while `doing` something, such as `waiting for a connection`.
    pub fn timeout(doing: &str) -> Self {
        Self::new(ErrorKind::Timeout, format!("the deadline passed while {doing}"))
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.code {
            Some(code) => write!(f, " [{code}]"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SqlError {}

/// An error from opening or asking a database, outside any backend.
impl From<SqlError> for error::Error {
    fn from(error: SqlError) -> Self {
        let kind = match error.kind {
            ErrorKind::Unavailable => error::ErrorKind::Unavailable,
            ErrorKind::Timeout => error::ErrorKind::Timeout,
            ErrorKind::Conflict => error::ErrorKind::Conflict,
            ErrorKind::PermissionDenied => error::ErrorKind::PermissionDenied,
            ErrorKind::StorageFull => error::ErrorKind::StorageFull,
            ErrorKind::CorruptData => error::ErrorKind::CorruptData,
            ErrorKind::Constraint | ErrorKind::Other => error::ErrorKind::Refused,
            ErrorKind::InvalidStatement => error::ErrorKind::Internal,
        };
        let converted = Self::new(kind, error.message);
        match error.code {
            Some(code) => converted.with_code(code),
            None => converted,
        }
    }
}
