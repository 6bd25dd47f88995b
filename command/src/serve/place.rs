//! Where a server listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use cofferdam::Config;
use cofferdam::config::{claimed, runtime_folder};
use cofferdam::files::{FileUse, is_same};
use cofferdam::limit;
use cofferdam::ops::Socket;
use tokio::net::{TcpListener, UnixListener};

use super::server::Listener;
use crate::failure::Failure;
use crate::open;

/// A place to listen at, as it was asked for.
pub enum Place {
    Unix { option: &'static str, path: PathBuf },
    Tcp { option: &'static str, address: SocketAddr },
}

/// A place that is listened at.
pub struct Bound {
    pub listener: Listener,
    pub name: Name,
    /// Removed when this is dropped.
    pub socket: Option<Socket>,
}

/// What a place is called.
#[derive(Clone)]
pub enum Name {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "http://{address}"),
        }
    }
}

impl Place {
    /// A socket at the path that an option names, or at its default place: in the user's own folder for such things, or beside
    /// the database.
    pub fn socket(
        option: &'static str,
        path: Option<PathBuf>,
        default: &str,
        config: &Config,
    ) -> Result<Self, Failure> {
        let path = match path {
            Some(path) => {
                // An existing one may be a socket of a process that is gone.
                let path = open::named(option, &path, FileUse::Input)?;
                if let Some(variable) = claimed(&config.claims(), &path) {
                    let problem = format!("{option} is {path:?}, which {variable} uses: name another file");
                    return Err(Failure::usage(problem));
                }
                path
            }
            None => folder(option, config)?.join(default),
        };
        Ok(Self::Unix { option, path })
    }

    /// Whether two places are one.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unix { path: one, .. }, Self::Unix { path: other, .. }) => is_same(one, other),
            (Self::Tcp { address: one, .. }, Self::Tcp { address: other, .. }) => one == other && one.port() != 0,
            _ => false,
        }
    }

    /// Listens there.
    pub async fn bind(&self) -> Result<Bound, Failure> {
        match self {
            Self::Unix { option, path } => {
                let bound = Socket::bind(path).map_err(|error| Failure::usage(format!("{option} is {error}")));
                let (socket, listener) = bound?;
                let listener = Listener::Unix(UnixListener::from_std(listener)?);
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                Ok(Bound { listener, name: Name::Unix(path), socket: Some(socket) })
            }
            Self::Tcp { option, address } => {
                let fail = |error| {
                    let cause = limit::explain(&error);
                    Failure::usage(format!("{option} is {address}, where nobody can listen: {cause}"))
                };
                let listener = TcpListener::bind(address).await.map_err(fail)?;
                let name = Name::Tcp(listener.local_addr()?);
                Ok(Bound { listener: Listener::Tcp(listener), name, socket: None })
            }
        }
    }
}

/// The folder for sockets, which is made if it is missing.
fn folder(option: &str, config: &Config) -> Result<PathBuf, Failure> {
    let folder = config.socket_folder().ok_or_else(|| {
        Failure::usage(format!(
            "{option} is not given, XDG_RUNTIME_DIR is not set, and there is no database file beside which the socket could \
             be: name it"
        ))
    })?;
    if runtime_folder().is_none() {
        std::fs::create_dir_all(&folder).map_err(|error| {
            Failure::usage(format!("the database's folder {folder:?} cannot be created: {}", limit::explain(&error)))
        })?;
    }
    Ok(folder)
}
