//! The one table from SQLite's result codes to [`ErrorKind`].

use rusqlite::ffi;

use crate::sql::error::{ErrorKind, SqlError};

/// A code, its symbolic name, and what it means to the caller.
///
/// An extended code that is not in the table means what its primary code means, which is its lowest byte.
/// <https://sqlite.org/rescode.html>
macro_rules! table {
    ($($name:ident => $kind:ident,)*) => {
        fn lookup(code: i32) -> Option<(&'static str, ErrorKind)> {
            match code {
                $(ffi::$name => Some((stringify!($name), ErrorKind::$kind)),)*
                _ => None,
            }
        }
    };
}

table! {
    // Mistakes of the statement, or of the way it is used.
    SQLITE_ERROR => InvalidStatement,
    SQLITE_ERROR_KEY => InvalidStatement,
    SQLITE_ERROR_RESERVESIZE => InvalidStatement,
    SQLITE_ERROR_UNABLE => InvalidStatement,
    SQLITE_INTERNAL => InvalidStatement,
    SQLITE_MISUSE => InvalidStatement,
    SQLITE_NOTFOUND => InvalidStatement,
    SQLITE_RANGE => InvalidStatement,
    // A collation or an extension that somebody's own table or index needs, and that this SQLite has not.
    SQLITE_ERROR_MISSING_COLLSEQ => Other,
    // A value, or a row, beyond what the file may hold.
    SQLITE_TOOBIG => Constraint,
    SQLITE_MISMATCH => Constraint,
    // Another connection has the lock. Within this host nobody meets it; it is reported when waiting for another
    // process has reached the deadline.
    SQLITE_BUSY => Conflict,
    SQLITE_BUSY_RECOVERY => Conflict,
    SQLITE_BUSY_SNAPSHOT => Conflict,
    SQLITE_BUSY_TIMEOUT => Conflict,
    SQLITE_ERROR_RETRY => Conflict,
    SQLITE_ERROR_SNAPSHOT => Conflict,
    SQLITE_LOCKED => Conflict,
    SQLITE_LOCKED_SHAREDCACHE => Conflict,
    SQLITE_LOCKED_VTAB => Conflict,
    SQLITE_ABORT => Conflict,
    SQLITE_ABORT_ROLLBACK => Conflict,
    SQLITE_SCHEMA => Conflict,
    SQLITE_PROTOCOL => Conflict,
    // The progress handler interrupts a statement for one reason: its time is over.
    SQLITE_INTERRUPT => Timeout,
    SQLITE_CONSTRAINT => Constraint,
    SQLITE_CONSTRAINT_CHECK => Constraint,
    SQLITE_CONSTRAINT_COMMITHOOK => Constraint,
    SQLITE_CONSTRAINT_DATATYPE => Constraint,
    SQLITE_CONSTRAINT_FOREIGNKEY => Constraint,
    SQLITE_CONSTRAINT_FUNCTION => Constraint,
    SQLITE_CONSTRAINT_NOTNULL => Constraint,
    SQLITE_CONSTRAINT_PINNED => Constraint,
    SQLITE_CONSTRAINT_PRIMARYKEY => Constraint,
    SQLITE_CONSTRAINT_ROWID => Constraint,
    SQLITE_CONSTRAINT_TRIGGER => Constraint,
    SQLITE_CONSTRAINT_UNIQUE => Constraint,
    SQLITE_CONSTRAINT_VTAB => Constraint,
    SQLITE_PERM => PermissionDenied,
    SQLITE_AUTH => PermissionDenied,
    SQLITE_AUTH_USER => PermissionDenied,
    SQLITE_READONLY => PermissionDenied,
    SQLITE_READONLY_CANTINIT => PermissionDenied,
    SQLITE_READONLY_CANTLOCK => PermissionDenied,
    SQLITE_READONLY_DBMOVED => Unavailable,
    SQLITE_READONLY_DIRECTORY => PermissionDenied,
    SQLITE_READONLY_RECOVERY => PermissionDenied,
    SQLITE_READONLY_ROLLBACK => PermissionDenied,
    SQLITE_IOERR_ACCESS => PermissionDenied,
    SQLITE_IOERR_AUTH => PermissionDenied,
    SQLITE_FULL => StorageFull,
    SQLITE_NOLFS => StorageFull,
    // The disk or the folder is away or failing, which may pass, as a server's absence may.
    SQLITE_CANTOPEN => Unavailable,
    SQLITE_CANTOPEN_CONVPATH => Unavailable,
    SQLITE_CANTOPEN_DIRTYWAL => Unavailable,
    SQLITE_CANTOPEN_FULLPATH => Unavailable,
    SQLITE_CANTOPEN_ISDIR => Unavailable,
    SQLITE_CANTOPEN_NOTEMPDIR => Unavailable,
    SQLITE_CANTOPEN_SYMLINK => PermissionDenied,
    SQLITE_IOERR => Unavailable,
    SQLITE_IOERR_BEGIN_ATOMIC => Unavailable,
    SQLITE_IOERR_BLOCKED => Unavailable,
    SQLITE_IOERR_CHECKRESERVEDLOCK => Unavailable,
    SQLITE_IOERR_CLOSE => Unavailable,
    SQLITE_IOERR_COMMIT_ATOMIC => Unavailable,
    SQLITE_IOERR_CONVPATH => Unavailable,
    SQLITE_IOERR_DELETE => Unavailable,
    SQLITE_IOERR_DELETE_NOENT => Unavailable,
    SQLITE_IOERR_DIR_CLOSE => Unavailable,
    SQLITE_IOERR_DIR_FSYNC => Unavailable,
    SQLITE_IOERR_FSTAT => Unavailable,
    SQLITE_IOERR_FSYNC => Unavailable,
    SQLITE_IOERR_GETTEMPPATH => Unavailable,
    SQLITE_IOERR_IN_PAGE => Unavailable,
    SQLITE_IOERR_LOCK => Unavailable,
    SQLITE_IOERR_MMAP => Unavailable,
    SQLITE_IOERR_NOMEM => Unavailable,
    SQLITE_IOERR_RDLOCK => Unavailable,
    SQLITE_IOERR_READ => Unavailable,
    SQLITE_IOERR_ROLLBACK_ATOMIC => Unavailable,
    SQLITE_IOERR_SEEK => Unavailable,
    SQLITE_IOERR_SHMLOCK => Unavailable,
    SQLITE_IOERR_SHMMAP => Unavailable,
    SQLITE_IOERR_SHMOPEN => Unavailable,
    SQLITE_IOERR_SHMSIZE => Unavailable,
    SQLITE_IOERR_TRUNCATE => Unavailable,
    SQLITE_IOERR_UNLOCK => Unavailable,
    SQLITE_IOERR_VNODE => Unavailable,
    SQLITE_IOERR_WRITE => Unavailable,
    SQLITE_NOMEM => Unavailable,
    // Shorter or other than what SQLite wrote.
    SQLITE_CORRUPT => CorruptData,
    SQLITE_CORRUPT_INDEX => CorruptData,
    SQLITE_CORRUPT_SEQUENCE => CorruptData,
    SQLITE_CORRUPT_VTAB => CorruptData,
    SQLITE_IOERR_CORRUPTFS => CorruptData,
    SQLITE_IOERR_DATA => CorruptData,
    SQLITE_IOERR_SHORT_READ => CorruptData,
    // The file was encrypted by another build of SQLite.
    SQLITE_IOERR_BADKEY => CorruptData,
    SQLITE_IOERR_CODEC => CorruptData,
    SQLITE_NOTADB => CorruptData,
    SQLITE_FORMAT => CorruptData,
    SQLITE_EMPTY => CorruptData,
    // No results of a call, but of the log.
    SQLITE_NOTICE => Other,
    SQLITE_NOTICE_RBU => Other,
    SQLITE_NOTICE_RECOVER_ROLLBACK => Other,
    SQLITE_NOTICE_RECOVER_WAL => Other,
    SQLITE_WARNING => Other,
    SQLITE_WARNING_AUTOINDEX => Other,
}

/// What a code means, by itself or by its primary code.
fn kind(code: i32) -> ErrorKind {
    lookup(code).or_else(|| lookup(code & 0xff)).map_or(ErrorKind::Other, |(_, kind)| kind)
}

/// The symbolic name, or the number where the table does not know it.
fn name(code: i32) -> String {
    lookup(code).map_or_else(|| code.to_string(), |(name, _)| name.to_owned())
}

/// An error of a call as the caller sees it. SQLite's messages name tables and columns, never values; the text
/// of the statement, which may hold literals, is left out.
pub(super) fn error(error: rusqlite::Error) -> SqlError {
    use rusqlite::Error::{InvalidParameterCount, MultipleStatement, SqlInputError, SqliteFailure};
    let (code, message) = match error {
        SqliteFailure(code, message) => (code, message),
        SqlInputError { error, msg, .. } => (error, Some(msg)),
        MultipleStatement => {
            return SqlError::new(ErrorKind::InvalidStatement, "the text holds more than one statement");
        }
        InvalidParameterCount(given, wanted) => {
            return SqlError::new(
                ErrorKind::InvalidStatement,
                format!("the statement takes {wanted} parameters and {given} were given"),
            );
        }
        other => return SqlError::new(ErrorKind::Other, other.to_string()),
    };
    SqlError {
        kind: kind(code.extended_code),
        code: Some(name(code.extended_code)),
        sqlstate: None,
        message: message.unwrap_or_else(|| ffi::code_to_str(code.extended_code).to_owned()),
    }
}

/// Whether a connection that met this error is to be closed: what it remembers of the file, or the way in which it has
/// it open, may be the reason.
pub(super) fn spoils_connection(error: &rusqlite::Error) -> bool {
    let primary = error.sqlite_error().map(|error| error.extended_code & 0xff);
    matches!(
        primary,
        Some(
            ffi::SQLITE_READONLY
                | ffi::SQLITE_IOERR
                | ffi::SQLITE_CORRUPT
                | ffi::SQLITE_CANTOPEN
                | ffi::SQLITE_PROTOCOL
                | ffi::SQLITE_NOTADB
        )
    )
}

/// Whether another process holds the lock that the call needs.
pub(super) fn is_busy(error: &SqlError) -> bool {
    error.code.as_deref().is_some_and(|code| code.starts_with("SQLITE_BUSY"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extended_code_outside_the_table_means_what_its_primary_code_means() {
        let unknown = ffi::SQLITE_IOERR | (250 << 8);
        assert_eq!((kind(unknown), name(unknown).as_str()), (ErrorKind::Unavailable, "64010"));
        assert_eq!((kind(200), name(200).as_str()), (ErrorKind::Other, "200"));
    }

    /// Every code that this version of SQLite has words for is in the table, and every extended one that it has a name for: its
    /// number is the primary one's, and 256 times another.
    #[test]
    fn every_code_of_sqlite_is_in_the_table() {
        for code in 1..=28 {
            assert!(lookup(code).is_some(), "{code}");
        }
        // How many extended codes each primary one has, by <https://sqlite.org/rescode.html>.
        for (primary, extended) in [
            (ffi::SQLITE_ERROR, 6),
            (ffi::SQLITE_ABORT, 2),
            (ffi::SQLITE_BUSY, 3),
            (ffi::SQLITE_LOCKED, 2),
            (ffi::SQLITE_READONLY, 6),
            (ffi::SQLITE_IOERR, 36),
            (ffi::SQLITE_CORRUPT, 3),
            (ffi::SQLITE_CANTOPEN, 6),
            (ffi::SQLITE_CONSTRAINT, 12),
            (ffi::SQLITE_AUTH, 1),
            (ffi::SQLITE_NOTICE, 3),
            (ffi::SQLITE_WARNING, 1),
        ] {
            for more in 1..=extended {
                let code = primary | (more << 8);
                // SQLITE_ABORT has its second only.
                assert!(lookup(code).is_some() || code == ffi::SQLITE_ABORT | (1 << 8), "{primary} | {more} << 8");
            }
        }
    }

    #[test]
    fn only_what_a_statement_or_the_host_does_is_our_own_mistake() {
        let own: Vec<i32> = (1..=28)
            .flat_map(|primary| (0..=40).map(move |more| primary | (more << 8)))
            .filter(|code| lookup(*code).is_some_and(|(_, kind)| kind == ErrorKind::InvalidStatement))
            .collect();
        let expected = [
            ffi::SQLITE_ERROR,
            ffi::SQLITE_ERROR_RESERVESIZE,
            ffi::SQLITE_ERROR_KEY,
            ffi::SQLITE_ERROR_UNABLE,
            ffi::SQLITE_INTERNAL,
            ffi::SQLITE_NOTFOUND,
            ffi::SQLITE_MISUSE,
            ffi::SQLITE_RANGE,
        ];
        assert_eq!(own, expected);
    }

    #[test]
    fn the_kinds_that_callers_act_on() {
        for (code, expected) in [
            (ffi::SQLITE_BUSY, ErrorKind::Conflict),
            (ffi::SQLITE_FULL, ErrorKind::StorageFull),
            (ffi::SQLITE_NOTADB, ErrorKind::CorruptData),
            (ffi::SQLITE_CONSTRAINT_UNIQUE, ErrorKind::Constraint),
            (ffi::SQLITE_READONLY, ErrorKind::PermissionDenied),
            (ffi::SQLITE_INTERRUPT, ErrorKind::Timeout),
            (ffi::SQLITE_ERROR, ErrorKind::InvalidStatement),
            (ffi::SQLITE_CANTOPEN, ErrorKind::Unavailable),
        ] {
            assert_eq!(kind(code), expected, "{}", name(code));
        }
    }
}
