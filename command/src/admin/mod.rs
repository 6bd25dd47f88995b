//! The administration socket of a process that runs, as a client.

pub mod ask;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use cofferdam::config::{ADMIN_SOCKET, runtime_folder};
use cofferdam::files::FileUse;

use crate::arguments::positive_duration;
use crate::failure::Failure;
use crate::open;

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

/// Where `cofferdam serve` and the bot have it unless they are told otherwise.
fn default_socket() -> Result<PathBuf, Failure> {
    // Whose environment names no database may still have a folder of its own.
    let folder = match runtime_folder() {
        Some(folder) => Some(folder),
        None => open::config()?.socket_folder(),
    };
    match folder {
        Some(folder) => Ok(folder.join(ADMIN_SOCKET)),
        None => {
            Err(Failure::usage("XDG_RUNTIME_DIR is not set: name the socket with --socket (COFFERDAM_ADMIN_SOCKET)"))
        }
    }
}
