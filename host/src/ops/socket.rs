//! A Unix socket that nobody else can open, and whose place is never taken from another process.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::limit;

/// The most bytes of a socket's path, which the system sets.
const MOST_PATH: usize = 107;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
#[error("{path:?}: {problem}")]
pub struct SocketError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("a socket's path has at most {MOST_PATH} bytes: name a shorter one")]
    Long,
    #[error("another process serves it: stop that, or name another socket")]
    InUse,
    #[error("there is something else that is not a socket: remove it, or name another socket")]
    Other,
    #[error("{0}: {explained}", explained = limit::explain(.1))]
    Machine(&'static str, #[source] io::Error),
}

impl SocketError {
    /// Whether the same socket may be there later: another process has it now.
    pub fn is_retryable(&self) -> bool {
        matches!(self.problem, Problem::InUse)
    }
}

/// A socket in its place, which is removed when this is dropped.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    /// Device and number of the file.
    identity: (u64, u64),
    /// Held as long as the socket is there.
    _lock: File,
}

impl Socket {
    /// Makes a socket that only this user can open. Its listener does not block.
    ///
    /// It is made in a folder that only this user can enter, and moved to its place when its rights are set. Of processes that
    /// want the same place, a lock beside it lets one go on. A socket of a process that is gone is replaced.
    ///
    /// # Errors
    ///
    /// Somebody serves this socket, something else has its place, or the machine does not let it be made.
    pub fn bind(path: &Path) -> Result<(Self, UnixListener), SocketError> {
        bind(path).map_err(|problem| SocketError { path: path.to_owned(), problem })
    }
}

fn bind(path: &Path) -> Result<(Socket, UnixListener), Problem> {
    let cannot = |what| move |error| Problem::Machine(what, error);
    if path.as_os_str().as_bytes().len() > MOST_PATH {
        return Err(Problem::Long);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let lock = lock(path).map_err(|error| match error {
        TryLockError::WouldBlock => Problem::InUse,
        TryLockError::Error(error) => Problem::Machine("the lock beside it cannot be made", error),
    })?;
    make_way(path)?;
    let private = tempfile::Builder::new()
        .prefix(".")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(folder)
        .map_err(cannot("its folder cannot be written"))?;
    let made = private.path().join("s");
    let listener = UnixListener::bind(&made).map_err(cannot("it cannot be made"))?;
    let placed = fs::set_permissions(&made, Permissions::from_mode(0o600))
        .and_then(|()| listener.set_nonblocking(true))
        .and_then(|()| fs::rename(&made, path))
        .and_then(|()| fs::symlink_metadata(path));
    let there = placed.map_err(cannot("it cannot be put in its place"))?;
    Ok((Socket { path: path.to_owned(), identity: (there.dev(), there.ino()), _lock: lock }, listener))
}

fn lock(path: &Path) -> Result<File, TryLockError> {
    let mut name: OsString = path.into();
    name.push(".lock");
    let mut options = OpenOptions::new();
    // A pipe of this name would otherwise be waited for.
    options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = options.create(true).truncate(false).write(true).mode(0o600).open(name).map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

/// Makes sure that nothing of worth is in the way. What stays is a socket of a process that is gone.
fn make_way(path: &Path) -> Result<(), Problem> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Problem::Machine("it cannot be looked at", error)),
    };
    if !there.file_type().is_socket() {
        return Err(Problem::Other);
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(Problem::InUse),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused || error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Problem::Machine("there is a socket, and whether anybody serves it cannot be told", error)),
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Somebody may have put something else there.
        if fs::symlink_metadata(&self.path).is_ok_and(|there| (there.dev(), there.ino()) == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
