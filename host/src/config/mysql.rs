//! How to reach MySQL or MariaDB servers.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{Claim, Place, Secret};

/// One MySQL or MariaDB server, or several that hold the same database.
#[derive(Clone, Debug)]
pub struct MysqlConfig {
    /// The servers, at least one, preferred first.
    pub hosts: Vec<HostPort>,
    /// On which server a new connection is tried first.
    pub host_policy: HostPolicy,
    /// The database's name.
    pub database: String,
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: Secret,
    /// The file with the password, which is read again for each new connection. While it cannot be read, the last known
    /// password is used.
    pub password_file: Option<PathBuf>,
    /// Timeout of opening one connection, with its handshake.
    pub connect_timeout: Duration,
    /// Timeout of one statement, whatever the operation's own deadline.
    pub round_trip_timeout: Duration,
    /// Attempts to open a connection, each on all servers, with exponentially growing pauses, if the error is retryable.
    pub connect_attempts: u32,
    /// Encryption.
    pub tls: Tls,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Host name or address, an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl HostPort {
    /// A server on this host and port.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

/// As `MYSQL_HOST` takes it: `db:3306`, `[::1]:3306`.
impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// On which of several servers a new connection is tried first. One that has just failed is tried last, whatever the
/// policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPolicy {
    /// Always the first, then the second, and so on.
    Ordered,
    /// Each new connection begins at another one.
    Spread,
}

impl HostPolicy {
    /// Every policy.
    pub const ALL: [Self; 2] = [Self::Ordered, Self::Spread];

    /// The policy's name in MYSQL_HOST_POLICY.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Spread => "spread",
        }
    }

    /// The policy of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.name() == name)
    }
}

/// How the connection to MySQL is encrypted. The modes are those of the `mysql` client's `--ssl-mode`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The required level.
    pub mode: TlsMode,
    /// A PEM file with the certificates of the authorities to trust, instead of the public ones.
    pub ca: Option<PathBuf>,
}

/// The required level of encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Never encrypted.
    Disabled,
    /// Encrypted if the server offers it; its identity is not verified.
    Preferred,
    /// Encrypted; the server's identity is not verified.
    Required,
    /// Encrypted, and the server's certificate comes from a trusted authority.
    VerifyCa,
    /// As `VerifyCa`, and the certificate names the host.
    VerifyIdentity,
}

impl TlsMode {
    /// Every mode, from the weakest to the strongest.
    pub const ALL: [Self; 5] = [Self::Disabled, Self::Preferred, Self::Required, Self::VerifyCa, Self::VerifyIdentity];

    /// The mode's name in MYSQL_TLS.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Preferred => "preferred",
            Self::Required => "required",
            Self::VerifyCa => "verify-ca",
            Self::VerifyIdentity => "verify-identity",
        }
    }

    /// The mode of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

impl MysqlConfig {
    pub(super) fn place(&self) -> Place<'_> {
        Place::Server { database: &self.database, hosts: &self.hosts }
    }

    pub(super) fn claims(&self) -> Vec<Claim> {
        let password = self.password_file.clone().map(|file| Claim::read("MYSQL_PASSWORD_FILE", file));
        let authority = self.tls.ca.clone().map(|file| Claim::read("MYSQL_TLS_CA", file));
        password.into_iter().chain(authority).collect()
    }

    pub(super) fn attempt_once(&mut self) {
        self.connect_attempts = 1;
    }
}
