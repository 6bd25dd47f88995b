//! How the command fails: a sentence on standard error and an exit code.

use std::process::ExitCode;

use cofferdam::config::ConfigError;
use cofferdam::migrate::MigrateError;
use cofferdam::plugin::PluginError;
use cofferdam::snapshot::SnapshotError;
use cofferdam::{ErrorKind, StartError, limit};
use serde_json::{Value, json};
use tokio::signal::unix::SignalKind;

use crate::terminal::{escaped, say};

const PROCESSOR_TIME: &str =
    "the limit of processor time is used up: raise it (ulimit -t, RLIMIT_CPU; systemd LimitCPU)";

/// Why the command does not end well.
#[derive(Debug)]
pub struct Failure {
    exit: u8,
    kind: &'static str,
    code: Option<String>,
    message: String,
}

/// Everything that is not one of the others.
pub const FAILED: u8 = 1;
/// The command line, the environment or a file that they name is wrong. Clap uses the same code.
pub const USAGE: u8 = 2;
/// Worth another try.
pub const UNAVAILABLE: u8 = 3;
/// What was asked for is not there.
pub const NOT_FOUND: u8 = 4;
/// Something was measured, but some operations failed or were answered wrongly.
pub const FAULTY: u8 = 5;
/// Everything was done but for some rows.
pub const INCOMPLETE: u8 = 6;
/// A snapshot is truncated or damaged, or has a row that breaks a rule.
pub const DAMAGED: u8 = 8;
/// Two databases were compared and are not equal.
pub const DIFFERENT: u8 = 7;

impl Failure {
    fn new(exit: u8, kind: &'static str, message: impl Into<String>) -> Self {
        Self { exit, kind, code: None, message: message.into() }
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(FAILED, "failed", message)
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, "usage", message)
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(UNAVAILABLE, "unavailable", message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(NOT_FOUND, "not-found", message)
    }

    pub fn faulty(message: impl Into<String>) -> Self {
        Self::new(FAULTY, "faulty", message)
    }

    pub fn incomplete(message: impl Into<String>) -> Self {
        Self::new(INCOMPLETE, "incomplete", message)
    }

    pub fn different(message: impl Into<String>) -> Self {
        Self::new(DIFFERENT, "different", message)
    }

    /// Ended by a signal: the exit code is the one that a shell would report.
    pub fn signal(signal: SignalKind) -> Self {
        let number = signal.as_raw_value();
        if number == libc::SIGXCPU {
            return Self::failed(PROCESSOR_TIME);
        }
        Self::new(128u8.saturating_add(number as u8), "signal", format!("ended by signal {number}"))
    }

    /// Whether a signal ended the command.
    pub fn is_signal(&self) -> bool {
        self.kind == "signal" || self.message == PROCESSOR_TIME
    }

    /// The same failure with what the caller can do about it.
    #[must_use]
    pub fn with_remedy(self) -> Self {
        let is_of_file = self.code.as_deref().is_some_and(|code| code.starts_with("SQLITE_"));
        let remedy = match self.kind {
            // What has its remedy with it: a file that cannot be read or written, and our own refusals.
            "permission-denied" if is_of_file => return self,
            "unavailable" if is_of_file && self.message.contains(": make it") => return self,
            "unavailable" if is_of_file => "check the file, its folder and the disk that they are on",
            "refused" if self.code.is_none() => return self,
            "unavailable" => "check that the database is running and that the DATABASE_ and MYSQL_ variables name it",
            "timeout" => "check that the database answers, or give it longer with --timeout",
            "permission-denied" => "check the user's name, password and rights",
            "storage-full" => "make room for the database",
            // What names the damage says what to do about it.
            "corrupt-data" if self.message.contains("restore a backup") => return self,
            "corrupt-data" => "restore the database from a backup",
            "refused" => "correct the rule or the setting that the database names",
            _ => return self,
        };
        self.with_advice(remedy)
    }

    /// The same failure with this advice.
    #[must_use]
    pub fn with_advice(mut self, advice: &str) -> Self {
        self.message = format!("{}; {advice}", self.message.trim_end_matches('.'));
        self
    }

    /// The same failure, which began while doing something.
    #[must_use]
    pub fn while_doing(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    pub fn json(&self) -> Value {
        json!({ "exit_code": self.exit, "kind": self.kind, "code": self.code, "message": self.line() })
    }

    /// Whether the database is away or too slow.
    pub fn is_unavailable(&self) -> bool {
        self.exit == UNAVAILABLE
    }

    /// What is wrong, in one line.
    pub fn line(&self) -> String {
        self.message.lines().map(escaped).collect::<Vec<_>>().join("; ")
    }

    /// Says it on standard error, on a line for each mistake, and gives the exit code.
    pub fn report(self) -> ExitCode {
        for line in self.message.lines() {
            say(&format!("cofferdam: {}", escaped(line)));
        }
        ExitCode::from(self.exit)
    }

    /// The same failure in one line.
    #[must_use]
    pub fn in_one_line(mut self) -> Self {
        self.message = self.line();
        self
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.line())
    }
}

impl From<cofferdam::Error> for Failure {
    fn from(error: cofferdam::Error) -> Self {
        let exit = match error.kind() {
            _ if error.is_retryable() => UNAVAILABLE,
            ErrorKind::InvalidInput => USAGE,
            _ => FAILED,
        };
        Self { exit, kind: error.kind().name(), code: error.code().map(Into::into), message: error.to_string() }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let message = error.to_string();
        match error {
            StartError::Plugin(PluginError::Runtime { .. }) => Self::failed(message),
            _ => Self::usage(message),
        }
    }
}

impl From<MigrateError> for Failure {
    fn from(error: MigrateError) -> Self {
        let message = error.to_string();
        match error {
            MigrateError::Storage { error, .. } => Self { message, ..Self::from(error) }.with_remedy(),
            MigrateError::Start { error, .. } => Self { message, ..Self::from(error) },
            MigrateError::Unusable { is_missing: true, .. } => Self::not_found(message),
            MigrateError::Spec(_) | MigrateError::Unusable { .. } | MigrateError::SameDatabase { .. } => {
                Self::usage(message)
            }
            MigrateError::Taken { .. } => Self::unavailable(message),
            MigrateError::Rejected { .. } => Self::incomplete(message),
            MigrateError::Miscounted { .. } => Self::different(message),
            MigrateError::Observer(_) => Self::failed(message),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<PluginError> for Failure {
    fn from(error: PluginError) -> Self {
        StartError::from(error).into()
    }
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Self {
        use std::io::ErrorKind::{FileTooLarge, NotFound, PermissionDenied, QuotaExceeded, StorageFull};
        let message = error.to_string();
        let (exit, kind) = match error {
            SnapshotError::Storage(error) => return error.into(),
            SnapshotError::Batch { source, .. } => return Self { message, ..source.into() },
            SnapshotError::Io { source, .. } => match source.kind() {
                NotFound | PermissionDenied => (USAGE, "file"),
                StorageFull | FileTooLarge | QuotaExceeded => (FAILED, "storage-full"),
                _ => (FAILED, "file"),
            },
            SnapshotError::Exists { .. } => (USAGE, "exists"),
            SnapshotError::Folder { .. } | SnapshotError::Special { .. } | SnapshotError::Needed { .. } => {
                (USAGE, "file")
            }
            SnapshotError::NotSnapshot { .. } => (USAGE, "not-a-snapshot"),
            SnapshotError::NewerVersion { .. } => (USAGE, "newer-version"),
            SnapshotError::Truncated { .. } => (DAMAGED, "truncated"),
            SnapshotError::Corrupted { .. } => (DAMAGED, "corrupted"),
            SnapshotError::Row { .. } => (DAMAGED, "broken-rule"),
            SnapshotError::Changed => (UNAVAILABLE, "changed"),
            _ => (FAILED, "failed"),
        };
        Self::new(exit, kind, message)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed(limit::explain(&error))
    }
}
