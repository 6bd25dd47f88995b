use std::sync::Arc;
use std::time::Duration;

use crate::config::{Origin, format_duration};
use crate::error::Error;
use crate::plugin::PluginError;

/// Why a plugin was not swapped. The one before goes on. Each message says which plugin, why, and what to do.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SwapError {
    /// The component cannot be used by this host.
    #[error(transparent)]
    Plugin(#[from] Arc<PluginError>),
    /// The request names something other than a file.
    #[error("plugin {origin} is not a regular file: name the file of a component")]
    NotAFile {
        /// What was named.
        origin: Origin,
    },
    /// The configuration pins a SHA-256, and the request names none.
    #[error(
        "plugin {origin} was not swapped in, since COFFERDAM_PLUGIN_SHA256 is set and the request names no SHA-256: name that \
         of the new file"
    )]
    Pinned {
        /// Where it was found.
        origin: Origin,
    },
    /// The component's SHA-256 is not the one in the request.
    #[error(
        "plugin {origin} has SHA-256 {actual}, but the request names {expected}: use the intended file, or correct the request"
    )]
    Checksum {
        /// Where it was found.
        origin: Origin,
        /// What the request names.
        expected: String,
        /// What it has.
        actual: String,
    },
    /// The component was swapped back before.
    #[error("plugin {origin} was swapped back before, since {reason}: use a corrected build, or force the swap")]
    SwappedBack {
        /// Where it was found.
        origin: Origin,
        /// Why it was swapped back.
        reason: String,
    },
    /// The component is for an older schema than the database has.
    #[error(
        "plugin {origin} is for schema version {plugin}, but the database has version {database}: use a plugin for version \
         {database}"
    )]
    OlderSchema {
        /// Where it was found.
        origin: Origin,
        /// The version that it knows.
        plugin: u32,
        /// The version that the database has.
        database: u32,
    },
    /// The component is for a newer schema than the database has, and the request does not allow an upgrade.
    #[error(
        "plugin {origin} is for schema version {plugin}, but the database has {}: allow the upgrade in the request, after \
         which there is no way back, or use a plugin for the present version",
        version(*database)
    )]
    NewerSchema {
        /// Where it was found.
        origin: Origin,
        /// The version that it needs.
        plugin: u32,
        /// The version that the database has; `None` if there are no tables.
        database: Option<u32>,
    },
    /// The component failed on the live database.
    #[error("plugin {origin} failed its rehearsal in {step} ({error}): use a corrected build")]
    Rehearsal {
        /// Where it was found.
        origin: Origin,
        /// The operation.
        step: &'static str,
        /// How it failed.
        error: Error,
    },
    /// The database does not answer, so the component cannot be rehearsed.
    #[error(
        "plugin {origin} cannot be rehearsed while the database is unavailable ({error}): try again when it is back"
    )]
    Unavailable {
        /// Where it was found.
        origin: Origin,
        /// How the database failed.
        error: Error,
    },
    /// The rehearsal took too long.
    #[error(
        "plugin {origin} was still being {doing} after {}: try again when the machine has less to do; code that was compiled \
         is kept",
        format_duration(*limit)
    )]
    Timeout {
        /// Where it was found.
        origin: Origin,
        /// Such as `compiled`.
        doing: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// Operations did not end in time, before the schema was touched.
    #[error(
        "plugin {origin} was not swapped in, since operations were still running after {}: try again when they have ended",
        format_duration(*limit)
    )]
    Undrained {
        /// Where it was found.
        origin: Origin,
        /// The limit.
        limit: Duration,
    },
    /// The schema could not be upgraded.
    #[error(
        "plugin {origin} could not upgrade the database ({error}), which now has {}: remove that cause, or use a plugin for \
         the present version",
        version(*database)
    )]
    Upgrade {
        /// Where it was found.
        origin: Origin,
        /// How it failed.
        error: Error,
        /// The version that the database has now, where it could be read.
        database: Option<u32>,
    },
    /// Other work is in the way.
    #[error("plugin {origin} was not swapped in, since {reason}: try again later")]
    Busy {
        /// Where it was found.
        origin: Origin,
        /// What is in the way.
        reason: &'static str,
    },
    /// The runtime ended before the swap did.
    #[error("plugin {origin} was not swapped in, since the runtime stopped")]
    Stopped {
        /// Where it was found.
        origin: Origin,
    },
}

impl SwapError {
    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Plugin(error) => matches!(**error, PluginError::NoRoom { .. }),
            Self::Unavailable { .. } | Self::Timeout { .. } | Self::Undrained { .. } | Self::Busy { .. } => true,
            Self::Upgrade { error, .. } => error.is_retryable(),
            Self::NotAFile { .. }
            | Self::Pinned { .. }
            | Self::Checksum { .. }
            | Self::SwappedBack { .. }
            | Self::OlderSchema { .. }
            | Self::NewerSchema { .. }
            | Self::Rehearsal { .. }
            | Self::Stopped { .. } => false,
        }
    }
}

impl From<PluginError> for SwapError {
    fn from(error: PluginError) -> Self {
        Arc::new(error).into()
    }
}

fn version(database: Option<u32>) -> String {
    database.map_or_else(|| "no tables that it knows".into(), |version| format!("version {version}"))
}
