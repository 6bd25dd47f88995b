//! The names of databases: `sqlite:PATH`, `mysql://user@host:port/database`, `plugin:FILE`.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use super::{Config, ConfigError};
use crate::files::{FileNameError, FilePath, FileUse};

/// Where a database is, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spec {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A database on a MySQL or MariaDB server.
    Mysql {
        /// The user's name.
        user: String,
        /// Host name or address, without brackets.
        host: String,
        /// TCP port.
        port: u16,
        /// The database's name.
        database: String,
    },
    /// A component's file; where its database is comes from the environment.
    Plugin(PathBuf),
}

/// Why such a name is malformed. The name is repeated only if it names a file, since a URL may contain a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// There is a password in it.
    #[error(
        "there is a password in the URL, where other users of this machine can read it: leave it out, and set \
         MYSQL_PASSWORD or MYSQL_PASSWORD_FILE, or for this database alone COFFERDAM_FROM_PASSWORD, COFFERDAM_TO_PASSWORD \
         or COFFERDAM_MIRROR_PASSWORD, or the same with _FILE"
    )]
    Password,
    /// It is none of the three forms.
    #[error(
        "it begins with none of sqlite:, mysql:// and plugin:; write sqlite:PATH, mysql://user@host:port/database or \
         plugin:FILE"
    )]
    Scheme,
    /// A file's name is missing.
    #[error("it names no file; write sqlite:PATH or plugin:FILE")]
    NoFile,
    /// The name of a file is malformed.
    #[error("the file {0}")]
    File(#[source] FileNameError),
    /// A part of the URL is missing or superfluous.
    #[error("the URL {0}; write mysql://user@host:port/database, the port may be left out")]
    Url(&'static str),
}

/// The variables that have the password of one database alone.
#[derive(Clone, Copy)]
pub(crate) struct Passwords {
    pub value: &'static str,
    pub file: &'static str,
}

impl Spec {
    /// Reads a database's name.
    ///
    /// # Errors
    ///
    /// Where it is none, without repeating it.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let file = |path: &str, usage| match path {
            "" => Err(SpecError::NoFile),
            path => FilePath::new(path, usage, None).map(PathBuf::from).map_err(SpecError::File),
        };
        if let Some(path) = text.strip_prefix("sqlite:") {
            // Whether it is written is known where it is opened.
            return file(path, FileUse::Source).map(Self::Sqlite);
        }
        if let Some(path) = text.strip_prefix("plugin:") {
            return file(path, FileUse::Input).map(Self::Plugin);
        }
        match text.strip_prefix("mysql://") {
            Some(rest) => url(rest),
            None if has_password(text) => Err(SpecError::Password),
            None => Err(SpecError::Scheme),
        }
    }

    /// The configuration that this names, with everything else from the environment.
    ///
    /// For `sqlite:` and `mysql:` the component is one of those that the folder `COFFERDAM_PLUGINS` holds, or else one of the
    /// [default](super::PluginSource::BesideOrEmbedded). It has neither a spool nor a mirror: those are of the bot's own database.
    /// `passwords` are looked at before `MYSQL_PASSWORD` and `MYSQL_PASSWORD_FILE`. `usage` says whether a SQLite file is
    /// written or read alone.
    ///
    /// # Errors
    ///
    /// Every mistake at once, by the names of its variables.
    pub(crate) fn config(
        &self,
        passwords: Passwords,
        usage: FileUse,
        lookup: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Config, ConfigError> {
        let lookup = |name: &str| match name {
            "COFFERDAM_SPOOL" | "COFFERDAM_MIRROR" | "COFFERDAM_SHADOW_READS" => None,
            name => lookup(name),
        };
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let has_own = set(passwords.value).is_some() || set(passwords.file).is_some();
        let with_password = |name: &str| match name {
            "MYSQL_PASSWORD" if has_own => lookup(passwords.value),
            "MYSQL_PASSWORD_FILE" if has_own => lookup(passwords.file),
            name => lookup(name),
        };
        let read = |lookup: &dyn Fn(&str) -> Option<OsString>| Config::read(lookup, usage);
        let config = match self {
            Self::Plugin(path) => read(&|name| match name {
                "COFFERDAM_PLUGIN" => Some(path.into()),
                name => with_password(name),
            }),
            Self::Sqlite(path) => read(&|name| match name {
                "DATABASE_TYPE" => Some("sqlite".into()),
                "DATABASE_PATH" => Some(path.into()),
                "COFFERDAM_PLUGIN" | "COFFERDAM_PLUGIN_SHA256" => None,
                name => lookup(name),
            }),
            Self::Mysql { user, host, port, database } => read(&|name| match name {
                "DATABASE_TYPE" => Some("mysql".into()),
                "MYSQL_HOST" => Some(host.into()),
                "MYSQL_PORT" => Some(port.to_string().into()),
                "MYSQL_DATABASE" => Some(database.into()),
                "MYSQL_USERNAME" => Some(user.into()),
                "COFFERDAM_PLUGIN" | "COFFERDAM_PLUGIN_SHA256" => None,
                name => with_password(name),
            }),
        };
        config.map_err(|ConfigError(mistakes)| {
            let named = |mistake: String| match has_own {
                true => {
                    mistake.replace("MYSQL_PASSWORD_FILE", passwords.file).replace("MYSQL_PASSWORD", passwords.value)
                }
                false => mistake,
            };
            ConfigError(mistakes.into_iter().map(named).collect())
        })
    }
}

/// As it is parsed; a file by its path from the root, so that the same name means the same file everywhere.
impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Plugin(path) => write!(f, "plugin:{}", path.display()),
            Self::Mysql { user, host, port, database } if host.contains(':') => {
                write!(f, "mysql://{user}@[{host}]:{port}/{database}")
            }
            Self::Mysql { user, host, port, database } => write!(f, "mysql://{user}@{host}:{port}/{database}"),
        }
    }
}

fn url(rest: &str) -> Result<Spec, SpecError> {
    // Whatever its characters are, a password is followed by the last `@`.
    let (user, place) = rest.rsplit_once('@').ok_or(SpecError::Url("names no user"))?;
    if user.contains(':') {
        return Err(SpecError::Password);
    }
    let (address, database) = place.split_once('/').ok_or(SpecError::Url("names no database"))?;
    if database.contains(['/', '?', '#']) {
        return Err(SpecError::Url("has more than a database after the host"));
    }
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(SpecError::Url("has a bracket without an end"))?;
            (host, port.strip_prefix(':').or(Some(port).filter(|port| port.is_empty())))
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, Some("")),
        },
    };
    let port = match port.ok_or(SpecError::Url("has something between host and port"))? {
        "" => 3306,
        port => match port.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err(SpecError::Url("has a port that is no number from 1 to 65535")),
        },
    };
    let (user, database) = (decoded(user)?, decoded(database)?);
    if user.is_empty() {
        return Err(SpecError::Url("names no user"));
    }
    if host.is_empty() {
        return Err(SpecError::Url("names no host"));
    }
    if database.is_empty() {
        return Err(SpecError::Url("names no database"));
    }
    Ok(Spec::Mysql { user, host: host.to_owned(), port, database })
}

fn has_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    rest.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Result<String, SpecError> {
    const WRONG: SpecError = SpecError::Url("has a % that is not followed by two hexadecimal digits of UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_first_chunk::<2>().ok_or(WRONG)?;
        let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(WRONG);
        bytes.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| WRONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mysql(user: &str, host: &str, port: u16, database: &str) -> Spec {
        Spec::Mysql { user: user.into(), host: host.into(), port, database: database.into() }
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(Spec::parse("sqlite:./a b.db"), Ok(Spec::Sqlite("./a b.db".into())));
        assert_eq!(Spec::parse("plugin:/x/mine.wasm"), Ok(Spec::Plugin("/x/mine.wasm".into())));
        assert_eq!(Spec::parse("mysql://bot@db.example:3307/state"), Ok(mysql("bot", "db.example", 3307, "state")));
        assert_eq!(Spec::parse("mysql://bot@db/state"), Ok(mysql("bot", "db", 3306, "state")));
        assert_eq!(Spec::parse("mysql://b%40t@[::1]:3306/s"), Ok(mysql("b@t", "::1", 3306, "s")));
        assert_eq!(Spec::parse("mysql://bot@[::1]/s"), Ok(mysql("bot", "::1", 3306, "s")));
    }

    #[test]
    fn what_is_printed_is_read_again() {
        for text in ["sqlite:/a.db", "mysql://bot@db:3306/s", "mysql://bot@[::1]:3307/s", "plugin:/p.wasm"] {
            assert_eq!(Spec::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for text in
            ["mysql://bot:hunter2@db/s", "mysql://bot:hun@ter2@db/s", "mysql://:hunter2@db", "MYSQL://b:hunter2@d/s"]
        {
            let error = Spec::parse(text).unwrap_err();
            assert_eq!(error, SpecError::Password, "{text}");
            assert!(!error.to_string().contains("ter2"));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, part) in [
            ("", "begins with none"),
            ("/a.db", "begins with none"),
            ("postgres://bot@db/s", "begins with none"),
            ("sqlite:", "names no file"),
            ("plugin:", "names no file"),
            ("mysql://db/s", "names no user"),
            ("mysql://@db/s", "names no user"),
            ("mysql://bot@db", "names no database"),
            ("mysql://bot@db/", "names no database"),
            ("mysql://bot@/s", "names no host"),
            ("mysql://bot@db:x/s", "a port"),
            ("mysql://bot@db:0/s", "a port"),
            ("mysql://bot@db/s?tls=off", "more than a database"),
            ("mysql://bot@[::1/s", "a bracket"),
            ("mysql://b%4@db/s", "a %"),
        ] {
            let error = Spec::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_is_one_that_can_be_meant() {
        for (text, part) in [
            ("sqlite:///a.db", "two slashes"),
            ("sqlite:a.db?mode=ro", "write a.db"),
            ("sqlite:~/a.db", "a ~"),
            ("sqlite:\"a.db\"", "a quote"),
            ("sqlite:a.db\n", "is \"a.db\\n\""),
            ("sqlite::memory:", "in memory"),
            ("sqlite:file:a.db", "is a URL"),
            ("plugin:$HOME/a.wasm", "a variable"),
        ] {
            let error = Spec::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
