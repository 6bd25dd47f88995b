//! Where sockets are whose places are not named.

use std::path::{Path, PathBuf};

use super::Config;

/// The name of a process's administration socket in [`Config::socket_folder`], if it is not told another place.
pub const ADMIN_SOCKET: &str = "cofferdam-admin.sock";

/// The user's own folder for sockets, `XDG_RUNTIME_DIR`.
pub fn runtime_folder() -> Option<PathBuf> {
    std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute())
}

impl Config {
    /// The folder for sockets that are not named: the [user's own](runtime_folder) for such things, or that of the database's
    /// file. `None` where there is neither.
    pub fn socket_folder(&self) -> Option<PathBuf> {
        runtime_folder().or_else(|| {
            let folder = self.database.file()?.parent().filter(|folder| !folder.as_os_str().is_empty());
            Some(folder.unwrap_or(Path::new(".")).to_owned())
        })
    }
}
