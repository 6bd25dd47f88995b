//! The environment, read and judged.

mod mirror;
pub(super) mod mysql;
mod resilience;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::claims::of_conflict;
use super::duration::{format_duration, parse_duration};
use super::variables::{misspelt, variable_named};
use super::{Config, ConfigError, DatabaseConfig, PluginSource, PoolConfig, SqliteConfig, Timeouts};
use crate::engines::{Engine, with_engines};
use crate::files::{FilePath, FileUse, slip};

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
        let names: Vec<_> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
        for (name, meant) in misspelt(names.iter().map(String::as_str)) {
            tracing::warn!("{name} is set, but is not a variable of Cofferdam: set {meant} if that is meant");
        }
        Self::from_lookup(&|name| std::env::var_os(name))
    }

    /// As [`from_env`](Self::from_env), from something else than the environment of this process.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        Self::read(lookup, FileUse::Database)
    }

    /// As [`from_lookup`](Self::from_lookup). `usage` says whether a SQLite file is written or read alone.
    pub(super) fn read(lookup: &dyn Fn(&str) -> Option<OsString>, usage: FileUse) -> Result<Self, ConfigError> {
        let mut reader = Reader { lookup, usage, mistakes: Vec::new(), wrong: BTreeSet::new() };
        let mut config = Self {
            database: reader.database(),
            plugin: reader.plugin(),
            plugin_sha256: reader.plugin_sha256(),
            last_good_plugin: reader.path("COFFERDAM_LAST_GOOD_PLUGIN", FileUse::Output),
            cache: reader.cache(),
            pool: reader.pool(),
            timeouts: reader.timeouts(),
            resilience: reader.resilience(),
            mirror: None,
            integrity_check: reader.integrity_check(),
            message_recovery_window: Duration::from_secs(
                // Up to a year.
                60 * u64::from(reader.number("MESSAGE_RECOVERY_WINDOW_MINUTES", 1..=525_600)),
            ),
        };
        config.mirror = reader.mirror(&config.database);
        if let Some((one, other)) = config.conflict()
            && !reader.wrong.contains(one)
            && !reader.wrong.contains(other)
        {
            reader.wrong(one, of_conflict(other));
        }
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
    /// Of a SQLite file.
    usage: FileUse,
    mistakes: Vec<String>,
    wrong: BTreeSet<&'static str>,
}

impl Reader<'_> {
    fn wrong(&mut self, name: &'static str, problem: impl AsRef<str>) {
        self.wrong.insert(name);
        self.mistakes.push(format!("{name} {}", problem.as_ref()));
    }

    /// As [`wrong`](Self::wrong), of a value that is no secret: with what may be left in it of a shell or an env file.
    fn wrong_value(&mut self, name: &'static str, problem: impl AsRef<str>) {
        let text = self.raw(name).and_then(|value| value.into_string().ok());
        if let Some(slip) = text.as_deref().and_then(slip::of) {
            return self.wrong(name, format!("{}; it {slip}", problem.as_ref()));
        }
        self.wrong(name, problem);
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

    /// A file's or a folder's name; `None` also for one that nobody meant, which is noted.
    fn path(&mut self, name: &'static str, usage: FileUse) -> Option<PathBuf> {
        match FilePath::new(self.raw(name)?, usage, self.home().as_deref()) {
            Ok(path) => Some(path.into()),
            Err(error) => {
                self.wrong(name, error.to_string());
                None
            }
        }
    }

    fn home(&self) -> Option<PathBuf> {
        self.raw("HOME").map(PathBuf::from).filter(|path| path.is_absolute())
    }

    fn number(&mut self, name: &'static str, accepted: RangeInclusive<u32>) -> u32 {
        let text = self.text_or_default(name);
        match text.parse() {
            // `parse` also takes a sign.
            Ok(number) if accepted.contains(&number) && !text.starts_with('+') => number,
            _ => {
                let (least, most) = accepted.into_inner();
                self.wrong_value(
                    name,
                    format!("is {}: it must be a whole number from {least} to {most}", shown(&text)),
                );
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
            Some(_) => self.wrong_value(name, format!("is {}: it must be from {from} to {to}", shown(&text))),
            None => self.wrong_value(
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
        const NAME: &str = "DATABASE_TYPE";
        let kind = self.text_or_default(NAME);
        macro_rules! read {
            ($($(#[$doc:meta])* $variant:ident, $name:literal, $module:ident, $config:ident;)*) => {
                match kind.as_str() {
                    $($name => DatabaseConfig::$variant(self.$module()),)*
                    other => {
                        let advice = match slip::cleaned(other).to_ascii_lowercase().as_str() {
                            "sqlite" | "sqlite3" | "sqlite2" | "file" => "; write sqlite",
                            "mysql" | "mysql2" | "mysqli" | "mysql8" | "mariadb" | "percona" => {
                                "; write mysql, also for MariaDB"
                            }
                            "postgres" | "postgresql" | "pg" | "pgsql" => "; there is no backend for PostgreSQL",
                            _ => "",
                        };
                        let names: Vec<_> = Engine::ALL.iter().map(|engine| engine.name()).collect();
                        let problem = format!("is {}: it must be {}{advice}", shown(other), names.join(" or "));
                        self.wrong_value(NAME, problem);
                        DatabaseConfig::Sqlite(self.sqlite())
                    }
                }
            };
        }
        with_engines!(read)
    }

    fn sqlite(&mut self) -> SqliteConfig {
        const NAME: &str = "DATABASE_PATH";
        let named = self.path(NAME, self.usage);
        if named.is_some() || self.wrong.contains(NAME) {
            return SqliteConfig { path: named.unwrap_or_default() };
        }
        let path = PathBuf::from(default(NAME));
        // Of the default what is there may be of no use.
        if let Err(error) = FilePath::new(&path, self.usage, None) {
            self.wrong(NAME, error.to_string());
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

    fn integrity_check(&mut self) -> bool {
        const NAME: &str = "COFFERDAM_INTEGRITY_CHECK";
        match self.text_or_default(NAME).as_str() {
            "on" => true,
            "off" => false,
            other => {
                self.wrong(NAME, format!("is {}: it must be on or off", shown(other)));
                true
            }
        }
    }

    fn plugin(&mut self) -> PluginSource {
        let file = self.path("COFFERDAM_PLUGIN", FileUse::Input);
        match (file, self.path("COFFERDAM_PLUGINS", FileUse::Input)) {
            (Some(file), _) => PluginSource::File(file),
            (None, Some(folder)) => PluginSource::Folder(folder),
            (None, None) => PluginSource::BesideOrEmbedded,
        }
    }

    fn plugin_sha256(&mut self) -> Option<String> {
        const NAME: &str = "COFFERDAM_PLUGIN_SHA256";
        let text = self.text(NAME)?;
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            self.wrong_value(
                NAME,
                format!("is {}: it must be 64 hexadecimal digits, as sha256sum prints them", shown(&text)),
            );
        }
        Some(text.to_ascii_lowercase())
    }

    fn cache(&mut self) -> Option<PathBuf> {
        const NAME: &str = "COFFERDAM_CACHE";
        match self.raw(NAME) {
            Some(folder) if folder == "off" => return None,
            Some(folder) if folder.eq_ignore_ascii_case("off") => {
                self.wrong(NAME, format!("is {}: write off", shown_path(Path::new(&folder))));
                return None;
            }
            Some(_) => return self.path(NAME, FileUse::Folder),
            None => {}
        }
        // The XDG base directory specification says to ignore a relative path. One that nobody meant is no place either.
        let absolute = |name| {
            let path = self.raw(name).map(PathBuf::from).filter(|path| path.is_absolute())?;
            FilePath::new(&path, FileUse::Folder, None).ok().map(PathBuf::from)
        };
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
    crate::files::read_small(path, MAX_FILE)
}
