//! A copy of the plugin that worked last, for a start with one that cannot be used.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Keeps a component in this file, unless it is there. Whoever reads the file finds the one before or this one, whole.
pub(crate) fn keep(path: &Path, component: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|kept| kept == component) {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}-{}.tmp", std::process::id()));
    // One that this process left behind when it was another.
    fs::remove_file(&temporary).ok();
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).and_then(|mut file| {
        file.write_all(component)?;
        file.sync_all()
    });
    let kept = written.and_then(|()| fs::rename(&temporary, path));
    if kept.is_err() {
        fs::remove_file(&temporary).ok();
    }
    kept
}
