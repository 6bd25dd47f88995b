use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant as StdInstant};

use mysql_async::Conn;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::connect::{Abrupt, Connector, disconnect};
use super::exchange::Statements;
use crate::config::{MysqlConfig, PoolConfig};
use crate::sql::PoolStatus;
use crate::sql::error::{ErrorKind, Result, SqlError};
use crate::sql::gate::{self, Counted, Gate, Ticket};
use crate::sql::rows::Buffers;

/// Connections to one server, opened when they are needed.
pub(super) struct Pool {
    connector: Connector,
    config: PoolConfig,
    round_trip: Duration,
    permits: Arc<Semaphore>,
    idle: Mutex<VecDeque<Idle>>,
    open: Arc<AtomicUsize>,
    waiting: Arc<AtomicUsize>,
    gate: Arc<Gate>,
    version: OnceLock<String>,
}

struct Idle {
    link: Link,
    since: StdInstant,
}

/// An open connection that is in order. Dropped, it is closed at once.
pub(super) struct Link {
    connection: Abrupt<Conn>,
    statements: Statements,
    /// What the connection's results are built in.
    pub buffers: Buffers,
    opened: StdInstant,
    /// Whether it was used by an earlier lease, and may have died since.
    pub is_reused: bool,
    _open: Counted,
}

impl Link {
    /// The connection itself.
    pub fn connection(&mut self) -> Result<&mut Conn> {
        self.parts().map(|(connection, _)| connection)
    }

    /// The connection, and the statements that it has prepared.
    pub fn parts(&mut self) -> Result<(&mut Conn, &mut Statements)> {
        let closed = || SqlError::new(ErrorKind::Unavailable, "the connection is closed");
        Ok((self.connection.get().ok_or_else(closed)?, &mut self.statements))
    }
}

/// The right to one connection.
pub(super) struct Permit {
    _permit: OwnedSemaphorePermit,
    _ticket: Ticket,
}

impl Pool {
    pub fn new(config: &MysqlConfig, pool: PoolConfig) -> Result<Self> {
        let max = pool.max_open.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            connector: Connector::new(config)?,
            config: PoolConfig { max_open: max, ..pool },
            round_trip: config.round_trip_timeout,
            permits: Arc::new(Semaphore::new(max)),
            idle: Mutex::default(),
            open: Arc::default(),
            waiting: Arc::default(),
            gate: Arc::default(),
            version: OnceLock::new(),
        })
    }

    /// The server's host and port, for messages.
    pub fn address(&self) -> &str {
        self.connector.address()
    }

    /// The longest that one answer may take.
    pub fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// What the server said it is, once it was asked.
    pub fn version(&self) -> &OnceLock<String> {
        &self.version
    }

    pub fn status(&self) -> PoolStatus {
        PoolStatus {
            max: self.config.max_open,
            open: self.open.load(Ordering::Relaxed),
            idle: self.idle().len(),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn closed_error(&self) -> SqlError {
        SqlError::new(ErrorKind::Unavailable, format!("the pool of connections to {} is closed", self.address()))
    }

    /// Waits for the right to a connection.
    pub async fn permit(&self, deadline: Instant) -> Result<Permit> {
        let permit = gate::permit(&self.permits, &self.waiting, deadline, self.config.acquire_timeout, || {
            format!("{} connections to {}", self.config.max_open, self.address())
        })
        .await?
        .ok_or_else(|| self.closed_error())?;
        let permit = Permit { _permit: permit, _ticket: self.gate.ticket() };
        if self.gate.is_closed() { Err(self.closed_error()) } else { Ok(permit) }
    }

    /// A connection for one who has a permit: one that lies idle, or a new one.
    pub async fn link(&self, deadline: Instant) -> Result<Link> {
        match self.take_idle() {
            Some(link) => Ok(link),
            None => self.connect(deadline).await,
        }
    }

    /// A new connection for one who has a permit.
    pub async fn connect(&self, deadline: Instant) -> Result<Link> {
        let connection = self.connector.connect(deadline).await?;
        Ok(Link {
            connection: Abrupt::new(connection),
            statements: Statements::default(),
            buffers: Buffers::default(),
            opened: StdInstant::now(),
            is_reused: false,
            _open: Counted::new(&self.open),
        })
    }

    fn take_idle(&self) -> Option<Link> {
        let mut expired = Vec::new();
        let mut idle = self.idle();
        let found = loop {
            match idle.pop_back() {
                Some(entry) if self.is_expired(&entry.link) || entry.since.elapsed() > self.config.idle_timeout => {
                    expired.push(entry.link);
                }
                other => break other.map(|entry| entry.link),
            }
        };
        drop(idle);
        expired.into_iter().for_each(say_goodbye);
        found
    }

    /// Takes back a connection that is in order.
    pub fn put_back(&self, mut link: Link) {
        link.is_reused = true;
        let mut surplus = Vec::new();
        let mut idle = self.idle();
        if idle.len() < self.config.max_idle && !self.is_expired(&link) && !self.gate.is_closed() {
            idle.push_back(Idle { link, since: StdInstant::now() });
        } else {
            surplus.push(link);
        }
        while let Some(entry) = idle.pop_front_if(|entry| entry.since.elapsed() > self.config.idle_timeout) {
            surplus.push(entry.link);
        }
        drop(idle);
        surplus.into_iter().for_each(say_goodbye);
    }

    fn is_expired(&self, link: &Link) -> bool {
        link.opened.elapsed() > self.config.lifetime
    }

    /// Refuses further leases, waits for those that are out until `deadline`, and closes the connections.
    pub async fn close(&self, deadline: Instant) {
        self.permits.close();
        self.gate.close(deadline).await;
        let idle = std::mem::take(&mut *self.idle());
        let goodbyes: Vec<_> = idle.into_iter().map(|entry| tokio::spawn(goodbye(entry.link))).collect();
        for goodbye in goodbyes {
            let _ = timeout_at(deadline, goodbye).await;
        }
    }
}

/// Closes a connection that is in order without making anybody wait.
pub(super) fn say_goodbye(link: Link) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(goodbye(link));
    }
}

async fn goodbye(link: Link) {
    let Link { connection, _open, .. } = link;
    if let Some(connection) = connection.finish() {
        disconnect(connection).await;
    }
}
