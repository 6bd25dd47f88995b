//! The one place that turns the database's errors into the contract's.

use crate::bindings::cofferdam::storage::sql;
use crate::bindings::cofferdam::storage::types::{Error, ErrorKind};
use crate::dialect::Backend;
use crate::schema;

/// Why an operation failed, before it is known which operation that was.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The database's answer.
    Sql(sql::Error),
    /// Told by this crate.
    Own(Error),
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Own(Error { kind, message: message.into(), code: None })
    }

    /// Whether the database gave up a transaction in favour of another.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Sql(error) if error.kind == sql::ErrorKind::Conflict)
    }

    /// Whether it came with one of these codes of the database.
    pub fn has_code(&self, codes: &[&str]) -> bool {
        matches!(self, Self::Sql(error) if error.code.as_deref().is_some_and(|code| codes.contains(&code)))
    }
}

impl From<sql::Error> for Failure {
    fn from(error: sql::Error) -> Self {
        Self::Sql(error)
    }
}

/// Runs an operation and says in its error which one it was.
///
/// `body` has to drop its connection: the pool may have only one, and what follows may need it.
pub(crate) fn operation<B: Backend, T>(name: &str, body: impl FnOnce() -> Result<T>) -> std::result::Result<T, Error> {
    body().map_err(|failure| {
        // A statement that was good when the backend was built cannot be prepared: most likely the tables are not
        // what they were, and the database's own words alone would not say what to do.
        let failure = match failure {
            Failure::Sql(error) if error.kind == sql::ErrorKind::InvalidStatement => {
                schema::explain::<B>(error, name == "initialize")
            }
            failure => failure,
        };
        let mut error = match failure {
            Failure::Sql(error) => Error { kind: kind(error.kind), message: error.message, code: error.code },
            Failure::Own(error) => error,
        };
        error.message = format!("{name}: {}", error.message);
        error
    })
}

fn kind(kind: sql::ErrorKind) -> ErrorKind {
    match kind {
        sql::ErrorKind::Unavailable => ErrorKind::Unavailable,
        sql::ErrorKind::Timeout => ErrorKind::Timeout,
        sql::ErrorKind::Conflict => ErrorKind::Conflict,
        sql::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        sql::ErrorKind::StorageFull => ErrorKind::StorageFull,
        sql::ErrorKind::CorruptData => ErrorKind::CorruptData,
        sql::ErrorKind::Constraint | sql::ErrorKind::Other => ErrorKind::Refused,
        sql::ErrorKind::InvalidStatement => ErrorKind::Internal,
    }
}
