//! The plugin that worked last, if it is to be remembered: it answers after a start with one that cannot be used.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Storage;
use crate::limit;
use crate::plugin::{Inspection, Instances, last_good};
use crate::threads;

#[derive(Default)]
pub(super) struct LastGood {
    path: Option<PathBuf>,
    /// The plugin that answers instead of the configured one, and why.
    standing_in: Option<(Arc<Inspection>, String)>,
}

impl LastGood {
    /// `reason` says why `instances` are not those of the configured plugin, if they are not.
    pub fn new(path: Option<&Path>, instances: &Instances, reason: Option<String>) -> Self {
        let standing_in = reason.map(|reason| (instances.inspection().clone(), reason));
        Self { path: path.map(Into::into), standing_in }
    }

    /// Whether components are to be remembered.
    pub fn is_wanted(&self) -> bool {
        self.path.is_some()
    }

    /// Why this plugin answers instead of the configured one, if it does.
    pub fn reason(&self, instances: &Instances) -> Option<String> {
        let (inspection, reason) = self.standing_in.as_ref()?;
        Arc::ptr_eq(inspection, instances.inspection()).then(|| reason.clone())
    }
}

impl Storage {
    /// Remembers a plugin that works, if that is wanted, in the background and once.
    pub(super) fn remember(&self, instances: &Instances) {
        let Some(path) = self.last_good.path.clone() else { return };
        let Some(component) = instances.take_component() else { return };
        let plugin = instances.inspection().origin.clone();
        drop(threads::spawn(move || match last_good::keep(&path, &component) {
            Ok(()) => tracing::info!(%plugin, file = %path.display(), "the plugin is remembered as the last good one"),
            Err(error) => tracing::warn!(
                file = %path.display(), error = limit::explain(&error),
                "the plugin cannot be remembered as the last good one: see COFFERDAM_LAST_GOOD_PLUGIN"
            ),
        }));
    }
}
