//! What is asked of a swap, and what is answered.

use std::time::Duration;

use crate::config::PluginSource;

use super::history::PluginStatus;

/// Which plugin is to answer from now on. Without more, it is what the configuration finds now, such as a file that was replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct SwapRequest {
    pub(crate) source: Option<PluginSource>,
    pub(crate) sha256: Option<String>,
    pub(crate) terms: Terms,
}

/// On what terms a plugin may be swapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) upgrade_schema: bool,
    pub(crate) force: bool,
}

impl SwapRequest {
    /// The plugin that the configuration finds now.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another plugin, such as `PluginSource::File(path)`. The configuration is not changed: the next start loads what it names.
    pub fn from(source: impl Into<PluginSource>) -> Self {
        Self { source: Some(source.into()), ..Self::default() }
    }

    /// The SHA-256 that the component must have, in hexadecimal. Required if the configuration pins one, which is that of the
    /// component before.
    pub fn sha256(mut self, sha256: impl Into<String>) -> Self {
        self.sha256 = Some(sha256.into());
        self
    }

    /// Allows a newer schema: operations wait until the database is upgraded. There is no way back, and no trial.
    pub fn upgrade_schema(mut self) -> Self {
        self.terms.upgrade_schema = true;
        self
    }

    /// Loads the component also if it is the one that answers now, or one that was swapped back before.
    pub fn force(mut self) -> Self {
        self.terms.force = true;
        self
    }
}

/// What a swap came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwapReport {
    /// The plugin that answers now.
    pub plugin: PluginStatus,
    /// `false` where it is the one that answered before.
    pub swapped: bool,
    /// How long it took, from the request to the first operation on the new plugin.
    pub took: Duration,
    /// The schema versions before and after, where the database was upgraded. There is no way back to an older plugin.
    pub upgraded: Option<Upgraded>,
    /// Whether the plugin was rehearsed on the database. It was not if the storage is not initialised, or is closed.
    pub rehearsed: bool,
}

/// The upgrade of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upgraded {
    /// The version before; `None` if there were no tables.
    pub from: Option<u32>,
    /// The version now.
    pub to: u32,
}
