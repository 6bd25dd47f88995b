//! Opening connections to a MySQL server, and closing them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mysql_async::{Conn, DriverError, Opts, OptsBuilder, SslOpts};
use tokio::time::{Instant, timeout_at};

use super::codes::{self, Doing};
use super::tls;
use crate::config::{MysqlConfig, TlsMode};
use crate::sql::error::{Result, SqlError};
use crate::sql::pause::Pause;

/// The pauses between attempts: short enough for a server that restarts, long enough not to press one that is
/// overloaded.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// How long the server may take over a goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// What a session needs beyond the server's defaults, so that it means the same on every server. MySQL 8 and
/// MariaDB 10 know these modes, and both refuse what does not fit instead of changing it.
const SESSION: [&str; 2] = [
    "SET NAMES utf8mb4, time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
];

/// Opens connections to one server.
pub(super) struct Connector {
    options: OptsBuilder,
    tls: Option<SslOpts>,
    mode: TlsMode,
    address: String,
    timeout: Duration,
    attempts: u32,
    /// In the mode `preferred`: whether the server offers no encryption.
    plain: AtomicBool,
    /// In the mode `verify-ca`: a name that the server's certificate holds.
    name: Mutex<Option<String>>,
}

impl Connector {
    /// Checks the configuration. Connects to nothing.
    pub fn new(config: &MysqlConfig) -> Result<Self> {
        let options = OptsBuilder::default()
            .ip_or_hostname(config.host.clone())
            .tcp_port(config.port)
            .user(Some(config.username.clone()))
            .pass(Some(config.password.expose()))
            .db_name(Some(config.database.clone()))
            .init(SESSION.to_vec())
            .tcp_nodelay(true)
            .tcp_keepalive(Some(Duration::from_secs(60)))
            .prefer_socket(false)
            .client_found_rows(false)
            .stmt_cache_size(0);
        Ok(Self {
            options,
            tls: tls::options(&config.tls)?,
            mode: config.tls.mode,
            address: format!("{}:{}", config.host, config.port),
            timeout: config.connect_timeout,
            attempts: config.connect_attempts.max(1),
            plain: AtomicBool::new(false),
            name: Mutex::default(),
        })
    }

    /// The server's host and port, for messages.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Opens a connection. Tries again where that may help, until `deadline`.
    pub async fn connect(&self, deadline: Instant) -> Result<Conn> {
        let mut pause = Pause::new(FIRST_PAUSE, LONGEST_PAUSE);
        for attempt in 1.. {
            let limit = deadline.min(Instant::now() + self.timeout);
            let error = match timeout_at(limit, self.attempt()).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => error,
                Err(_) if limit == deadline => {
                    return Err(SqlError::timeout(&format!("connecting to {}", self.address)));
                }
                Err(_) => codes::client_error(
                    2002,
                    format!("cannot connect to {}: it did not answer within {:?}", self.address, self.timeout),
                ),
            };
            if attempt >= self.attempts || !codes::is_worth_another_attempt(&error) {
                return Err(error);
            }
            tracing::debug!(server = %self.address, attempt, %error, "connecting failed, trying again");
            // Past the deadline the reason says more than that the time is over.
            if !pause.wait(deadline).await {
                return Err(error);
            }
        }
        unreachable!("the loop ends with the last attempt")
    }

    async fn attempt(&self) -> Result<Conn> {
        let error = match self.open().await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        let missing_tls = matches!(error, mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer));
        let again = if self.mode == TlsMode::Preferred && missing_tls {
            self.plain.store(true, Ordering::Relaxed);
            true
        } else if self.mode == TlsMode::VerifyCa
            && let Some(name) = tls::presented_name(&error)
        {
            *self.name.lock().unwrap_or_else(PoisonError::into_inner) = Some(name);
            true
        } else {
            false
        };
        let result = if again { self.open().await } else { Err(error) };
        result.map_err(|error| codes::error(error, Doing::Connecting, &self.address))
    }

    async fn open(&self) -> mysql_async::Result<Conn> {
        let tls = self.tls.clone().filter(|_| !self.plain.load(Ordering::Relaxed)).map(|tls| {
            match self.name.lock().unwrap_or_else(PoisonError::into_inner).clone() {
                Some(name) => tls.with_danger_tls_hostname_override(Some(name)),
                None => tls,
            }
        });
        let options: Opts = self.options.clone().ssl_opts(tls).into();
        Abrupt::new(Conn::new(options)).into_future().await
    }
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
        tracing::debug!("a server did not take a goodbye in time");
    }
}
