//! Opening connections to MySQL servers, and closing them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Opts, OptsBuilder, SslOpts};
use tokio::time::{Instant, timeout_at};

use super::addresses::first_to_answer;
use super::codes::{self, Doing};
use super::hosts::{Host, Hosts};
use super::node::{Node, Purpose};
use super::tls;
use crate::config::{MysqlConfig, Secret, TlsMode, read_password};
use crate::sql::error::{ErrorKind, Result, SqlError};
use crate::sql::pause::Pause;
use crate::threads::{self, lock};

/// The pauses between attempts: short enough for a server that restarts, long enough not to press one that is
/// overloaded.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// The least that one of several servers is given: many times what a handshake takes where nothing is wrong.
const LEAST_SHARE: Duration = Duration::from_millis(100);

/// How long it is worth saying why no server could be used. While nobody can connect, somebody finds out anew within the
/// deadline of an operation, which is five seconds as a rule.
const RECENT: Duration = Duration::from_secs(5);

/// Servers may answer SHOW PROCESSLIST by a query of their own.
const UNLIMITED: &str = "SET SESSION sql_select_limit = 18446744073709551615";

/// How long the server may take over a goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Opens connections to the servers of one configuration.
pub(super) struct Connector {
    options: OptsBuilder,
    hosts: Hosts,
    database: String,
    /// How long the pool keeps a connection that nobody uses.
    idle: Duration,
    password: Mutex<Secret>,
    password_file: Option<PathBuf>,
    tls: Option<SslOpts>,
    mode: TlsMode,
    timeout: Duration,
    attempts: u32,
    /// Why no server could be used the last time, and when that was.
    failure: Mutex<Option<(Instant, SqlError)>>,
    /// Whether it was said that servers may be others than they should be.
    has_warned: AtomicBool,
}

/// A connection that was opened just now.
pub(super) struct Opened {
    pub connection: Abrupt<Conn>,
    pub host: Arc<Host>,
    pub node: Node,
}

impl Connector {
    /// Checks the configuration. Connects to nothing. `idle` is how long the pool keeps a connection that nobody uses.
    pub fn new(config: &MysqlConfig, idle: Duration) -> Result<Self> {
        if config.hosts.is_empty() {
            return Err(SqlError::new(ErrorKind::Other, "no MySQL server is named: set MYSQL_HOST"));
        }
        let options = OptsBuilder::default()
            .user(Some(config.username.clone()))
            .db_name(Some(config.database.clone()))
            .tcp_nodelay(true)
            .tcp_keepalive(Some(Duration::from_secs(60)))
            .prefer_socket(false)
            .client_found_rows(false)
            .stmt_cache_size(0);
        Ok(Self {
            options,
            hosts: Hosts::new(config),
            database: config.database.clone(),
            idle,
            password: Mutex::new(config.password.clone()),
            password_file: config.password_file.clone(),
            tls: tls::options(&config.tls)?,
            mode: config.tls.mode,
            timeout: config.connect_timeout,
            attempts: config.connect_attempts.max(1),
            failure: Mutex::default(),
            has_warned: AtomicBool::new(false),
        })
    }

    /// The database that connections are opened in.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The servers.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Opens a connection. Tries again where that may help, until `deadline`.
    pub async fn connect(&self, deadline: Instant) -> Result<Opened> {
        let mut pause = Pause::new(FIRST_PAUSE, LONGEST_PAUSE);
        for attempt in 1.. {
            let began = Instant::now();
            let mut errors = match self.connect_to_any(deadline).await {
                Ok(opened) => {
                    *self.failure() = None;
                    return Ok(opened);
                }
                Err(errors) => errors,
            };
            let is_worth = errors.iter().any(|(_, error)| codes::is_worth_another_attempt(error));
            let error = match errors.len() {
                1 => errors.remove(0).1,
                _ => none_of(&errors),
            };
            // An attempt that had no time to speak of says less than the one before it.
            let error = match self.recent_failure() {
                Some(failure) if error.kind == ErrorKind::Timeout && began.elapsed() < LEAST_SHARE => failure,
                _ => error,
            };
            if error.kind == ErrorKind::Unavailable {
                *self.failure() = Some((Instant::now(), error.clone()));
            }
            if attempt >= self.attempts || !is_worth || Instant::now() >= deadline {
                return Err(error);
            }
            tracing::debug!(servers = %self.hosts.names(), attempt, %error, "connecting failed, trying again");
            if !pause.wait(deadline).await {
                return Err(error);
            }
        }
        unreachable!("the loop ends with the last attempt")
    }

    fn failure(&self) -> MutexGuard<'_, Option<(Instant, SqlError)>> {
        lock(&self.failure)
    }

    /// Why no server could be used a moment ago, for those who waited so long for the right to a connection that they had
    /// no time to find out.
    pub fn recent_failure(&self) -> Option<SqlError> {
        let failure = self.failure();
        failure.as_ref().filter(|(since, _)| since.elapsed() < RECENT).map(|(_, error)| error.clone())
    }

    /// Tries one server after the other. Each has its share of the time that is left, so that one that hangs leaves
    /// some for the others.
    async fn connect_to_any(&self, deadline: Instant) -> Result<Opened, Vec<(Arc<Host>, SqlError)>> {
        let mut errors = Vec::new();
        let hosts = self.hosts.in_turn();
        for (index, host) in hosts.iter().enumerate() {
            let now = Instant::now();
            let others = (hosts.len() - index - 1) as u32;
            let share = deadline.saturating_duration_since(now) / (others + 1);
            // What is left may be no time to speak of.
            let limit = if others == 0 { deadline } else { deadline.min(now + share.max(LEAST_SHARE)) };
            let error = match self.connect_to(host, limit.min(now + self.timeout), deadline).await {
                Ok(opened) => {
                    host.is_well();
                    host.set_family(opened.node.family);
                    return Ok(opened);
                }
                Err(error) => error,
            };
            // A wrong password is one everywhere, and repeating it may lock the account.
            let is_final = !matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Timeout);
            if is_final {
                return Err(vec![(Arc::clone(host), error)]);
            }
            // One that had no time has not failed.
            if now.elapsed() >= LEAST_SHARE || Instant::now() < limit {
                host.has_failed();
            }
            if others > 0 {
                tracing::warn!(server = %host.address, %error, "a server is skipped");
            }
            errors.push((Arc::clone(host), error));
            if Instant::now() >= deadline {
                break;
            }
        }
        Err(errors)
    }

    async fn connect_to(&self, host: &Arc<Host>, limit: Instant, deadline: Instant) -> Result<Opened> {
        let address = &host.address;
        let began = Instant::now();
        let opening = async {
            let addresses = host.addresses().await?;
            if addresses.is_empty() {
                return self.open_and_meet(host, None).await;
            }
            first_to_answer(addresses.into_iter().map(|address| self.open_and_meet(host, Some(address)))).await
        };
        let (connection, node) = match timeout_at(limit, opening).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => {
                return Err(self.with_hint(codes::error(error, Doing::Connecting, host.family(), address)));
            }
            Err(_) if limit >= deadline => return Err(SqlError::timeout(&format!("connecting to {address}"))),
            Err(_) => {
                let waited = limit.saturating_duration_since(began);
                let message = format!("cannot connect to {address}: it did not answer within {waited:.1?}");
                return Err(codes::client_error(2002, message));
            }
        };
        // A single server is used as it is: there is no other, reading may still work, and what does not is refused by
        // the server itself.
        match node.problem.filter(|_| self.hosts.are_several()) {
            Some(problem) => Err(SqlError::new(ErrorKind::Unavailable, format!("{address} is skipped: {problem}"))),
            None => Ok(Opened { connection, host: Arc::clone(host), node }),
        }
    }

    /// Opens a connection at this address of the host's name, and makes its session what it should be.
    async fn open_and_meet(&self, host: &Host, address: Option<IpAddr>) -> mysql_async::Result<(Abrupt<Conn>, Node)> {
        let mut connection = self.open_at(host, address).await?;
        let Some(opened) = connection.get() else { return Err(DriverError::ConnectionClosed.into()) };
        let mut skipped = host.skipped();
        let purpose = Purpose { database: &self.database, idle: self.idle, skipped: &mut skipped };
        let node = Node::meet(opened, purpose).await?;
        host.skips(skipped);
        host.answers_at(address);
        host.answers_in(node.round_trip);
        Ok((connection, node))
    }

    /// Opens a connection to the server at this place in the configuration, to see sessions and end them. Its own is not made
    /// what it should be otherwise.
    pub async fn open(&self, host: usize) -> mysql_async::Result<Abrupt<Conn>> {
        let Some(host) = self.hosts.at(host) else { return Err(DriverError::ConnectionClosed.into()) };
        let mut opened = self.open_at(host, host.answering()).await?;
        if let Some(connection) = opened.get() {
            connection.query_drop(UNLIMITED).await?;
        }
        Ok(opened)
    }

    async fn open_at(&self, host: &Host, address: Option<IpAddr>) -> mysql_async::Result<Abrupt<Conn>> {
        let password = self.password().await;
        let error = match self.open_once(host, address, &password).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        let missing_tls = matches!(error, mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer));
        if self.mode == TlsMode::Preferred && missing_tls {
            host.is_plain.store(true, Ordering::Relaxed);
        } else if self.mode == TlsMode::VerifyCa
            && let Some(name) = tls::presented_name(&error)
        {
            host.set_name(name);
        } else {
            return Err(error);
        }
        self.open_once(host, address, &password).await
    }

    async fn open_once(
        &self,
        host: &Host,
        address: Option<IpAddr>,
        password: &Secret,
    ) -> mysql_async::Result<Abrupt<Conn>> {
        let is_plain = host.is_plain.load(Ordering::Relaxed);
        let tls = self.tls.clone().filter(|_| !is_plain).map(|tls| match host.name() {
            Some(name) => tls.with_danger_tls_hostname_override(Some(name)),
            None => tls,
        });
        let options: Opts = self
            .options
            .clone()
            .ip_or_hostname(host.place.host.clone())
            .resolved_ips(address.map(|address| vec![address]))
            .tcp_port(host.place.port)
            .pass(Some(password.expose()))
            .ssl_opts(tls)
            .into();
        let connection = Abrupt::new(Conn::new(options)).into_future().await?;
        self.warn_once(host, is_plain);
        Ok(Abrupt::new(connection))
    }

    /// Says once for the pool that the server may be another than it should be.
    fn warn_once(&self, host: &Host, is_plain: bool) {
        let (server, mode) = (host.address.as_str(), self.mode.name());
        match self.mode {
            TlsMode::VerifyCa | TlsMode::VerifyIdentity => {}
            _ if self.has_warned.swap(true, Ordering::Relaxed) => {}
            TlsMode::Preferred if is_plain => tracing::warn!(
                server,
                "the server does not offer TLS, so passwords and rows cross the network in plain text: enable TLS on \
                 the server, or set MYSQL_TLS=disabled if that is intended"
            ),
            TlsMode::Disabled => tracing::info!(server, "connections are not encrypted: MYSQL_TLS={mode}"),
            TlsMode::Preferred | TlsMode::Required => tracing::info!(
                server,
                "connections are encrypted, and the server's identity is not verified: MYSQL_TLS={mode}; use \
                 verify-ca or \
                 verify-identity with MYSQL_TLS_CA to verify it"
            ),
        }
    }

    /// Adds what may be wrong with the password where the server says that it is, without showing it.
    fn with_hint(&self, mut error: SqlError) -> SqlError {
        let hint = lock(&self.password).hint();
        if let Some(hint) = hint.filter(|_| error.code.as_deref() == Some("1045")) {
            error.message.push_str(&format!("; the password {hint}: remove that if it is not part of it"));
        }
        error
    }

    /// The password as it is now. A file may have been replaced since, and may be missing while that is done.
    async fn password(&self) -> Secret {
        let known = || lock(&self.password);
        if let Some(path) = self.password_file.clone() {
            match threads::spawn(move || read_password(&path)).await {
                Ok(Ok(password)) => *known() = password,
                Ok(Err(problem)) => {
                    tracing::warn!("MYSQL_PASSWORD_FILE names {problem}: the last known password is used");
                }
                Err(threads::Ended) => {}
            }
        }
        known().clone()
    }
}

/// What was wrong with each server.
fn none_of(errors: &[(Arc<Host>, SqlError)]) -> SqlError {
    let mut codes = errors.iter().map(|(_, error)| error.code.as_deref());
    let first = codes.next().flatten();
    let code = first.filter(|first| codes.all(|code| code == Some(*first))).map(str::to_owned);
    let reasons: Vec<_> = errors.iter().map(|(_, error)| error.to_string()).collect();
    let message = format!("no server is usable: {}", reasons.join("; "));
    SqlError { code, ..SqlError::new(ErrorKind::Unavailable, message) }
}

/// Something of the driver's that, dropped half-way, closes its socket at once.
///
/// The driver's own way is a task on the current runtime that first reads the rest of the server's answer, and from
/// a server that hangs it reads for ever.
pub(super) struct Abrupt<T>(Option<T>);

impl<T> Abrupt<T> {
    pub fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// What is inside, while it is there.
    pub fn get(&mut self) -> Option<&mut T> {
        self.0.as_mut()
    }

    /// Takes it out again, whole.
    pub fn finish(mut self) -> Option<T> {
        self.0.take()
    }
}

impl<T: Future + Unpin> Abrupt<T> {
    async fn into_future(mut self) -> T::Output {
        let output = match &mut self.0 {
            Some(future) => future.await,
            None => std::future::pending().await,
        };
        self.0 = None;
        output
    }
}

impl<T> Drop for Abrupt<T> {
    fn drop(&mut self) {
        let Some(value) = self.0.take() else { return };
        // What is spawned on a runtime that never runs is dropped with it.
        match tokio::runtime::Builder::new_current_thread().build() {
            Ok(inert) => {
                let entered = inert.enter();
                drop(value);
                drop(entered);
                inert.shutdown_background();
            }
            Err(_) => drop(value),
        }
    }
}

/// Closes a connection that is in order: says goodbye, so that the server does not count it as aborted.
pub(super) async fn disconnect(connection: Conn) {
    let goodbye = Abrupt::new(Box::pin(connection.disconnect()));
    if tokio::time::timeout(GOODBYE, goodbye.into_future()).await.is_err() {
        tracing::debug!("a server did not confirm the end of a connection in time");
    }
}
