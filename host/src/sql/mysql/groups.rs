//! Writes that arrive together are run as one statement.
//!
//! A commit costs the server a sync, and a statement costs a round trip. The server shares the one between connections where it
//! can; a host that sees all of its writers shares both, and one connection with many rows is quicker than many with a few. So
//! while a statement of rows (`BatchText`) is on its way, those who want to run the same one queue up, and when it has ended all
//! who wait are run as one statement over one connection.
//!
//! **Alone.** One who finds nobody on the way runs in place, on its own future, as any other statement does; so does a second
//! one beside it. Nothing is spent on them but a look at the lane of their statement ([`lane`]).
//!
//! **Together.** A group is run by a task of its own ([`run`]), so that a caller who drops its future cuts nobody else off. As a
//! rule one group at a time is on its way; to a server that is far away there are up to four, so that it has something to do while
//! another one travels. One more starts beside it where the first in the queue has waited for about twice
//! as long as groups take, or where more wait than a group may have. After a group its callers need a moment to come back with
//! what they write next, and the next group gives them that, up to a quarter of what a group takes and two milliseconds: a statement of 64 rows takes hardly longer
//! than one of two.
//!
//! **Answers.** A caller's answer is its own. Where the server refuses a group for one of its rows, the group is halved on
//! the same connection until the row is found. Whoever is left alone runs in place again, with everything that belongs to a lone
//! statement: its error, its deadline, its repeated attempts. So does everybody of a group that lost a second deadlock, that
//! waits for a lock, or whose answer does not come soon: one locked row holds up nobody but itself. So does everybody of a group
//! whose connection dies, once its session has ended: what one dead connection is to one caller without groups should not be an error
//! to all. Only where no other connection is to be had they hear of the one that died, since nobody knows what became of their
//! rows.
//!
//! **Deadlocks.** Rows are sent in the order of their first parameter, so that hosts beside each other mostly take locks in the same
//! order. What deadlocks nevertheless the server ends; it is repeated once, after a pause of random length, and then row by
//! row.
//!
//! **Giving up.** Who gives up while it waits takes its row along. A row on its way cannot be called back, and must not take effect
//! after a later statement of this host, so from then on the group is held by the [fence](super::fence): nobody gets a connection until
//! the group has been answered, or was given up itself and its session ended. Both are soon, since a group
//! is waited for a quarter of a second, or ten times as long as groups take, and never for more than two. A row that was given up is
//! not repeated. A group takes its rows after it got its connection, and gets another look at the fence where something
//! was given up in between.
//!
//! **Order.** Callers that write one row at the same time may find either value there. In a group the later one of them wins.
//!
//! A row of which nothing was heard, and one whose group is repeated, may be written twice, with the same values: for that the
//! contract wants statements that may be run twice as well as once.

mod lane;
mod row;
mod run;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant as StdInstant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use self::lane::{Lane, Lanes};
use self::row::{Alone, Given, Reply, Row};
use super::connection::MysqlConnection;
use super::guard;
use super::pool::Pool;
use crate::sql::error::{ErrorKind, Result, SqlError};
use crate::sql::tally::Tally;
use crate::sql::{Access, BatchText, Connection, Statement, Value};
use crate::threads::lock;

/// The statements of a pool whose rows are run together.
pub(super) struct Groups {
    pool: Arc<Pool>,
    lanes: Mutex<Lanes>,
    tally: Tally,
}

/// What becomes of one who wants to write.
enum Entered {
    /// It goes alone.
    Alone(Option<Turn>, Vec<Value>),
    /// It waits for its group.
    Waits(Waiting),
}

/// Runs a statement on a connection that is leased for it alone.
pub(super) async fn execute_alone(
    pool: &Arc<Pool>,
    statement: &Statement,
    parameters: Vec<Value>,
    deadline: Instant,
) -> Result<u64> {
    MysqlConnection::acquire(pool, Access::Write, deadline).await?.execute(statement, parameters, deadline).await
}

impl Groups {
    pub fn new(pool: &Arc<Pool>) -> Self {
        Self { pool: Arc::clone(pool), lanes: Mutex::default(), tally: Tally::default() }
    }

    /// Groups that were run, and the rows in them.
    pub fn count(&self) -> (u64, u64) {
        self.tally.count()
    }

    /// How many wait for their group.
    pub fn waiting(&self) -> usize {
        self.lock().waiting()
    }

    /// Runs one row, alone or with those of others.
    pub async fn execute(
        self: &Arc<Self>,
        statement: &Statement,
        batch: &BatchText,
        parameters: Vec<Value>,
        deadline: Instant,
    ) -> Result<u64> {
        match self.enter(statement, batch, parameters, deadline) {
            Entered::Alone(_turn, parameters) => execute_alone(&self.pool, statement, parameters, deadline).await,
            Entered::Waits(waiting) => waiting.answer(statement, deadline).await,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        lock(&self.lanes)
    }

    fn enter(
        self: &Arc<Self>,
        statement: &Statement,
        batch: &BatchText,
        parameters: Vec<Value>,
        deadline: Instant,
    ) -> Entered {
        let effects = statement.effects(guard::effects);
        let mut lanes = self.lock();
        let index = if effects.writes && !effects.takes_named_lock && !effects.changes_schema {
            lanes.find(batch)
        } else {
            None
        };
        let Some(index) = index else { return Entered::Alone(None, parameters) };
        if let Some(since) = lanes.all[index].enter_alone() {
            drop(lanes);
            return Entered::Alone(Some(Turn { groups: Arc::clone(self), lane: index, since }), parameters);
        }
        let number = lanes.number();
        let lane = &mut lanes.all[index];
        let (done, answer) = oneshot::channel();
        lane.waiting.push_back(Row::new(number, parameters, deadline, done));
        let (patience, is_due) = (lane.longest_wait(), lane.is_due(self.pool.max()));
        lane.departing += usize::from(is_due);
        drop(lanes);
        if is_due {
            self.depart(index);
        }
        let waiting = Waiting { groups: Arc::clone(self), lane: index, number, answer, patience, is_answered: false };
        Entered::Waits(waiting)
    }

    /// Changes a lane, and lets the next group start where it is time.
    fn go_on(self: &Arc<Self>, index: usize, change: impl FnOnce(&mut Lane)) {
        let mut lanes = self.lock();
        let lane = &mut lanes.all[index];
        change(lane);
        let is_due = lane.is_due(self.pool.max());
        lane.departing += usize::from(is_due);
        drop(lanes);
        if is_due {
            self.depart(index);
        }
    }

    /// Starts a group that the lane counts already.
    fn depart(self: &Arc<Self>, index: usize) {
        let departure = Departure { groups: Arc::clone(self), lane: index, is_over: false };
        // Outside a runtime nobody can run it, and those who wait are told by the departure's end.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(run::depart(departure));
        }
    }
}

/// One who goes alone, until it has ended.
pub(super) struct Turn {
    groups: Arc<Groups>,
    lane: usize,
    since: StdInstant,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.groups.go_on(self.lane, |lane| lane.leave_alone(self.since));
    }
}

/// A group that gathers its rows.
struct Departure {
    groups: Arc<Groups>,
    lane: usize,
    /// Whether it has its rows.
    is_over: bool,
}

impl Drop for Departure {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let left = {
            let mut lanes = self.groups.lock();
            let lane = &mut lanes.all[self.lane];
            lane.departing -= 1;
            if lane.is_deserted() { std::mem::take(&mut lane.waiting) } else { VecDeque::new() }
        };
        // Where its runtime ended, so that there may be no other group.
        left.into_iter().for_each(Row::leave_alone);
    }
}

/// One who waits for its group, or for the answer to it.
struct Waiting {
    groups: Arc<Groups>,
    lane: usize,
    number: u64,
    answer: oneshot::Receiver<Reply>,
    /// How long it waits before it sees to it that something happens.
    patience: Duration,
    is_answered: bool,
}

impl Waiting {
    async fn answer(mut self, statement: &Statement, deadline: Instant) -> Result<u64> {
        let reply = loop {
            let limit = deadline.min(Instant::now() + self.patience);
            match timeout_at(limit, &mut self.answer).await {
                Ok(reply) => break reply,
                Err(_) if Instant::now() < deadline => self.groups.go_on(self.lane, |_| ()),
                Err(_) => match self.give_up() {
                    Err(error) => return Err(error),
                    Ok(reply) => break Ok(reply),
                },
            }
        };
        self.is_answered = true;
        match reply {
            Ok(Reply::Done(result)) => result.map(|()| 1),
            Ok(Reply::Alone(Alone { parameters, given: Some(given), .. })) => {
                // The connection goes back before the turn ends, also where this is dropped.
                let Given { turn, mut connection } = *given;
                let result = connection.execute(statement, parameters, deadline).await;
                drop(connection);
                drop(turn);
                result
            }
            Ok(Reply::Alone(Alone { parameters, given: None, doubt })) => {
                let result = execute_alone(&self.groups.pool, statement, parameters, deadline).await;
                match (result, doubt) {
                    // It does not tell that nothing was written.
                    (Err(error), Some(doubt)) if error.kind == ErrorKind::Unavailable => Err(doubt),
                    (result, _) => result,
                }
            }
            Err(_) => Err(SqlError::new(ErrorKind::Unavailable, "the task that ran the statement's group has ended")),
        }
    }

    /// The end of one whose deadline has passed, or an answer that came at the same moment.
    fn give_up(&mut self) -> Result<Reply> {
        let is_on_its_way = self.leave();
        if let Ok(Reply::Done(result)) = self.answer.try_recv() {
            return Ok(Reply::Done(result));
        }
        Err(match is_on_its_way {
            true => SqlError::timeout("waiting for the server's answer"),
            false => self.groups.pool.recent_failure().unwrap_or_else(|| SqlError::timeout("waiting for a connection")),
        })
    }

    /// Whether it is on its way.
    fn leave(&mut self) -> bool {
        self.is_answered = true;
        // Before it is looked for: a group that has not begun yet then does without it.
        self.answer.close();
        let (is_on_its_way, row) = self.groups.lock().all[self.lane].leave(self.number, self.groups.pool.fence());
        drop(row);
        is_on_its_way
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.is_answered {
            self.leave();
        }
    }
}
