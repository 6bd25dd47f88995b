//! Files: one that appears when it is whole, and one that can be read twice.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::error::SnapshotError;
use crate::files;

/// A file beside the one that it becomes. Dropped before that, it goes.
pub(super) struct Target {
    temporary: NamedTempFile,
    path: PathBuf,
    replace: bool,
}

impl Target {
    /// `replace` lets it take the place of an ordinary file.
    pub fn create(path: &Path, replace: bool) -> Result<Self, SnapshotError> {
        let path = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            // What a link names is replaced, not the link.
            Ok(metadata) if metadata.is_symlink() && replace => {
                fs::canonicalize(path).map_err(|error| cannot("opened", path, error))?
            }
            Ok(_) => path.to_owned(),
            Err(error) => return Err(cannot("opened", path, error)),
        };
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => return Err(SnapshotError::Folder { path }),
            Ok(_) if !replace => return Err(SnapshotError::Exists { path }),
            Ok(metadata) if !metadata.is_file() => return Err(SnapshotError::Special { path }),
            _ => {}
        }
        check_replaceable(&path)?;
        let mut prefix = path.file_name().ok_or_else(|| SnapshotError::Folder { path: path.clone() })?.to_owned();
        prefix.push(".");
        let temporary = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".partial")
            .tempfile_in(folder(&path))
            .map_err(|error| cannot("created", &path, error))?;
        Ok(Self { temporary, path, replace })
    }

    /// What to write to.
    pub fn file(&self) -> Result<File, SnapshotError> {
        self.temporary.as_file().try_clone().map_err(|error| cannot("written", &self.path, error))
    }

    /// Makes it durable, and then gives it its name.
    pub fn commit(self) -> Result<(), SnapshotError> {
        let Self { temporary, path, replace } = self;
        temporary.as_file().sync_all().map_err(|error| cannot("written", &path, error))?;
        // What is there may have come meanwhile.
        check_replaceable(&path)?;
        let renamed = if replace { temporary.persist(&path) } else { temporary.persist_noclobber(&path) };
        match renamed {
            Ok(_) => {}
            Err(error) if !replace && error.error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(SnapshotError::Exists { path });
            }
            Err(error) => return Err(cannot("written", &path, error.error)),
        }
        // Without this the name may be lost with the power.
        File::open(folder(&path)).and_then(|folder| folder.sync_all()).map_err(|error| cannot("written", &path, error))
    }
}

/// Opens a snapshot for reading it twice. What can be read only once, such as a pipe, is copied into a temporary file.
/// Blocks.
///
/// # Errors
///
/// [`SnapshotError::Folder`] and [`SnapshotError::Io`].
pub fn open(path: &Path) -> Result<File, SnapshotError> {
    let cannot_open = |error| cannot("opened", path, error);
    let file = File::open(path).map_err(cannot_open)?;
    let metadata = file.metadata().map_err(cannot_open)?;
    if metadata.is_dir() {
        return Err(SnapshotError::Folder { path: path.to_owned() });
    }
    if metadata.is_file() { Ok(file) } else { spool(file) }
}

/// Copies a stream into a temporary file without a name, in the folder that TMPDIR names. Blocks.
///
/// # Errors
///
/// [`SnapshotError::Io`].
pub fn spool(mut input: impl Read) -> Result<File, SnapshotError> {
    let cannot_spool = |error| {
        let folder = std::env::temp_dir();
        let what = format!("a temporary file in {} (TMPDIR) cannot be written", folder.display());
        SnapshotError::io(what, error)
    };
    let mut file = tempfile::tempfile().map_err(cannot_spool)?;
    let mut buffer = vec![0; 1 << 17];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => file.write_all(&buffer[..read]).map_err(cannot_spool)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(super::read::cannot_read(error)),
        }
    }
    file.rewind().map_err(cannot_spool)?;
    Ok(file)
}

fn check_replaceable(path: &Path) -> Result<(), SnapshotError> {
    match files::irreplaceable(path) {
        Some(what) => Err(SnapshotError::Needed { path: path.to_owned(), what }),
        None => Ok(()),
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn cannot(be: &str, path: &Path, error: io::Error) -> SnapshotError {
    SnapshotError::io(format!("{} cannot be {be}", path.display()), error)
}
