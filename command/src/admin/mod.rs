//! The administration socket of a process that runs, as a client.

pub mod ask;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use cofferdam::Config;
use cofferdam::files::FileUse;

use crate::arguments::positive_duration;
use crate::failure::Failure;
use crate::open;

/// The name of the socket in its default folder.
pub const SOCKET: &str = "cofferdam-admin.sock";

/// Where the other process listens, and how long to wait for it.
#[derive(Args)]
pub struct Admin {
    /// Administration socket [default: cofferdam-admin.sock in $XDG_RUNTIME_DIR, or beside the SQLite file]
    #[arg(long, value_name = "FILE", env = "COFFERDAM_ADMIN_SOCKET")]
    socket: Option<PathBuf>,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = positive_duration)]
    pub timeout: Duration,
}

impl Admin {
    /// Where it listens.
    pub fn place(&self) -> Result<ask::Place, Failure> {
        match self.socket.as_ref().filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => open::named("--socket (COFFERDAM_ADMIN_SOCKET)", path, FileUse::Input).map(ask::Place::Unix),
            None => default_socket().map(ask::Place::Unix),
        }
    }
}

/// Where `cofferdam serve` has it unless it is told otherwise.
fn default_socket() -> Result<PathBuf, Failure> {
    // Whose environment names no database may still have a folder of its own.
    let folder = match runtime_folder() {
        Some(folder) => Some(folder),
        None => socket_folder(&open::config()?),
    };
    match folder {
        Some(folder) => Ok(folder.join(SOCKET)),
        None => {
            Err(Failure::usage("XDG_RUNTIME_DIR is not set: name the socket with --socket (COFFERDAM_ADMIN_SOCKET)"))
        }
    }
}

/// The folder for sockets that are not named: the user's own for such things, or that of the database's file.
pub fn socket_folder(config: &Config) -> Option<PathBuf> {
    runtime_folder().or_else(|| {
        let folder = config.database.file()?.parent().filter(|folder| !folder.as_os_str().is_empty());
        Some(folder.unwrap_or(Path::new(".")).to_owned())
    })
}

/// The user's own folder for sockets.
pub fn runtime_folder() -> Option<PathBuf> {
    std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute())
}
