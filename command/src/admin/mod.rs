//! The administration socket of a process that runs, as a client.

pub mod ask;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
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

/// Where `cofferdam serve` has it unless it is told otherwise.
fn default_socket() -> Result<PathBuf, Failure> {
    const NAME: &str = "cofferdam-admin.sock";
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute());
    if let Some(folder) = runtime {
        return Ok(folder.join(NAME));
    }
    let config = open::config()?;
    match config.database.file().and_then(|file| file.parent()) {
        Some(folder) => Ok(folder.join(NAME)),
        None => {
            Err(Failure::usage("XDG_RUNTIME_DIR is not set: name the socket with --socket (COFFERDAM_ADMIN_SOCKET)"))
        }
    }
}
