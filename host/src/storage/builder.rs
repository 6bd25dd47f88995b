//! What a storage is built of, and with which plugin.

use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Storage;
use super::last_good::LastGood;
use super::serving::Serving;
use super::swap::{self, History};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigError, Origin};
use crate::model::Limits;
use crate::plugin::{Contents, Inspection, Instances, Pace, PluginError, Setup};
use crate::sql::Purpose;

/// Why a [`Storage`] could not be created. No database has been contacted yet.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The environment is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The component is missing, is not a component, or has another contract version.
    #[error(transparent)]
    Plugin(#[from] PluginError),
}

/// Builds a [`Storage`], or another kind of storage on top of one, from a [`Config`] and further options.
pub struct StorageBuilder<S = Storage> {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    purpose: Purpose,
    /// Whether the last good plugin may answer instead of one that cannot be used.
    may_stand_in: bool,
    makes: PhantomData<fn() -> S>,
}

impl<S> StorageBuilder<S> {
    pub(crate) fn new(config: Config) -> Self {
        let (clock, limits) = (Arc::new(SystemClock), Limits::standard());
        let (purpose, may_stand_in) = (Purpose::Serve, false);
        Self { config, clock, limits, purpose, may_stand_in, makes: PhantomData }
    }

    /// Another wall clock for the backend and for what is noted beside the database, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Other limits than [`Limits::standard`].
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

impl StorageBuilder {
    /// Opens the database read-only: nothing in it is changed, and operations that write fail with
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied). A SQLite file must exist.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.purpose = Purpose::Read;
        self
    }

    /// Lets the last good plugin answer where the configured one cannot be used, if the configuration allows that.
    #[must_use]
    pub(crate) fn may_stand_in(mut self) -> Self {
        self.may_stand_in = true;
        self
    }

    /// Opens the database for writing much at a time: SQLite's writer gets a cache of 32 MiB, and on MySQL changes of the schema
    /// give way to those who use the tables.
    #[must_use]
    pub(crate) fn bulk(mut self) -> Self {
        self.purpose = Purpose::Bulk;
        self
    }

    /// Loads the component. Blocks while it is compiled, up to half a second, unless its code is cached.
    ///
    /// # Errors
    ///
    /// The component is missing, is not a component, has another contract version, or is for another database than the
    /// configured one.
    pub fn build(self) -> Result<Storage, StartError> {
        let Self { config, clock, limits, purpose, may_stand_in, .. } = self;
        let since = swap::seconds(&*clock);
        let last_good = config.last_good_plugin.as_deref().filter(|_| may_stand_in);
        let (instances, reason) = match load(&config, limits, &clock, last_good.is_some()) {
            Ok(instances) => (instances, None),
            Err(error) => {
                let standing_in = last_good.and_then(|path| stand_in(&config, path, &error, limits, &clock));
                match standing_in {
                    Some(instances) => (instances, Some(error.to_string())),
                    None => return Err(error.into()),
                }
            }
        };
        Ok(Storage {
            last_good: LastGood::new(last_good, &instances, reason),
            serving: Serving::new(instances, since),
            config,
            purpose,
            upgraded_unchecked: AtomicBool::new(false),
            opening: tokio::sync::Mutex::new(()),
            history: History::default(),
        })
    }
}

/// The configured plugin.
fn load(config: &Config, limits: Limits, clock: &Arc<dyn Clock>, keep: bool) -> Result<Instances, PluginError> {
    let origin = config.plugin.resolve(config.database.engine())?;
    load_from(config, origin, limits, clock, keep)
}

fn load_from(
    config: &Config,
    origin: Origin,
    limits: Limits,
    clock: &Arc<dyn Clock>,
    keep: bool,
) -> Result<Instances, PluginError> {
    let contents = Contents::read(origin)?;
    if let Some(expected) = &config.plugin_sha256
        && !contents.has(expected)
    {
        let Inspection { origin, sha256: actual, .. } = contents.inspection;
        return Err(PluginError::Checksum { origin, expected: expected.clone(), actual });
    }
    let (cache, clock, account) = (config.cache.as_deref(), clock.clone(), Arc::default());
    let instances = Instances::load(contents, Setup { cache, limits, clock, account, pace: Pace::Alone, keep })?;
    check_engine(&instances, config)?;
    Ok(instances)
}

/// The plugin in this file, instead of one that cannot be used for this reason; `None` where it is of no use either. A pinned
/// SHA-256 counts for both.
fn stand_in(
    config: &Config,
    path: &Path,
    error: &PluginError,
    limits: Limits,
    clock: &Arc<dyn Clock>,
) -> Option<Instances> {
    let is_of_plugin = !matches!(error, PluginError::Runtime { .. } | PluginError::NoRoom { .. });
    if !is_of_plugin || !path.exists() {
        return None;
    }
    match load_from(config, path.to_owned().into(), limits, clock, false) {
        Ok(instances) => {
            tracing::error!(%error, last_good = %path.display(), "the last good plugin answers instead of the configured one");
            Some(instances)
        }
        Err(of_last_good) => {
            tracing::error!(error = %of_last_good, "the last good plugin cannot be used either");
            None
        }
    }
}

/// Refuses a backend for another kind of database than the configured one.
pub(super) fn check_engine(instances: &Instances, config: &Config) -> Result<(), PluginError> {
    let (plugin, configured) = (instances.description().engine, config.database.engine());
    match plugin == configured {
        true => Ok(()),
        false => Err(PluginError::Engine {
            origin: instances.inspection().origin.clone(),
            plugin: plugin.name(),
            configured: configured.name(),
        }),
    }
}
