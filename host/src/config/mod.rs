//! The configuration: what is read of the environment. [`Config::from_env`] reads all but the variables of OpenTelemetry.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::engines::{Engine, with_engines};

mod claims;
mod duration;
mod locate;
mod mirror;
mod mysql;
#[cfg(feature = "traces")]
mod otlp;
mod place;
mod read;
mod resilience;
mod sockets;
mod spec;
mod sqlite;
mod variables;

#[cfg(test)]
mod tests;

pub use self::claims::{Claim, claimed, claims_of};
pub use self::mirror::MirrorConfig;
pub use self::resilience::{BreakerConfig, OnUnavailable, ResilienceConfig, RetryConfig, START_WAIT, SpoolConfig};
pub use self::sockets::{ADMIN_SOCKET, runtime_folder};
pub use duration::{format_duration, parse_duration};
pub use locate::{Embedded, Origin, PluginNotFound};
pub use mysql::{HostPolicy, HostPort, MysqlConfig, Tls, TlsMode};
#[cfg(feature = "traces")]
pub(crate) use otlp::Collector;
pub use place::Place;
pub(crate) use read::mysql::read_password;
pub(crate) use spec::Passwords;
pub use spec::{Spec, SpecError};
pub use sqlite::SqliteConfig;
pub use variables::{VARIABLES, Variable, misspelt, variable_named};

/// The configuration of a [`Storage`](crate::Storage) or a [`ResilientStorage`](crate::ResilientStorage).
#[derive(Clone, Debug)]
pub struct Config {
    /// Which database, and how to reach it.
    pub database: DatabaseConfig,
    /// Where the backend's component is.
    pub plugin: PluginSource,
    /// The SHA-256 that the component must have, in hexadecimal.
    pub plugin_sha256: Option<String>,
    /// A file that keeps a copy of the plugin that worked last, for a start of a
    /// [`ResilientStorage`](crate::ResilientStorage) with one that cannot be used; `None` fails such a start.
    pub last_good_plugin: Option<PathBuf>,
    /// The folder for compiled code; `None` compiles at every start.
    pub cache: Option<PathBuf>,
    /// The connection pool.
    pub pool: PoolConfig,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// What a [`ResilientStorage`](crate::ResilientStorage) does while the database is unavailable.
    pub resilience: ResilienceConfig,
    /// A second database to which a [`ResilientStorage`](crate::ResilientStorage) also writes.
    pub mirror: Option<MirrorConfig>,
    /// How far back the bot looks after a restart.
    pub message_recovery_window: Duration,
    /// Whether a SQLite file is checked for damage before an upgrade, an export or a migration.
    pub integrity_check: bool,
}

/// Where a backend's component comes from. Without saying anything: [`BesideOrEmbedded`](Self::BesideOrEmbedded).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PluginSource {
    /// This file.
    File(PathBuf),
    /// `sqlite.wasm` or `mysql.wasm` in this folder.
    Folder(PathBuf),
    /// `sqlite.wasm` or `mysql.wasm` in `plugins` beside the running executable or beside its folder; where there is none, the
    /// one that comes with the feature `backends`.
    #[default]
    BesideOrEmbedded,
    /// This one, which is part of the program. No file is looked for.
    Embedded(Embedded),
}

macro_rules! database_config {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $module:ident, $config:ident;)*) => {
        /// Which database, and how to reach it.
        #[derive(Clone, Debug)]
        pub enum DatabaseConfig {
            $($(#[$doc])* $variant($config),)*
        }

        impl DatabaseConfig {
            /// The kind of the database.
            pub fn engine(&self) -> Engine {
                match self {
                    $(Self::$variant(_) => Engine::$variant,)*
                }
            }

            /// Where it is.
            pub fn place(&self) -> Place<'_> {
                match self {
                    $(Self::$variant(config) => config.place(),)*
                }
            }

            /// The files that it uses.
            fn claims(&self) -> Vec<Claim> {
                match self {
                    $(Self::$variant(config) => config.claims(),)*
                }
            }

            /// Reports a failed connection at once, instead of after several attempts: for a command that an operator
            /// watches.
            pub fn attempt_once(&mut self) {
                match self {
                    $(Self::$variant(config) => config.attempt_once(),)*
                }
            }
        }
    };
}
with_engines!(database_config);

impl DatabaseConfig {
    /// The file that holds it, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self.place() {
            Place::File(path) => Some(path),
            Place::Server { .. } => None,
        }
    }

    /// Whether both are one database, as far as that can be told without asking it.
    fn is_same(&self, other: &Self) -> bool {
        self.engine() == other.engine() && self.place().is_same(&other.place())
    }
}

/// The connection pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Maximum number of open connections. On SQLite one of them writes.
    pub max_open: usize,
    /// Maximum number of idle connections at rest. On MySQL those that a burst has opened are kept for a few seconds more, for
    /// the next one.
    pub max_idle: usize,
    /// Age at which a connection is replaced.
    pub lifetime: Duration,
    /// Time after which an idle connection is closed.
    pub idle_timeout: Duration,
    /// Timeout of waiting for a free connection.
    pub acquire_timeout: Duration,
}

impl Default for PoolConfig {
    /// 10 open, 5 idle, one hour of life, as the original; 10 minutes unused, 5 seconds of waiting.
    fn default() -> Self {
        Self {
            max_open: 10,
            max_idle: 5,
            lifetime: Duration::from_secs(3600),
            idle_timeout: Duration::from_secs(600),
            acquire_timeout: Duration::from_secs(5),
        }
    }
}

/// The deadline of each kind of operation, which covers everything that the host does for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Operations on one row, health checks and cleanups.
    pub operation: Duration,
    /// Operations that return lists, exports and imports.
    pub list: Duration,
    /// `initialize`, which may have to upgrade a large table.
    pub initialize: Duration,
    /// `close`, which waits for operations in flight.
    pub close: Duration,
}

impl Default for Timeouts {
    /// 5 seconds for an operation and 30 for a list, as the original's callers have it; 2 minutes to initialise,
    /// 10 seconds to close.
    fn default() -> Self {
        Self {
            operation: Duration::from_secs(5),
            list: Duration::from_secs(30),
            initialize: Duration::from_secs(120),
            close: Duration::from_secs(10),
        }
    }
}

/// A secret text: its `Debug` and `Display` print `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What may be wrong with it, without showing it, where a server says that it is wrong.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        crate::files::slip::of_secret(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Every mistake in the environment, each by the name of its variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);
