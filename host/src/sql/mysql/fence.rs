//! Statements that were given up and may still be executed.
//!
//! A connection that is closed in the middle of a statement says nothing to a server that hangs, or to one whose bytes are
//! held up on the way: it executes the statement once it goes on, and a newer write of the same row, which was answered
//! meanwhile, is overwritten. So whoever gets the next connection first has the server end the sessions that were given
//! up, and waits until they are gone.
//!
//! The nodes of a Galera cluster execute each other's writes, so there the next connection may be one to another node. It
//! waits too: until the session was ended, or the cluster has shut its node out, which then cannot commit any more.
//!
//! A row of a group that is on its way cannot be ended alone when its caller gives it up. The group is *held* then: nobody gets
//! a connection until it has ended, which it does soon, since a group is not waited for longer than a moment (see `groups`).

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant as StdInstant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use super::codes::{self, Doing};
use super::connect::{Connector, disconnect};
use super::node::{self, Member};
use crate::sql::error::{ErrorKind, Result, SqlError};
use crate::threads::lock;

/// The pauses between two looks at what is left: an ended session is gone within a millisecond or two, one that rolls
/// back much takes longer.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// How long another node of a cluster is waited for. A node that hangs has been shut out by then: Galera's
/// `evs.inactive_timeout` is 15 seconds. One that is still there works, and has done what had arrived.
const OTHER_NODE: Duration = Duration::from_secs(15);

/// How long another node may take to end a session, before it is looked at again whether it was shut out.
const OTHER_NODE_ATTEMPT: Duration = Duration::from_millis(500);
const OTHER_NODE_PAUSE: Duration = Duration::from_millis(100);

/// The server's word for a session that is gone already.
const UNKNOWN_THREAD: u16 = 1094;

/// Its word for one whose end has begun, of which it no longer knows whose it was.
const NOT_OWNER: u16 = 1095;

/// A session for good: numbers begin anew when a server is started again, so its client's address and port belong to it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Session {
    /// The server's place in the configuration.
    pub host: usize,
    /// The server's number of the connection.
    pub id: u32,
    /// The client's address and port as the server sees them.
    pub client: String,
    /// Where the server is a node of a cluster.
    pub member: Option<Member>,
}

/// The sessions of a pool that were given up.
#[derive(Default)]
pub(super) struct Fence {
    /// How many there are, and how many holds, to be looked at before each lease.
    count: AtomicUsize,
    up: Mutex<Up>,
    /// Grows after everything that is given up.
    epoch: AtomicU64,
    /// Told when the last hold has ended.
    released: Notify,
    /// Held by the one that ends them; the others wait for it.
    ending: tokio::sync::Mutex<()>,
}

/// What keeps the fence up.
#[derive(Default)]
struct Up {
    given_up: Vec<GivenUp>,
    holds: usize,
}

#[derive(Clone)]
struct GivenUp {
    session: Arc<Session>,
    since: StdInstant,
    /// Whether it cannot do any harm through another node.
    is_shut_out: bool,
}

impl Fence {
    /// Whether anything is to be done before a connection is used.
    ///
    /// What is given up before an error is returned is seen by whoever has seen the error, in whatever order other
    /// threads see it.
    pub fn is_up(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// The sessions, with their number brought up to date afterwards.
    fn change(&self, change: impl FnOnce(&mut Vec<GivenUp>)) {
        self.change_all(|up| change(&mut up.given_up));
    }

    fn change_all(&self, change: impl FnOnce(&mut Up)) {
        let mut up = self.up();
        change(&mut up);
        self.count.store(up.given_up.len() + up.holds, Ordering::Relaxed);
    }

    fn up(&self) -> MutexGuard<'_, Up> {
        lock(&self.up)
    }

    /// Lends no connection as long as this lives: a statement is on its way of which a part was given up.
    pub fn hold(self: &Arc<Self>) -> Hold {
        self.change_all(|up| up.holds += 1);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        Hold(Arc::clone(self))
    }

    /// Whether something is held.
    pub fn is_held(&self) -> bool {
        self.up().holds > 0
    }

    /// Waits until nothing is held.
    pub async fn pass_holds(&self, deadline: Instant) -> Result<()> {
        loop {
            let released = self.released.notified();
            if !self.is_held() {
                return Ok(());
            }
            timeout_at(deadline, released).await.map_err(|_| {
                SqlError::timeout("an earlier statement, given up by one of its callers, was on its way")
            })?;
        }
    }

    /// What was given up before this was read is passed by any lease that begins afterwards; what comes later changes it.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    fn give_up(&self, session: Arc<Session>) {
        self.change(|list| list.push(GivenUp { session, since: StdInstant::now(), is_shut_out: false }));
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    fn forget(&self, ended: &[Arc<Session>]) {
        self.change(|list| list.retain(|entry| !ended.contains(&entry.session)));
    }

    /// Ends what was given up on the server of this connection, and on the other nodes of its cluster.
    ///
    /// Where it fails or is dropped, the connection is of no use any more.
    pub async fn pass(
        &self,
        connection: &mut Conn,
        host: usize,
        member: Option<&Member>,
        connector: &Connector,
        deadline: Instant,
    ) -> Result<()> {
        let (address, family) =
            connector.hosts().at(host).map_or(("", None), |host| (host.address.as_str(), host.family()));
        let passing = async {
            self.pass_holds(deadline).await?;
            let _alone = self.ending.lock().await;
            self.end_on(connection, host)
                .await
                .map_err(|error| codes::error(error, Doing::Running, family, address))?;
            match member {
                Some(member) => self.pass_other_nodes(connection, host, member, connector, deadline).await,
                None => Ok(()),
            }
        };
        timeout_at(deadline, passing)
            .await
            .unwrap_or_else(|_| Err(SqlError::timeout("an abandoned statement was being killed on the server")))
    }

    /// Ends what was given up on the server of this connection.
    async fn end_on(&self, connection: &mut Conn, host: usize) -> mysql_async::Result<()> {
        let theirs: Vec<_> = self
            .up()
            .given_up
            .iter()
            .filter(|entry| entry.session.host == host)
            .map(|entry| entry.session.clone())
            .collect();
        if !theirs.is_empty() {
            end(connection, &theirs).await?;
            self.forget(&theirs);
        }
        Ok(())
    }

    /// Waits for what was given up on other nodes of the same cluster.
    async fn pass_other_nodes(
        &self,
        connection: &mut Conn,
        host: usize,
        member: &Member,
        connector: &Connector,
        deadline: Instant,
    ) -> Result<()> {
        loop {
            let now = StdInstant::now();
            let waits = |entry: &&GivenUp| {
                let theirs = entry.session.member.as_ref().is_some_and(|other| other.cluster == member.cluster);
                theirs
                    && entry.session.host != host
                    && !entry.is_shut_out
                    && now.saturating_duration_since(entry.since) < OTHER_NODE
            };
            let Some(GivenUp { session, .. }) = self.up().given_up.iter().find(waits).cloned() else { return Ok(()) };
            let members = node::members(connection)
                .await
                .map_err(|error| codes::error(error, Doing::Running, None, connector.hosts().names()))?
                .ok_or_else(|| {
                    SqlError::new(ErrorKind::Unavailable, "the node is no longer part of a working Galera cluster")
                })?;
            let address = session.member.as_ref().and_then(|other| other.address.as_ref());
            if address.is_some_and(|address| !members.contains(address)) {
                self.shut_out(session.host);
                continue;
            }
            let limit = deadline.min(Instant::now() + OTHER_NODE_ATTEMPT);
            match timeout_at(limit, connector.open(session.host)).await {
                Ok(Ok(mut other)) => {
                    let Some(connection) = other.get() else { continue };
                    // Where it fails it is tried again.
                    if let Ok(Ok(())) = timeout_at(limit, self.end_on(connection, session.host)).await {
                        if let Some(other) = other.finish() {
                            disconnect(other).await;
                        }
                        continue;
                    }
                }
                // Nobody listens: the process that would have executed them is gone.
                Ok(Err(error)) if is_refused(&error) => {
                    self.change(|list| list.retain(|entry| entry.session.host != session.host));
                    continue;
                }
                Ok(Err(_)) | Err(_) => {}
            }
            sleep(OTHER_NODE_PAUSE).await;
        }
    }

    fn shut_out(&self, host: usize) {
        self.change(|list| {
            list.iter_mut().filter(|entry| entry.session.host == host).for_each(|entry| entry.is_shut_out = true);
        });
    }
}

fn is_refused(error: &Error) -> bool {
    use std::io::ErrorKind;
    matches!(error, Error::Io(mysql_async::IoError::Io(error)) if error.kind() == ErrorKind::ConnectionRefused)
}

/// Has the server end these sessions of its own, and waits until they are gone. An account may end its own sessions.
async fn end(connection: &mut Conn, sessions: &[Arc<Session>]) -> mysql_async::Result<()> {
    let mut killed: Vec<u64> = Vec::new();
    let mut pause = FIRST_PAUSE;
    loop {
        let is_given_up = |(id, client): &(u64, String)| {
            sessions.iter().any(|session| u64::from(session.id) == *id && session.client == *client)
        };
        let there: Vec<_> = node::sessions(connection).await?.into_iter().filter(is_given_up).collect();
        if there.is_empty() {
            return Ok(());
        }
        for (id, _) in there {
            if killed.contains(&id) {
                continue;
            }
            tracing::warn!(id, "an abandoned statement is still running on the server: its connection is killed");
            match connection.query_drop(format!("KILL CONNECTION {id}")).await {
                Err(Error::Server(error)) if error.code == UNKNOWN_THREAD => {}
                Err(Error::Server(error)) if error.code == NOT_OWNER => continue,
                result => result?,
            }
            killed.push(id);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// A statement on its way of which a part was given up, until it has ended.
pub(super) struct Hold(Arc<Fence>);

impl Drop for Hold {
    fn drop(&mut self) {
        let mut is_last = false;
        self.0.change_all(|up| {
            up.holds -= 1;
            is_last = up.holds == 0;
        });
        if is_last {
            self.0.released.notify_waiters();
        }
    }
}

/// Watches over one connection: where it is dropped while a statement that may write is on its way, the session counts as
/// given up.
pub(super) struct Flight {
    fence: Arc<Fence>,
    /// None where the server did not tell it.
    session: Option<Arc<Session>>,
    is_up: bool,
}

impl Flight {
    pub fn new(fence: &Arc<Fence>, session: Option<Session>) -> Self {
        Self { fence: Arc::clone(fence), session: session.map(Arc::new), is_up: false }
    }

    /// A statement that may write is sent.
    pub fn begin(&mut self) {
        self.is_up = true;
    }

    /// The server has answered.
    pub fn end(&mut self) {
        self.is_up = false;
    }

    /// Whether the fence can end its statements: the server told which session it is.
    pub fn can_be_ended(&self) -> bool {
        self.session.is_some()
    }

    /// Where the connection leads to a node of a cluster: which.
    pub fn member(&self) -> Option<Member> {
        self.session.as_ref().and_then(|session| session.member.clone())
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(session) = self.session.take().filter(|_| self.is_up) {
            self.fence.give_up(session);
        }
    }
}
