//! Why the bot ends, and what that is as an exit code.

use std::net::SocketAddr;

use cofferdam::StartError;
use cofferdam::ops::SocketError;

use crate::journal::JournalError;

/// Why the bot cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BotError {
    /// A setting is wrong, or a file that it names.
    #[error("{0}")]
    Settings(String),
    /// The environment describes no storage.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The database is unavailable, with `COFFERDAM_ON_UNAVAILABLE=fail`, or of no use.
    #[error("the storage does not open: {0}")]
    Storage(#[from] cofferdam::Error),
    /// The journal is of no use, or another process has it.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Discord does not want this bot as it is.
    #[error("{0}")]
    Refused(String),
    /// The address of the probes cannot be had.
    #[error("BOT_LISTEN: {address} cannot be listened on: {error}; name another address, or off")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// The administration socket cannot be had.
    #[error("--admin-socket (COFFERDAM_ADMIN_SOCKET) is {0}")]
    Socket(#[from] SocketError),
    /// Anything of the machine.
    #[error(transparent)]
    Machine(#[from] std::io::Error),
}

impl BotError {
    /// The exit code, as `cofferdam-bot --help` lists them.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::Start(_) | Self::Listen { .. } | Self::Socket(_) => 2,
            Self::Journal(JournalError::NotJournal { .. }) => 2,
            Self::Storage(error) if error.is_retryable() => 3,
            Self::Refused(_) => 4,
            Self::Journal(JournalError::InUse { .. }) => 5,
            Self::Storage(_) | Self::Journal(_) | Self::Machine(_) => 1,
        }
    }
}
