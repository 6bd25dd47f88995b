use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::codes;
use super::group;
use super::guard::host;
use super::others::busy_pause;
use super::pool::{Held, Pool};
use super::raw::{Raw, Stop};
use crate::sql::error::{ErrorKind, Result, SqlError};
use crate::sql::gate::Ticket;
use crate::sql::pause::Pause;
use crate::sql::rows::{ResultLimits, Rows};
use crate::sql::{Access, Connection, Statement, Value, Work};
use crate::threads;

/// How long a statement that may be long runs on the thread of its caller before it moves to another: about what
/// other tasks can be made to wait for, and ten times what moving costs.
const BRIEF: Duration = Duration::from_micros(500);

/// A lease. For reading it holds a reader from the start; for writing it takes the writer only for the time of a
/// transaction or of one statement.
pub(super) struct SqliteConnection {
    pool: Arc<Pool>,
    access: Access,
    /// Empty for writing outside a transaction, and where a future was dropped while it had the connection.
    held: Option<Held>,
    in_transaction: bool,
    _ticket: Ticket,
}

impl SqliteConnection {
    pub async fn acquire(pool: &Arc<Pool>, access: Access, deadline: Instant) -> Result<Self> {
        pool.check_open()?;
        let held = match access {
            Access::Read => Some(Held::Reader(pool.reader(deadline).await?)),
            Access::Write => None,
        };
        Ok(Self { pool: Arc::clone(pool), access, held, in_transaction: false, _ticket: pool.ticket() })
    }

    /// Whether a statement needs the writer for itself.
    fn is_loose(&self) -> bool {
        self.access == Access::Write && !self.in_transaction
    }

    fn take_held(&mut self) -> Result<Held> {
        self.held.take().ok_or_else(|| {
            SqlError::new(
                ErrorKind::Unavailable,
                "an earlier call was given up in mid-statement: lease another connection",
            )
        })
    }

    /// Runs `call` on the connection that this lease holds. While it runs the lease is empty, so that dropping the
    /// future leaves no way to use the connection.
    async fn on_held<T: Send + 'static>(
        &mut self,
        work: Work,
        deadline: Instant,
        call: impl Fn(&Raw) -> Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        let held = self.take_held()?;
        if self.in_transaction && !held.raw().is_ok_and(Raw::in_transaction) {
            self.held = Some(held);
            return Err(SqlError::new(
                ErrorKind::Conflict,
                "the database rolled the transaction back after an earlier error: begin it again",
            ));
        }
        let (held, result) = run(&self.pool, held, work, deadline, call).await;
        self.held = held;
        result
    }

    async fn end(&mut self, text: &'static str) -> Result<()> {
        if !self.in_transaction {
            return Err(SqlError::new(ErrorKind::InvalidStatement, "no transaction is open"));
        }
        self.in_transaction = false;
        let held = self.take_held()?;
        let result = self.pool.pace.run(|| {
            let raw = held.raw()?;
            if text == host::ROLLBACK && !raw.in_transaction() {
                return Ok(());
            }
            let result = raw.host(text);
            raw.roll_back();
            result
        });
        if self.access == Access::Read {
            self.held = Some(held);
        }
        result
    }
}

#[async_trait]
impl Connection for SqliteConnection {
    async fn query(
        &mut self,
        statement: &Statement,
        parameters: Vec<Value>,
        limits: ResultLimits,
        deadline: Instant,
    ) -> Result<Rows> {
        let copy = statement.clone();
        if self.is_loose() {
            let held = Held::Writer(self.pool.writer(deadline).await?);
            let call = move |raw: &Raw| raw.query_all_or_nothing(&copy, &parameters, limits, deadline);
            return run(&self.pool, held, statement.work(), deadline, call).await.1;
        }
        let call = move |raw: &Raw| raw.query(&copy, &parameters, limits, deadline);
        self.on_held(statement.work(), deadline, call).await
    }

    async fn execute(&mut self, statement: &Statement, parameters: Vec<Value>, deadline: Instant) -> Result<u64> {
        if self.is_loose() && statement.work() == Work::Short {
            return group::execute(&self.pool, statement, parameters, deadline).await;
        }
        if self.is_loose() {
            return execute_apart(&self.pool, statement, parameters, deadline).await;
        }
        let copy = statement.clone();
        let call = move |raw: &Raw| raw.execute(&copy, &parameters, deadline);
        self.on_held(statement.work(), deadline, call).await
    }

    async fn begin(&mut self, deadline: Instant) -> Result<()> {
        if self.in_transaction {
            return Err(SqlError::new(ErrorKind::InvalidStatement, "a transaction is open already"));
        }
        let (held, text) = match self.access {
            Access::Read => (self.take_held()?, host::BEGIN),
            Access::Write => (Held::Writer(self.pool.writer(deadline).await?), host::BEGIN_IMMEDIATE),
        };
        let (held, result) = run(&self.pool, held, Work::Short, deadline, move |raw| raw.host(text)).await;
        if result.is_ok() || self.access == Access::Read {
            self.held = held;
        }
        self.in_transaction = result.is_ok();
        result
    }

    async fn commit(&mut self, _deadline: Instant) -> Result<()> {
        if self.in_transaction && self.held.as_ref().is_some_and(|held| !held.raw().is_ok_and(Raw::in_transaction)) {
            self.end(host::ROLLBACK).await?;
            return Err(SqlError::new(
                ErrorKind::Conflict,
                "the database rolled the transaction back after an earlier error: nothing was committed",
            ));
        }
        self.end(host::COMMIT).await
    }

    async fn rollback(&mut self, _deadline: Instant) -> Result<()> {
        self.end(host::ROLLBACK).await
    }
}

/// Reads on a reader of its own: on this thread, unless the statement turns out to be long, or was the last time.
pub(super) async fn read(
    pool: &Arc<Pool>,
    statement: &Statement,
    parameters: Vec<Value>,
    limits: ResultLimits,
    deadline: Instant,
) -> Result<Rows> {
    let held = Held::Reader(pool.reader(deadline).await?);
    let here = |raw: &Raw, limit| raw.query(statement, &parameters, limits, limit);
    let held = match run_here(pool, held, statement, deadline, here).await {
        ControlFlow::Break(result) => return result,
        ControlFlow::Continue(held) => held,
    };
    let (started, copy) = (Instant::now(), statement.clone());
    let call = move |raw: &Raw| raw.query(&copy, &parameters, limits, deadline);
    let result = run(pool, held, Work::Long, deadline, call).await.1;
    statement.note_long(started.elapsed() > BRIEF / 2);
    result
}

/// Runs a write that may be long, and so shares no commit, as [`read`] runs a query. One that is moved to another thread begins anew:
/// what it had done was rolled back.
async fn execute_apart(
    pool: &Arc<Pool>,
    statement: &Statement,
    parameters: Vec<Value>,
    deadline: Instant,
) -> Result<u64> {
    let held = Held::Writer(pool.writer(deadline).await?);
    let here = |raw: &Raw, limit| raw.execute(statement, &parameters, limit);
    let held = match run_here(pool, held, statement, deadline, here).await {
        ControlFlow::Break(result) => return result,
        ControlFlow::Continue(held) => held,
    };
    let (started, copy) = (Instant::now(), statement.clone());
    let call = move |raw: &Raw| raw.execute(&copy, &parameters, deadline);
    let result = run(pool, held, Work::Long, deadline, call).await.1;
    statement.note_long(started.elapsed() > BRIEF / 2);
    result
}

/// Runs a statement on this thread. Returns the lease where it turns out to be long, or was the last time.
async fn run_here<T>(
    pool: &Pool,
    held: Held,
    statement: &Statement,
    deadline: Instant,
    call: impl Fn(&Raw, Instant) -> Result<T>,
) -> ControlFlow<Result<T>, Held> {
    if statement.is_known_long() {
        return ControlFlow::Continue(held);
    }
    let mut busy = Busy::new(pool, &held);
    loop {
        let limit = match statement.work() {
            Work::Short => deadline,
            Work::Long => deadline.min(Instant::now() + BRIEF),
        };
        let result = pool.pace.run(|| held.raw().and_then(|raw| call(raw, limit)));
        if limit < deadline && result.as_ref().is_err_and(|error| error.kind == ErrorKind::Timeout) {
            return ControlFlow::Continue(held);
        }
        if let Some(result) = busy.wait(result, deadline).await {
            return ControlFlow::Break(result);
        }
    }
}

/// Looks through the whole file for damage, on a reader of its own.
pub(super) async fn check_integrity(pool: &Arc<Pool>, deadline: Instant) -> Result<()> {
    let held = Held::Reader(pool.reader(deadline).await?);
    run(pool, held, Work::Long, deadline, move |raw| raw.check_integrity(deadline)).await.1
}

/// Waits while another process holds the lock.
struct Busy<'a> {
    pool: &'a Pool,
    is_writer: bool,
    pause: Pause,
    was_busy: bool,
}

impl<'a> Busy<'a> {
    fn new(pool: &'a Pool, held: &Held) -> Self {
        Self { pool, is_writer: matches!(held, Held::Writer(_)), pause: busy_pause(), was_busy: false }
    }

    /// What is to be returned; `None` where another attempt is due.
    async fn wait<T>(&mut self, result: Result<T>, deadline: Instant) -> Option<Result<T>> {
        match result {
            Err(error) if codes::is_busy(&error) => {
                let _blocked = self.is_writer.then(|| self.pool.others.block());
                self.pool.others.note_lock();
                self.was_busy = true;
                if self.pause.wait(deadline).await { None } else { Some(Err(self.pool.busy())) }
            }
            // The lock came too late to do anything with it.
            Err(error) if self.was_busy && error.kind == ErrorKind::Timeout => Some(Err(self.pool.busy())),
            result => Some(result),
        }
    }
}

/// Runs `call` where its work belongs, again and again while another process holds the lock, until `deadline`.
///
/// Returns the lease with the result, or keeps it where the thread that had it came to harm. A future that is
/// dropped gives it back by itself: at once, or where it runs on another thread as soon as that was interrupted.
async fn run<T: Send + 'static>(
    pool: &Pool,
    mut held: Held,
    work: Work,
    deadline: Instant,
    call: impl Fn(&Raw) -> Result<T> + Send + Sync + 'static,
) -> (Option<Held>, Result<T>) {
    let call = match work {
        Work::Short => Call::Here(call),
        Work::Long => Call::Elsewhere(Arc::new(call)),
    };
    let mut busy = Busy::new(pool, &held);
    loop {
        let result = match &call {
            Call::Here(call) => pool.pace.run(|| held.raw().and_then(call)),
            Call::Elsewhere(call) => match run_elsewhere(held, Arc::clone(call)).await {
                Ok((back, result)) => {
                    held = back;
                    result
                }
                Err(error) => return (None, Err(error)),
            },
        };
        if let Some(result) = busy.wait(result, deadline).await {
            return (Some(held), result);
        }
    }
}

/// What is to be run, on this thread or on another.
enum Call<F> {
    Here(F),
    Elsewhere(Arc<F>),
}

async fn run_elsewhere<T: Send + 'static>(
    held: Held,
    call: Arc<impl Fn(&Raw) -> Result<T> + Send + Sync + 'static>,
) -> Result<(Held, Result<T>)> {
    let stop = held.raw()?.stop();
    let mut unwanted = CancelOnDrop { lease: stop.lease(), stop: Some(Arc::clone(stop)) };
    let thread = threads::spawn(move || {
        let result = held.raw().and_then(|raw| call(raw));
        (held, result)
    });
    let result = thread.await;
    unwanted.stop = None;
    result.map_err(|_| SqlError::new(ErrorKind::InvalidStatement, "the thread that ran the statement ended early"))
}

/// Interrupts what a lease runs on another thread when its caller is gone.
struct CancelOnDrop {
    /// `None` once the result is there, since the same lease may go on.
    stop: Option<Arc<Stop>>,
    lease: u64,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(stop) = &self.stop {
            stop.cancel(self.lease);
        }
    }
}
