//! What is in a file, told by how it begins and what lies beside it.

#[cfg(feature = "snapshot")]
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Result};
#[cfg(feature = "snapshot")]
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
#[cfg(feature = "snapshot")]
use std::path::PathBuf;

/// What SQLite's databases begin with.
pub(crate) const SQLITE: &[u8] = b"SQLite format 3\0";

/// What is added to a database's name for the logs that SQLite keeps beside it.
pub(super) const LOGS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The first bytes of a file, as many as tell what it is.
///
/// On a database that this process has open, closing the file again would take its locks away.
pub(crate) fn head(path: &Path) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)?.take(SQLITE.len() as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Whether a file begins as SQLite's databases do. Opens it as [`head`] does.
pub(crate) fn is_sqlite(path: &Path) -> bool {
    path.is_file() && head(path).is_ok_and(|head| head == SQLITE)
}

/// What a file is that nothing may take the place of; `None` for one that may be replaced.
#[cfg(feature = "snapshot")]
pub(crate) fn irreplaceable(path: &Path) -> Option<&'static str> {
    let real = std::fs::canonicalize(path).ok()?;
    let name = real.as_os_str().as_bytes();
    let beside = |suffix: &str| super::with_suffix(&real, suffix).exists();
    // Before it is opened: see `head`.
    if LOGS.iter().any(|log| beside(log)) {
        return Some("a SQLite database that is in use");
    }
    let base_of =
        |suffix: &str| name.strip_suffix(suffix.as_bytes()).map(|base| PathBuf::from(OsStr::from_bytes(base)));
    if LOGS.iter().filter_map(|log| base_of(log)).any(|base| base.exists()) {
        return Some("a log of SQLite's");
    }
    if base_of("-lock").is_some_and(|base| is_sqlite(&base)) {
        return Some("the lock of a spool");
    }
    match &*head(&real).unwrap_or_default() {
        SQLITE => Some("a SQLite database"),
        [b'\0', b'a', b's', b'm', ..] => Some("a WebAssembly component"),
        _ => None,
    }
}
