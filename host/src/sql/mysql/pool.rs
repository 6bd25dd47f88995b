use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::{Duration, Instant as StdInstant};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::connect::{Connector, Opened, disconnect};
use super::fence::{Fence, Flight, Session};
use super::hosts::Host;
use super::link::{Link, Statements};
use crate::config::{MysqlConfig, PoolConfig};
use crate::latency::Histogram;
use crate::sql::PoolStatus;
use crate::sql::error::{ErrorKind, Result, SqlError};
use crate::sql::gate::{self, Counted, Gate, Ticket};
use crate::sql::rows::Buffers;
use crate::threads::lock;

/// How long connections are kept for the next burst, beyond those that may lie idle at rest. To open one costs a TLS
/// handshake and some round trips.
const SPARE: Duration = Duration::from_secs(5);

/// Connections to one server, or to several with the same database, opened when they are needed.
pub(super) struct Pool {
    connector: Connector,
    fence: Arc<Fence>,
    config: PoolConfig,
    round_trip: Duration,
    schema_changes: SchemaChanges,
    permits: Arc<Semaphore>,
    idle: Mutex<VecDeque<Link>>,
    open: Arc<AtomicUsize>,
    /// Connections since the start.
    opened: AtomicU64,
    acquired: Histogram,
    waiting: Arc<AtomicUsize>,
    gate: Arc<Gate>,
    version: OnceLock<String>,
    /// Whether a task waits to close what no burst has needed.
    is_watched: AtomicBool,
    /// Whether it is known that nothing is in the way of making tables.
    may_make_tables: AtomicBool,
}

/// What a change of the schema does while somebody uses the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SchemaChanges {
    /// It waits as long as its operation may take.
    Wait,
    /// It fails after a moment. Outside a transaction the host tries it again until the operation's deadline.
    GiveWay,
}

/// The right to one connection.
pub(super) struct Permit {
    _permit: OwnedSemaphorePermit,
    _ticket: Ticket,
}

impl Pool {
    pub fn new(config: &MysqlConfig, pool: PoolConfig, schema_changes: SchemaChanges) -> Result<Self> {
        let max = pool.max_open.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            connector: Connector::new(config, pool.idle_timeout)?,
            fence: Arc::default(),
            config: PoolConfig { max_open: max, ..pool },
            round_trip: config.round_trip_timeout,
            schema_changes,
            permits: Arc::new(Semaphore::new(max)),
            idle: Mutex::default(),
            open: Arc::default(),
            opened: AtomicU64::new(0),
            acquired: Histogram::default(),
            waiting: Arc::default(),
            gate: Arc::default(),
            version: OnceLock::new(),
            is_watched: AtomicBool::new(false),
            may_make_tables: AtomicBool::new(false),
        })
    }

    /// The longest that one answer may take.
    pub fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// Keeps statements that were given up from being executed after later ones.
    pub fn fence(&self) -> &Arc<Fence> {
        &self.fence
    }

    /// Why no connection could be had a moment ago, if so.
    pub fn recent_failure(&self) -> Option<SqlError> {
        self.connector.recent_failure()
    }

    /// The most connections.
    pub fn max(&self) -> usize {
        self.config.max_open
    }

    /// What a change of the schema does while somebody uses the table.
    pub fn schema_changes(&self) -> SchemaChanges {
        self.schema_changes
    }

    /// Whether it is known that nothing is in the way of making tables.
    pub fn may_make_tables(&self) -> &AtomicBool {
        &self.may_make_tables
    }

    /// The database that all connections are in.
    pub fn database(&self) -> &str {
        self.connector.database()
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
            opened: self.opened.load(Ordering::Relaxed),
            acquired: self.acquired.latencies(),
            ..PoolStatus::default()
        }
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Link>> {
        lock(&self.idle)
    }

    fn closed_error(&self) -> SqlError {
        SqlError::new(ErrorKind::Unavailable, format!("the pool of connections to {} is closed", self.servers()))
    }

    /// Waits for the right to a connection.
    pub async fn permit(&self, deadline: Instant) -> Result<Permit> {
        let longest = self.config.acquire_timeout;
        let permit = gate::permit(&self.permits, &self.waiting, &self.acquired, deadline, longest, || {
            format!("{} connections to {}", self.config.max_open, self.servers())
        })
        .await
        .map_err(|error| self.connector.recent_failure().unwrap_or(error))?
        .ok_or_else(|| self.closed_error())?;
        let permit = Permit { _permit: permit, _ticket: self.gate.ticket() };
        if self.gate.is_closed() { Err(self.closed_error()) } else { Ok(permit) }
    }

    fn servers(&self) -> &str {
        self.connector.hosts().names()
    }

    /// A connection for one who has a permit: one that lies idle, or a new one.
    pub async fn link(&self, deadline: Instant) -> Result<Link> {
        let mut link = loop {
            // Before one is taken: where the group that is held was not answered, those that lie idle are not trusted any more.
            if self.fence.is_up() {
                self.fence.pass_holds(deadline).await?;
            }
            let Some(link) = self.take_idle() else { return self.connect(deadline).await };
            if !self.fence.is_up() {
                return Ok(link);
            }
            if !self.fence.is_held() {
                break link;
            }
            if self.gate.is_closed() {
                say_goodbye(link);
                return Err(self.closed_error());
            }
            self.idle().push_back(link);
        };
        match self.pass_fence(&mut link, deadline).await {
            Ok(()) => Ok(link),
            // It may have died while it lay idle.
            Err(error) if error.kind == ErrorKind::Unavailable => {
                self.distrust(&link.host);
                drop(link);
                self.connect(deadline).await
            }
            Err(error) => Err(error),
        }
    }

    /// A new connection for one who has a permit.
    pub async fn connect(&self, deadline: Instant) -> Result<Link> {
        let Opened { connection, host, node } = self.connector.connect(deadline).await?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.version.get_or_init(|| node.version);
        let mut connection = connection;
        let id = connection.get().map_or(0, |connection| connection.id());
        let session = node.client.map(|client| Session { host: host.index, id, client, member: node.member.clone() });
        let now = StdInstant::now();
        let mut link = Link {
            flight: Flight::new(&self.fence, session),
            connection,
            host,
            statements: Statements::default(),
            buffers: Buffers::default(),
            opened: now,
            answered: now,
            is_reused: false,
            logs_statements: node.logs_statements,
            _open: Counted::new(&self.open),
        };
        if self.fence.is_up() {
            self.pass_fence(&mut link, deadline).await?;
        }
        Ok(link)
    }

    /// Waits until nothing that was given up can be executed after what this connection is wanted for.
    async fn pass_fence(&self, link: &mut Link, deadline: Instant) -> Result<()> {
        let (host, member) = (link.host.index, link.flight.member());
        let (connection, _) = link.parts()?;
        self.fence.pass(connection, host, member.as_ref(), &self.connector, deadline).await
    }

    /// A connection to this server died. Those that had their last answer before may be dead as well, and with a server
    /// that hangs each would cost somebody a deadline; to open new ones costs a few round trips. So none is kept.
    pub fn distrust(&self, host: &Host) {
        host.distrust();
        let dropped: VecDeque<_> = {
            let mut idle = self.idle();
            let (dropped, kept) = std::mem::take(&mut *idle).into_iter().partition(Link::is_suspect);
            *idle = kept;
            dropped
        };
        // Not with a goodbye, which would wait for an answer.
        drop(dropped);
    }

    fn take_idle(&self) -> Option<Link> {
        let mut expired = Vec::new();
        let mut idle = self.idle();
        let found = loop {
            match idle.pop_back() {
                Some(link) if self.is_expired(&link) || link.answered.elapsed() > self.config.idle_timeout => {
                    expired.push(link);
                }
                other => break other,
            }
        };
        drop(idle);
        expired.into_iter().for_each(say_goodbye);
        found
    }

    /// Takes back a connection that is in order.
    pub fn put_back(self: &Arc<Self>, mut link: Link) {
        link.is_reused = true;
        let mut surplus = Vec::new();
        let mut idle = self.idle();
        if link.is_suspect() {
            drop(idle);
            return;
        }
        if self.is_expired(&link) || self.gate.is_closed() {
            surplus.push(link);
        } else {
            idle.push_back(link);
        }
        self.take_surplus(&mut idle, &mut surplus);
        let has_spare = idle.len() > self.config.max_idle;
        drop(idle);
        surplus.into_iter().for_each(say_goodbye);
        if has_spare && !self.is_watched.swap(true, Ordering::Relaxed) {
            self.watch();
        }
    }

    /// Takes those out that nobody needed for long. Who was used last is taken first, so that they are at the front.
    fn take_surplus(&self, idle: &mut VecDeque<Link>, surplus: &mut Vec<Link>) {
        let (spare, long) = (SPARE.min(self.config.idle_timeout), self.config.idle_timeout);
        loop {
            let most = if idle.len() > self.config.max_idle { spare } else { long };
            match idle.pop_front_if(|link| link.answered.elapsed() > most) {
                Some(link) => surplus.push(link),
                None => return,
            }
        }
    }

    /// Closes those beyond what may lie idle at rest once no burst has needed them for a while.
    fn watch(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else {
            self.is_watched.store(false, Ordering::Relaxed);
            return;
        };
        let mut watch = Watch { pool: Arc::downgrade(self), is_over: false };
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(SPARE / 2).await;
                let Some(pool) = watch.pool.upgrade() else { return };
                let mut surplus = Vec::new();
                let mut idle = pool.idle();
                pool.take_surplus(&mut idle, &mut surplus);
                let has_spare = idle.len() > pool.config.max_idle;
                if !has_spare {
                    // Under the lock, so that who brings the next one sees it. Another watch may begin from here on.
                    pool.is_watched.store(false, Ordering::Relaxed);
                    watch.is_over = true;
                }
                drop(idle);
                surplus.into_iter().for_each(say_goodbye);
                if !has_spare {
                    return;
                }
            }
        });
    }

    fn is_expired(&self, link: &Link) -> bool {
        link.opened.elapsed() > self.config.lifetime
    }

    /// Refuses further leases, waits for those that are out until `deadline`, and closes the connections.
    pub async fn close(&self, deadline: Instant) {
        self.permits.close();
        self.gate.close(deadline).await;
        let idle = std::mem::take(&mut *self.idle());
        let goodbyes: Vec<_> = idle.into_iter().map(|link| tokio::spawn(goodbye(link))).collect();
        for goodbye in goodbyes {
            let _ = timeout_at(deadline, goodbye).await;
        }
    }
}

/// A task that closes what no burst has needed. Its runtime may end before it does; then another one takes its place.
struct Watch {
    pool: Weak<Pool>,
    is_over: bool,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.is_over
            && let Some(pool) = self.pool.upgrade()
        {
            pool.is_watched.store(false, Ordering::Relaxed);
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
