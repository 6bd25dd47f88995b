use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant as StdInstant};

use async_trait::async_trait;
use mysql_async::Conn;
use tokio::time::{Instant, timeout, timeout_at};

use super::codes::{self, Doing};
use super::exchange::{self, Failure};
use super::guard;
use super::hosts::Host;
use super::link::Link;
use super::pool::{Permit, Pool, SchemaChanges, say_goodbye};
use super::rights;
use super::rules::{self, Rules};
use super::session::LOCK_WAIT_AS_BEFORE;
use crate::sql::error::{ErrorKind, Result, SqlError};
use crate::sql::pause::Pause;
use crate::sql::rows::{ResultLimits, Rows};
use crate::sql::statement::Effects;
use crate::sql::{Access, Connection, Obstacles, Statement, Value};

/// The pauses before a statement that lost against another is repeated once more. The first time is at once: the other
/// one of a deadlock has what it wanted.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// A lease of one connection.
pub(super) struct MysqlConnection {
    pool: Arc<Pool>,
    access: Access,
    /// Empty once the connection was closed, and while a statement runs.
    link: Option<Link>,
    /// The server that it leads to.
    host: Arc<Host>,
    in_transaction: bool,
    /// Whether the server gave the open transaction up.
    is_lost: bool,
    /// Whether the connection carries what the next lease must not find.
    is_touched: bool,
    _permit: Permit,
}

impl MysqlConnection {
    pub async fn acquire(pool: &Arc<Pool>, access: Access, deadline: Instant) -> Result<Self> {
        let permit = pool.permit(deadline).await?;
        let link = pool.link(deadline).await?;
        Ok(Self {
            pool: Arc::clone(pool),
            access,
            host: Arc::clone(&link.host),
            link: Some(link),
            in_transaction: false,
            is_lost: false,
            is_touched: false,
            _permit: permit,
        })
    }

    /// Whether the connection may have died while it lay idle, and to try again does no harm.
    fn may_try_again(&self, error: &SqlError, was_reused: bool) -> bool {
        was_reused
            && !self.in_transaction
            && self.link.is_none()
            && matches!(error.code.as_deref(), Some("2006" | "2013" | "1927" | "4031" | "1053"))
    }

    /// Takes the connection for one exchange; dropped half-way it is closed.
    fn take(&mut self) -> Result<Link> {
        self.link.take().ok_or_else(|| {
            SqlError::new(
                ErrorKind::Unavailable,
                format!("this connection to {} was closed after an earlier failure", self.host.address),
            )
        })
    }

    /// The end of an exchange: keeps the connection where it is in order, closes it otherwise.
    fn settle<T>(
        &mut self,
        mut link: Link,
        outcome: Result<Result<T, Failure>, tokio::time::error::Elapsed>,
        deadline: Instant,
    ) -> Result<T> {
        let error = match outcome {
            Ok(Ok(value)) => {
                self.keep(link);
                return Ok(value);
            }
            Ok(Err(Failure::Refused(error))) => {
                link.flight.end();
                self.link = Some(link);
                return Err(error);
            }
            Ok(Err(Failure::GivenUp(error))) => return Err(error),
            Ok(Err(Failure::Driver(error))) => {
                let is_answer = matches!(error, mysql_async::Error::Server(_));
                let error = codes::error(error, Doing::Running, self.host.family(), &self.host.address);
                if codes::takes_no_writes(&error) {
                    self.host.has_failed();
                }
                if is_answer {
                    link.flight.end();
                }
                // The server says so itself before it closes a connection.
                if is_answer && error.kind != ErrorKind::Unavailable {
                    self.keep(link);
                } else {
                    self.pool.distrust(&self.host);
                }
                error
            }
            Err(_) => {
                self.host.has_failed();
                self.pool.distrust(&self.host);
                match Instant::now() >= deadline {
                    true => SqlError::timeout("waiting for the server's answer"),
                    false => SqlError::new(
                        ErrorKind::Timeout,
                        format!("{} did not answer within {:?}", self.host.address, self.pool.round_trip()),
                    ),
                }
            }
        };
        if self.in_transaction && (error.kind == ErrorKind::Conflict || self.link.is_none()) {
            self.is_lost = true;
        }
        Err(error)
    }

    /// Keeps a connection that has just answered.
    fn keep(&mut self, mut link: Link) {
        link.flight.end();
        link.is_reused = false;
        link.answered = StdInstant::now();
        self.host.has_answered(link.answered);
        self.link = Some(link);
    }

    /// Another connection in place of one that died.
    async fn reconnect(&mut self, deadline: Instant) -> Result<()> {
        let link = self.pool.connect(deadline).await?;
        self.host = Arc::clone(&link.host);
        self.link = Some(link);
        Ok(())
    }

    fn limit(&self, deadline: Instant) -> Instant {
        deadline.min(Instant::now() + self.pool.round_trip())
    }

    /// A change of the schema takes as long as the tables are large: its operation's deadline alone holds.
    async fn change_schema(&mut self, text: &Arc<str>, parameters: Cow<'_, [Value]>, deadline: Instant) -> Result<u64> {
        if guard::makes_table(text) {
            self.may_make_tables(deadline).await?;
        }
        let gives_way = self.pool.schema_changes() == SchemaChanges::GiveWay;
        if gives_way {
            self.run_own(LOCK_WAIT, deadline).await?;
        }
        let result = self.execute_once(text, parameters, deadline, deadline).await;
        if gives_way && self.link.is_some() {
            self.run_own(LOCK_WAIT_AS_BEFORE, deadline).await?;
        }
        result
    }

    async fn query_once(
        &mut self,
        text: &Arc<str>,
        parameters: &[Value],
        limits: ResultLimits,
        writes: bool,
        deadline: Instant,
    ) -> Result<Rows> {
        let mut link = self.take()?;
        if writes {
            link.flight.begin();
        }
        let call = exchange::query(&mut link, text, parameters, limits);
        let outcome = timeout_at(self.limit(deadline), call).await;
        self.settle(link, outcome, deadline)
    }

    async fn execute_once(
        &mut self,
        text: &Arc<str>,
        parameters: Cow<'_, [Value]>,
        limit: Instant,
        deadline: Instant,
    ) -> Result<u64> {
        let mut link = self.take()?;
        link.flight.begin();
        let call = exchange::execute(&mut link, text, parameters);
        let outcome = timeout_at(limit, call).await;
        self.settle(link, outcome, deadline)
    }

    /// Runs a statement for many callers, outside a transaction. Where it takes longer than `patience` it is given up, with the
    /// connection, and what became of it shows once the fence was passed.
    pub async fn execute_for_many(
        &mut self,
        text: &Arc<str>,
        parameters: Vec<Value>,
        patience: Duration,
    ) -> Result<()> {
        self.check_log()?;
        let patience = patience.min(self.pool.round_trip());
        let began = StdInstant::now();
        let mut link = self.take()?;
        link.flight.begin();
        match timeout(patience, exchange::execute(&mut link, text, Cow::Owned(parameters))).await {
            Ok(outcome) => self.settle(link, Ok(outcome), Instant::now() + patience).map(drop),
            Err(_) => {
                drop(link);
                // A server that answers others has a row that is locked.
                if !self.host.has_answered_since(began) {
                    self.pool.distrust(&self.host);
                }
                let message = format!("lost the connection to {}: no answer within {patience:?}", self.host.address);
                Err(codes::client_error(2013, message))
            }
        }
    }

    /// How far away the server is.
    pub fn round_trip(&self) -> Duration {
        self.host.round_trip()
    }

    /// Refuses a write that the server would refuse for the sake of its binary log.
    fn check_log(&mut self) -> Result<()> {
        if !self.link.as_ref().is_some_and(|link| link.logs_statements) {
            return Ok(());
        }
        // A connection that is opened later may have it otherwise.
        self.is_touched = true;
        Err(rules::refusal(rules::LOGS_STATEMENTS))
    }

    /// Whether what runs on this connection can be ended from another one.
    pub fn can_be_ended(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.flight.can_be_ended())
    }

    /// Whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.link.is_none()
    }

    async fn run_own(&mut self, text: &'static str, deadline: Instant) -> Result<()> {
        let mut link = self.take()?;
        if text == COMMIT {
            link.flight.begin();
        }
        let call = exchange::host(link.connection()?, text);
        let outcome = timeout_at(self.limit(deadline), call).await;
        self.settle(link, outcome, deadline)
    }

    /// A query that may be repeated on a new connection, where the old one turns out to be dead.
    async fn read(
        &mut self,
        text: &Arc<str>,
        parameters: &[Value],
        limits: ResultLimits,
        deadline: Instant,
    ) -> Result<Rows> {
        let was_reused = self.link.as_ref().is_some_and(|link| link.is_reused);
        match self.query_once(text, parameters, limits, false, deadline).await {
            Err(error) if self.may_try_again(&error, was_reused) => {
                self.reconnect(deadline).await?;
                self.query_once(text, parameters, limits, false, deadline).await
            }
            result => result,
        }
    }

    /// What is to be known of a statement before it runs.
    fn prepare_for(&mut self, statement: &Statement) -> Result<Effects> {
        let effects = statement.effects(guard::effects);
        if self.access == Access::Read && effects.writes {
            return Err(SqlError::new(
                ErrorKind::PermissionDenied,
                "the connection was leased for reading and the statement writes",
            ));
        }
        if self.is_lost {
            return Err(SqlError::new(
                ErrorKind::Conflict,
                "the server rolled the transaction back after an earlier error: begin it again",
            ));
        }
        if effects.writes {
            self.check_log()?;
        }
        self.is_touched |= effects.takes_named_lock;
        Ok(effects)
    }

    /// What the server's settings forbid.
    pub async fn obstacles(&mut self, deadline: Instant) -> Result<Obstacles> {
        Ok(self.ask(deadline, async |connection| Rules::ask(connection).await).await?.obstacles())
    }

    /// What an operator should know of the server, and of the account, who uses them so.
    pub async fn remarks(&mut self, access: Access, deadline: Instant) -> Result<Vec<String>> {
        let database = self.pool.database().to_owned();
        self.ask(deadline, async |connection| {
            // What a server forbids matters to those who write.
            let mut remarks = match access {
                Access::Read => Vec::new(),
                Access::Write => Rules::ask(connection).await?.remarks(),
            };
            remarks.extend(rights::remarks(connection, &database, access).await?);
            Ok(remarks)
        })
        .await
    }

    /// Asks something of the server for the host itself.
    async fn ask<T>(
        &mut self,
        deadline: Instant,
        question: impl AsyncFnOnce(&mut Conn) -> mysql_async::Result<T>,
    ) -> Result<T> {
        let mut link = self.take()?;
        let call = async { question(link.connection().map_err(Failure::Refused)?).await.map_err(Failure::Driver) };
        let outcome = timeout_at(self.limit(deadline), call).await;
        self.settle(link, outcome, deadline)
    }

    /// Refuses to make or change a table where the server would not let it be what it has to be.
    async fn may_make_tables(&mut self, deadline: Instant) -> Result<()> {
        if self.pool.may_make_tables().load(Ordering::Relaxed) {
            return Ok(());
        }
        let obstacles = self.obstacles(deadline).await?;
        if let Some(obstacle) = obstacles.to_writes.or(obstacles.to_tables) {
            return Err(rules::refusal(obstacle));
        }
        self.pool.may_make_tables().store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn end(&mut self, text: &'static str, deadline: Instant) -> Result<()> {
        if !self.in_transaction {
            return Err(SqlError::new(ErrorKind::InvalidStatement, "no transaction is open"));
        }
        if self.link.is_none() {
            // Closing the connection rolled the transaction back.
            self.in_transaction = false;
            self.is_lost = false;
            return if text == ROLLBACK { Ok(()) } else { self.take().map(drop) };
        }
        let result = self.run_own(text, deadline).await;
        if result.is_ok() || self.link.is_none() {
            self.in_transaction = false;
            self.is_lost = false;
        }
        result
    }
}

const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";

/// A host that hangs keeps a named lock no longer than this, in seconds. The connection never serves another lease, and between
/// two statements of this one a backend takes milliseconds.
const LOCKED_IDLE: &str = "SET SESSION wait_timeout = 10";

/// In seconds: short against the deadline of an operation of those who wait behind a change of the schema.
const LOCK_WAIT: &str = "SET SESSION lock_wait_timeout = 2";

#[async_trait]
impl Connection for MysqlConnection {
    async fn query(
        &mut self,
        statement: &Statement,
        parameters: Vec<Value>,
        limits: ResultLimits,
        deadline: Instant,
    ) -> Result<Rows> {
        let effects = self.prepare_for(statement)?;
        if effects.takes_named_lock {
            self.run_own(LOCKED_IDLE, deadline).await?;
        }
        if self.in_transaction || effects.writes {
            return self.query_once(statement.text(), &parameters, limits, effects.writes, deadline).await;
        }
        self.read(statement.text(), &parameters, limits, deadline).await
    }

    async fn execute(&mut self, statement: &Statement, mut parameters: Vec<Value>, deadline: Instant) -> Result<u64> {
        let effects = self.prepare_for(statement)?;
        let mut pause = Pause::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut was_repeated = false;
        loop {
            // Within a transaction nothing is repeated.
            let given = match self.in_transaction {
                true => Cow::Owned(std::mem::take(&mut parameters)),
                false => Cow::Borrowed(&*parameters),
            };
            let done = match effects.changes_schema {
                true => self.change_schema(statement.text(), given, deadline).await,
                false => self.execute_once(statement.text(), given, self.limit(deadline), deadline).await,
            };
            match done {
                Err(error) if codes::is_lock_conflict(&error) && !self.in_transaction => {
                    if std::mem::replace(&mut was_repeated, true) && !pause.wait(deadline).await {
                        return Err(error);
                    }
                }
                result => return result,
            }
        }
    }

    async fn begin(&mut self, deadline: Instant) -> Result<()> {
        if self.in_transaction {
            return Err(SqlError::new(ErrorKind::InvalidStatement, "a transaction is open already"));
        }
        let text = match self.access {
            Access::Read => "START TRANSACTION READ ONLY",
            Access::Write => "START TRANSACTION",
        };
        let was_reused = self.link.as_ref().is_some_and(|link| link.is_reused);
        // From here on: a future that is dropped may leave a transaction open, and the connection is closed then.
        let result = match self.run_own(text, deadline).await {
            Err(error) if self.may_try_again(&error, was_reused) => {
                self.reconnect(deadline).await?;
                self.run_own(text, deadline).await
            }
            result => result,
        };
        self.in_transaction = result.is_ok();
        result
    }

    async fn commit(&mut self, deadline: Instant) -> Result<()> {
        if self.is_lost {
            self.end(ROLLBACK, deadline).await?;
            return Err(SqlError::new(
                ErrorKind::Conflict,
                "the server rolled the transaction back after an earlier error: nothing was committed",
            ));
        }
        self.end(COMMIT, deadline).await
    }

    async fn rollback(&mut self, deadline: Instant) -> Result<()> {
        self.end(ROLLBACK, deadline).await
    }
}

impl Drop for MysqlConnection {
    fn drop(&mut self) {
        let Some(link) = self.link.take() else { return };
        if self.in_transaction || self.is_touched {
            say_goodbye(link);
        } else {
            self.pool.put_back(link);
        }
    }
}
