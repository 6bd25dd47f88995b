//! The environment, read and judged.

mod mirror;
pub(super) mod mysql;
mod resilience;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::duration::{format_duration, parse_duration};
use super::variables::variable_named;
use super::{Config, ConfigError, DatabaseConfig, PluginSource, PoolConfig, SqliteConfig, Timeouts};
use crate::engines::{Engine, with_engines};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// Far more than a password or a bundle of certificates needs, and little enough to read.
const MAX_FILE: u64 = 1 << 20;

impl Config {
    /// Reads the environment of this process. `config::VARIABLES` lists what is looked at.
    ///
    /// # Errors
    ///
    /// All mistakes at once, each by the name of its variable, with what is accepted. The values of secrets are not
    /// in it.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(&|name| std::env::var_os(name))
    }

    /// As [`from_env`](Self::from_env), from something else than the environment of this process.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let mut reader = Reader { lookup, mistakes: Vec::new(), wrong: BTreeSet::new() };
        let mut config = Self {
            database: reader.database(),
            plugin: reader.plugin(),
            plugin_sha256: reader.plugin_sha256(),
            cache: reader.cache(),
            pool: reader.pool(),
            timeouts: reader.timeouts(),
            resilience: reader.resilience(),
            mirror: None,
            message_recovery_window: Duration::from_secs(
                // Up to a year.
                60 * u64::from(reader.number("MESSAGE_RECOVERY_WINDOW_MINUTES", 1..=525_600)),
            ),
        };
        config.mirror = reader.mirror(&config.database);
        match reader.mistakes.is_empty() {
            true => Ok(config),
            false => Err(ConfigError(reader.mistakes)),
        }
    }
}

/// Collects mistakes instead of stopping at the first; what it returns in place of a wrong value is thrown away
/// with the whole configuration.
struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
    mistakes: Vec<String>,
    wrong: BTreeSet<&'static str>,
}

impl Reader<'_> {
    fn wrong(&mut self, name: &'static str, problem: impl AsRef<str>) {
        self.wrong.insert(name);
        self.mistakes.push(format!("{name} {}", problem.as_ref()));
    }

    fn raw(&self, name: &'static str) -> Option<OsString> {
        debug_assert!(
            variable_named(name).is_some() || matches!(name, "XDG_CACHE_HOME" | "HOME"),
            "{name} is in no table"
        );
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    fn text(&mut self, name: &'static str) -> Option<String> {
        match self.raw(name)?.into_string() {
            Ok(text) => Some(text),
            Err(_) => {
                self.wrong(name, "is not UTF-8: write it again");
                None
            }
        }
    }

    /// The value, or the default from the table of variables.
    fn text_or_default(&mut self, name: &'static str) -> String {
        self.text(name).unwrap_or_else(|| default(name).to_owned())
    }

    fn path(&self, name: &'static str) -> Option<PathBuf> {
        self.raw(name).map(PathBuf::from)
    }

    fn number(&mut self, name: &'static str, accepted: RangeInclusive<u32>) -> u32 {
        let text = self.text_or_default(name);
        match text.parse() {
            // `parse` also takes a sign.
            Ok(number) if accepted.contains(&number) && !text.starts_with('+') => number,
            _ => {
                let (least, most) = accepted.into_inner();
                self.wrong(name, format!("is {}: it must be a whole number from {least} to {most}", shown(&text)));
                least
            }
        }
    }

    fn duration(&mut self, name: &'static str, accepted: RangeInclusive<Duration>) -> Duration {
        let text = self.text_or_default(name);
        let (least, most) = accepted.into_inner();
        let (from, to) = (format_duration(least), format_duration(most));
        match parse_duration(&text) {
            Some(duration) if least <= duration && duration <= most => return duration,
            Some(_) => self.wrong(name, format!("is {}: it must be from {from} to {to}", shown(&text))),
            None => self.wrong(
                name,
                format!(
                    "is {}: it must be a duration such as 500ms, 30s, 1m30s or 1.5h, from {from} to {to}",
                    shown(&text)
                ),
            ),
        }
        least
    }

    fn database(&mut self) -> DatabaseConfig {
        let kind = self.text_or_default("DATABASE_TYPE");
        macro_rules! read {
            ($($(#[$doc:meta])* $variant:ident, $name:literal, $module:ident, $config:ident;)*) => {
                match kind.as_str() {
                    $($name => DatabaseConfig::$variant(self.$module()),)*
                    other => {
                        let names: Vec<_> = Engine::ALL.iter().map(|engine| engine.name()).collect();
                        let message = format!("is {}: it must be {}", shown(other), names.join(" or "));
                        self.wrong("DATABASE_TYPE", message);
                        DatabaseConfig::Sqlite(self.sqlite())
                    }
                }
            };
        }
        with_engines!(read)
    }

    fn sqlite(&mut self) -> SqliteConfig {
        let path = self.path("DATABASE_PATH").unwrap_or_else(|| default("DATABASE_PATH").into());
        let bytes = path.as_os_str().as_encoded_bytes();
        if bytes == b":memory:" {
            // Every connection of the pool would have a database of its own.
            self.wrong("DATABASE_PATH", "is :memory:, which a pool of connections cannot share: name a file");
        } else if bytes.starts_with(b"file:") {
            self.wrong("DATABASE_PATH", "is a URI: name the file by its path alone");
        } else if bytes.ends_with(b"/") || path.is_dir() {
            self.wrong("DATABASE_PATH", format!("is {}, a folder: name a file in it", shown_path(&path)));
        }
        SqliteConfig { path }
    }

    fn pool(&mut self) -> PoolConfig {
        const OPEN: &str = "DATABASE_MAX_OPEN_CONNECTIONS";
        const IDLE: &str = "DATABASE_MAX_IDLE_CONNECTIONS";
        let max_open = self.number(OPEN, 1..=1000);
        let mut max_idle = self.number(IDLE, 1..=1000);
        if max_idle > max_open && !self.wrong.contains(OPEN) && !self.wrong.contains(IDLE) {
            if self.raw(IDLE).is_some() {
                self.wrong(
                    IDLE,
                    format!("is {max_idle}, more than {OPEN}, which is {max_open}: lower the one or raise the other"),
                );
            }
            max_idle = max_open;
        }
        PoolConfig {
            max_open: max_open as usize,
            max_idle: max_idle as usize,
            lifetime: self.duration("DATABASE_CONNECTION_LIFETIME", SECOND..=MONTH),
            idle_timeout: self.duration("DATABASE_IDLE_TIMEOUT", SECOND..=MONTH),
            acquire_timeout: self.duration("DATABASE_ACQUIRE_TIMEOUT", MILLISECOND..=HOUR),
        }
    }

    fn timeouts(&mut self) -> Timeouts {
        let accepted = MILLISECOND..=24 * HOUR;
        Timeouts {
            operation: self.duration("COFFERDAM_OPERATION_TIMEOUT", accepted.clone()),
            list: self.duration("COFFERDAM_LIST_TIMEOUT", accepted.clone()),
            initialize: self.duration("COFFERDAM_INITIALIZE_TIMEOUT", accepted.clone()),
            close: self.duration("COFFERDAM_CLOSE_TIMEOUT", accepted),
        }
    }

    fn plugin(&mut self) -> PluginSource {
        match (self.path("COFFERDAM_PLUGIN"), self.path("COFFERDAM_PLUGINS")) {
            (Some(file), _) => PluginSource::File(file),
            (None, Some(folder)) => PluginSource::Folder(folder),
            (None, None) => PluginSource::BesideExecutable,
        }
    }

    fn plugin_sha256(&mut self) -> Option<String> {
        const NAME: &str = "COFFERDAM_PLUGIN_SHA256";
        let text = self.text(NAME)?;
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            self.wrong(
                NAME,
                format!("is {}: it must be 64 hexadecimal digits, as sha256sum prints them", shown(&text)),
            );
        }
        Some(text.to_ascii_lowercase())
    }

    fn cache(&mut self) -> Option<PathBuf> {
        if let Some(folder) = self.path("COFFERDAM_CACHE") {
            if folder.as_os_str() == "off" {
                return None;
            }
            if folder.is_file() {
                self.wrong("COFFERDAM_CACHE", format!("is {}, a file: name a folder, or off", shown_path(&folder)));
            }
            return Some(folder);
        }
        // The XDG base directory specification says to ignore a relative path.
        let absolute = |name| self.path(name).filter(|path| path.is_absolute());
        absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
            .map(|caches| caches.join("cofferdam/compiled"))
    }
}

/// The default that the table of variables gives.
fn default(name: &str) -> &'static str {
    variable_named(name).and_then(|variable| variable.default_value()).unwrap_or_default()
}

/// A value as a message may show it: short, without control characters, and not at all where it could be a URL with a
/// password in it.
fn shown(value: &str) -> String {
    if value.contains("://") || value.contains('@') {
        return "a URL or an address".into();
    }
    match value.char_indices().nth(60) {
        Some((end, _)) => format!("{:?} and more", &value[..end]),
        None => format!("{value:?}"),
    }
}

fn shown_path(path: &Path) -> String {
    format!("{path:?}")
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |cause: std::io::Error| format!("it cannot be read: {cause}");
    let mut bytes = Vec::new();
    File::open(path).map_err(cannot)?.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(cannot)?;
    match bytes.len() as u64 > MAX_FILE {
        true => Err("it is larger than 1 MiB".into()),
        false => Ok(bytes),
    }
}
