//! What runs now, and what became of earlier swaps.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use super::error::SwapError;
use crate::config::Origin;
use crate::plugin::{Inspection, Instances};
use crate::threads::lock;

/// The components of which is remembered that they were swapped back.
const REMEMBERED: usize = 64;

/// A plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginIdentity {
    /// Its name, such as `sqlite`.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// The newest schema version that it supports.
    pub schema_version: u32,
    /// The SHA-256 of its component, in lower-case hexadecimal.
    pub sha256: String,
    /// Where it was found.
    pub origin: Origin,
}

impl PluginIdentity {
    pub(super) fn of(instances: &Instances) -> Self {
        let (description, inspection) = (instances.description(), instances.inspection());
        Self {
            name: description.name.clone(),
            version: description.version.clone(),
            schema_version: description.schema_version,
            sha256: inspection.sha256.clone(),
            origin: inspection.origin.clone(),
        }
    }
}

/// The plugin that answers now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginStatus {
    /// Which it is.
    pub plugin: PluginIdentity,
    /// Since when it answers, in seconds since the Unix epoch.
    pub since: i64,
    /// Whether its first operations are still being counted, so that the plugin before comes back if it fails in them.
    pub on_trial: bool,
    /// Why it answers instead of the configured one, if it is the last good one after a start with another that cannot be used.
    pub stands_in: Option<String>,
}

/// Swaps since the start of the storage.
#[derive(Clone, Debug, Default)]
pub struct SwapsStatus {
    /// Plugins that were swapped in.
    pub swapped: u64,
    /// Plugins that were refused, while the one before went on.
    pub refused: u64,
    /// Plugins that were swapped in, failed in their first operations, and were swapped back.
    pub swapped_back: u64,
    /// Swaps that are under way or wait for their turn.
    pub under_way: usize,
    /// The last one that ended.
    pub last: Option<LastSwap>,
}

/// The last swap of a plugin.
#[derive(Clone, Debug)]
pub struct LastSwap {
    /// When it ended, in seconds since the Unix epoch.
    pub at: i64,
    /// How long it took; for one that was swapped back, until it was swapped in.
    pub took: Duration,
    /// The plugin before.
    pub from: PluginIdentity,
    /// Where the other was found.
    pub to: Origin,
    /// The SHA-256 of its component, in lower-case hexadecimal; `None` if it could not be read.
    pub to_sha256: Option<String>,
    /// What became of it.
    pub outcome: SwapOutcome,
}

/// What became of a swap.
#[derive(Clone, Debug)]
pub enum SwapOutcome {
    /// The plugin was swapped in.
    Swapped,
    /// It was refused, and the one before goes on.
    Refused(SwapError),
    /// It was swapped in, failed in its first operations for this reason, and the one before answers again.
    SwappedBack(String),
}

impl SwapOutcome {
    /// The outcome's name, such as `swapped-back`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Swapped => "swapped",
            Self::Refused(_) => "refused",
            Self::SwappedBack(_) => "swapped-back",
        }
    }

    /// Why the plugin does not answer, if it does not.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Swapped => None,
            Self::Refused(error) => Some(error.to_string()),
            Self::SwappedBack(reason) => Some(reason.clone()),
        }
    }
}

#[derive(Default)]
pub(crate) struct History(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    status: SwapsStatus,
    /// SHA-256 and reason of components that were swapped back, the oldest first.
    distrusted: VecDeque<(String, String)>,
}

impl History {
    pub fn status(&self) -> SwapsStatus {
        lock(&self.0).status.clone()
    }

    /// Why a component was swapped back before.
    pub fn distrust(&self, sha256: &str) -> Option<String> {
        let inner = lock(&self.0);
        inner.distrusted.iter().find(|(known, _)| known == sha256).map(|(_, reason)| reason.clone())
    }

    /// Notes that a plugin was refused.
    pub fn refused(
        &self,
        at: i64,
        took: Duration,
        from: PluginIdentity,
        to: (Origin, Option<String>),
        error: SwapError,
    ) {
        let mut inner = lock(&self.0);
        inner.status.refused += 1;
        let ((to, to_sha256), outcome) = (to, SwapOutcome::Refused(error));
        inner.status.last = Some(LastSwap { at, took, from, to, to_sha256, outcome });
    }

    /// Notes that a plugin is swapped in.
    pub fn swapped(&self, at: i64, took: Duration, from: PluginIdentity, to: &Inspection) {
        let mut inner = lock(&self.0);
        inner.status.swapped += 1;
        inner.distrusted.retain(|(sha256, _)| *sha256 != to.sha256);
        let (to, to_sha256) = (to.origin.clone(), Some(to.sha256.clone()));
        inner.status.last = Some(LastSwap { at, took, from, to, to_sha256, outcome: SwapOutcome::Swapped });
    }

    /// Notes that `failed` was swapped back.
    pub fn swapped_back(&self, at: i64, before: PluginIdentity, failed: &Inspection, reason: String) {
        let mut inner = lock(&self.0);
        inner.status.swapped_back += 1;
        inner.distrusted.push_back((failed.sha256.clone(), reason.clone()));
        if inner.distrusted.len() > REMEMBERED {
            inner.distrusted.pop_front();
        }
        let took = inner.status.last.as_ref().map(|last| last.took).unwrap_or_default();
        let (to, to_sha256) = (failed.origin.clone(), Some(failed.sha256.clone()));
        let outcome = SwapOutcome::SwappedBack(reason);
        inner.status.last = Some(LastSwap { at, took, from: before, to, to_sha256, outcome });
    }
}
