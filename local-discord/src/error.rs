//! What can go wrong for whoever drives a local Discord.

use crate::id::Id;

/// An error of the driver. None is worth a retry: it says what the test got wrong, or that the machine refuses a port.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The port cannot be opened.
    #[error("cannot listen on {address}: {source}; choose another port, or 0 for any free one")]
    Listen {
        /// The address that was asked for.
        address: std::net::SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// There is no such guild, channel, user or message, or it was deleted.
    #[error("there is no {what} {id}: create it first, or look at /local/state for those that exist")]
    Unknown {
        /// The kind of thing.
        what: &'static str,
        /// The id that was given.
        id: Id,
    },
    /// A channel that is no thread cannot be archived, for example.
    #[error("{what} {id} {problem}")]
    Unfit {
        /// The kind of thing.
        what: &'static str,
        /// The id that was given.
        id: Id,
        /// Why it does not fit.
        problem: &'static str,
    },
    /// An act that does nothing at its moment.
    #[error("the fault {act} does not fit the moment {moment}: it would never do anything")]
    Fault {
        /// The act.
        act: String,
        /// The moment.
        moment: String,
    },
}

/// A result of the driver.
pub type Result<T, E = Error> = std::result::Result<T, E>;
