//! Which limit of the machine is behind an error of SQLite's, which knows but has no words for it.

use std::fs::File;

use rusqlite::{Connection, ErrorCode, ffi};

use crate::limit;

/// The limit that a call met, as words to add to the error's, and whether it is one of room.
pub(crate) fn of(connection: Option<&Connection>, error: &rusqlite::Error) -> Option<(&'static str, bool)> {
    let code = error.sqlite_error()?.extended_code;
    let number = match error.sqlite_error_code()? {
        ErrorCode::OutOfMemory => return Some((limit::MEMORY, false)),
        _ if code == ffi::SQLITE_IOERR_NOMEM => return Some((limit::MEMORY, false)),
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => match connection {
            // SAFETY: the connection is open as long as it is borrowed, and the function only reads a number of it.
            Some(connection) => unsafe { ffi::sqlite3_system_errno(connection.handle()) },
            // With the connection its number is gone; whether a file can be opened shows again.
            None => File::open("/").err()?.raw_os_error()?,
        },
        _ => return None,
    };
    Some((limit::of_code(number)?, limit::is_room(number)))
}
