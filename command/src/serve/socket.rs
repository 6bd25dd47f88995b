//! A Unix socket that nobody else can open, and whose place is never taken from another process.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use cofferdam::limit;

use crate::failure::Failure;

/// The most bytes of a socket's path, which the system sets.
const MOST_PATH: usize = 107;

/// A socket in its place, which is removed when this is dropped.
pub struct Socket {
    path: PathBuf,
    /// Device and number of the file.
    identity: (u64, u64),
    /// Held as long as the socket is there.
    _lock: File,
}

/// Makes a socket at `path`. `option` is what the user calls it.
///
/// It is made in a folder that only this user can enter, and moved to its place when its rights are set. Of processes that want
/// the same place, a lock beside it lets one go on.
pub fn bind(option: &str, path: &Path) -> Result<(Socket, UnixListener), Failure> {
    let fail = |problem: String| Failure::usage(format!("{option} is {path:?}: {problem}"));
    let cannot = |what: &str, error: &io::Error| fail(format!("{what}: {}", limit::explain(error)));
    if path.as_os_str().as_bytes().len() > MOST_PATH {
        return Err(fail(format!("a socket's path has at most {MOST_PATH} bytes: name a shorter one")));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let lock = lock(path).map_err(|error| match error {
        TryLockError::WouldBlock => fail("another process serves it: stop that, or name another socket".into()),
        TryLockError::Error(error) => cannot("the lock beside it cannot be made", &error),
    })?;
    make_way(path).map_err(fail)?;
    let private = tempfile::Builder::new()
        .prefix(".")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(folder)
        .map_err(|error| cannot("its folder cannot be written", &error))?;
    let made = private.path().join("s");
    let listener = UnixListener::bind(&made).map_err(|error| cannot("it cannot be made", &error))?;
    let placed = fs::set_permissions(&made, Permissions::from_mode(0o600))
        .and_then(|()| listener.set_nonblocking(true))
        .and_then(|()| fs::rename(&made, path))
        .and_then(|()| fs::symlink_metadata(path));
    let there = placed.map_err(|error| cannot("it cannot be put in its place", &error))?;
    Ok((Socket { path: path.to_owned(), identity: (there.dev(), there.ino()), _lock: lock }, listener))
}

fn lock(path: &Path) -> Result<File, TryLockError> {
    let mut name: OsString = path.into();
    name.push(".lock");
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).mode(0o600).open(name).map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

/// Makes sure that nothing of worth is in the way. What stays is a socket of a process that is gone.
fn make_way(path: &Path) -> Result<(), String> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("it cannot be looked at: {error}")),
    };
    if !there.file_type().is_socket() {
        return Err("there is something else that is not a socket: remove it, or name another socket".into());
    }
    match UnixStream::connect(path) {
        Ok(_) => Err("another process serves it: stop that, or name another socket".into()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused || error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("there is a socket, and whether anybody serves it cannot be told: {error}")),
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
