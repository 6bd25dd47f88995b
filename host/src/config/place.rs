//! Where a database is, whatever its engine.

use std::fmt;
use std::path::Path;

use super::HostPort;
use crate::files::{Whereabouts, is_same};

/// Where a database is.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// In this file.
    File(&'a Path),
    /// On servers.
    Server {
        /// The database's name.
        database: &'a str,
        /// The servers that have it.
        hosts: &'a [HostPort],
    },
}

impl Place<'_> {
    /// Whether both are one, as far as that can be told without asking it.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(other)) => is_same(one, other),
            (Self::Server { database: one, hosts }, Self::Server { database: other, hosts: others }) => {
                one == other && hosts.iter().any(|host| others.contains(host))
            }
            _ => false,
        }
    }
}

/// For people: the file's path from the root, or the database's name and the servers that have it.
impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", Whereabouts::of(path).path().display()),
            Self::Server { database, hosts } => {
                let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
                write!(f, "{database} on {}", hosts.join(", "))
            }
        }
    }
}
