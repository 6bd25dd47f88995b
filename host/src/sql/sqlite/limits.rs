//! Which limit of the machine is behind an error of SQLite's, which knows but has no words for it.

use std::fs::File;

use rusqlite::{Connection, ErrorCode, ffi};

use crate::limit;

/// The limit that a call met, as words to add to the error's, and whether it is one of room.
pub(crate) fn of(connection: Option<&Connection>, error: &rusqlite::Error) -> Option<(&'static str, bool)> {
    let code = error.sqlite_error()?.extended_code;
    match error.sqlite_error_code()? {
        ErrorCode::OutOfMemory => Some((limit::MEMORY, false)),
        _ if code == ffi::SQLITE_IOERR_NOMEM => Some((limit::MEMORY, false)),
        // The first bytes beyond a limit of file size are a write that was too short, without an error of the system's.
        ErrorCode::DiskFull => of_room(),
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => {
            // SAFETY: the connection is open as long as it is borrowed, and the function only reads a number of it.
            let number = connection.map_or(0, |connection| unsafe { ffi::sqlite3_system_errno(connection.handle()) });
            let known = limit::of_code(number).map(|limit| (limit, limit::is_room(number)));
            known.or_else(|| without_number(code))
        }
        _ => None,
    }
}

/// SQLite keeps the system's number for the database itself, and not for the files beside it.
fn without_number(code: i32) -> Option<(&'static str, bool)> {
    match code {
        ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_SHMSIZE | ffi::SQLITE_IOERR_TRUNCATE => of_room(),
        ffi::SQLITE_IOERR_SHMMAP | ffi::SQLITE_IOERR_MMAP => {
            limit::is_set("Max address space").then_some((limit::MEMORY, false))
        }
        // The index of the log is cut when it is opened.
        ffi::SQLITE_IOERR_SHMOPEN => of_files().or_else(of_room),
        _ => of_files(),
    }
}

/// Whether a file can be opened shows again.
fn of_files() -> Option<(&'static str, bool)> {
    limit::of_code(File::open("/").err()?.raw_os_error()?).map(|limit| (limit, false))
}

fn of_room() -> Option<(&'static str, bool)> {
    limit::is_set("Max file size").then_some((limit::FILE_SIZE_OR_DISK, true))
}
