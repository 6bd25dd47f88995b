//! mysql_async: held connections, each with its statements prepared.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Statement};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use crate::contestant::{CONNECTIONS, Contestant};
use crate::model::{MessageState, ThreadOwnership};
use crate::shared::callers::{self, Operate, Outcome};
use crate::shared::operation::{Operation, Work};
use crate::shared::rows::{self, Rows};
use crate::shared::statements::{MYSQL, MYSQL_REPEATED, MYSQL_SESSION, unsorted};
use cofferdam::config::MysqlConfig;
use cofferdam_tests::harness::mysql;

/// Connections to one database.
pub struct Mysql {
    held: Arc<Held>,
    runtime: Runtime,
}

/// The connections that nobody uses at the moment. They are never closed, reset or asked whether they live.
struct Held {
    free: Mutex<Vec<Session>>,
    permits: Semaphore,
    rows: Rows,
}

struct Session {
    connection: Conn,
    get: Statement,
    upsert: Statement,
    all: Statement,
    since: Statement,
    all_unsorted: Statement,
    since_unsorted: Statement,
    ownership: Statement,
    upsert_ownership: Statement,
    cleanup: Statement,
}

impl Mysql {
    /// Connects and prepares the statements.
    ///
    /// # Errors
    ///
    /// The server does not answer.
    pub fn connect(database: &MysqlConfig) -> Result<Self> {
        let runtime = Runtime::new()?;
        let sessions = runtime.block_on(async {
            let mut sessions = Vec::new();
            for _ in 0..CONNECTIONS {
                sessions.push(Session::open(database).await?);
            }
            anyhow::Ok(sessions)
        })?;
        let held = Held { permits: Semaphore::new(sessions.len()), free: Mutex::new(sessions), rows: Rows::new() };
        Ok(Self { held: Arc::new(held), runtime })
    }
}

impl Contestant for Mysql {
    fn name(&self) -> &'static str {
        "driver"
    }

    fn run(&mut self, work: &Work) -> Result<Outcome> {
        self.runtime.block_on(callers::run(&self.held, work))
    }
}

impl Operate for Held {
    async fn operate(&self, work: &Work, index: u64) -> Result<u64> {
        let permit = self.permits.acquire().await?;
        let mut session = self.lock().pop().context("a permit without a connection")?;
        let result = session.operate(&self.rows, work, index).await;
        self.lock().push(session);
        drop(permit);
        result
    }
}

impl Held {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    async fn open(database: &MysqlConfig) -> Result<Self> {
        let mut connection = mysql::connect(database).await?;
        connection.query_drop(MYSQL_SESSION).await?;
        Ok(Self {
            get: connection.prep(MYSQL.get).await?,
            upsert: connection.prep(MYSQL.upsert).await?,
            all: connection.prep(MYSQL.all).await?,
            since: connection.prep(MYSQL.since).await?,
            all_unsorted: connection.prep(unsorted(MYSQL.all)).await?,
            since_unsorted: connection.prep(unsorted(MYSQL.since)).await?,
            ownership: connection.prep(MYSQL.ownership).await?,
            upsert_ownership: connection.prep(MYSQL.upsert_ownership).await?,
            cleanup: connection.prep(MYSQL.cleanup).await?,
            connection,
        })
    }

    async fn operate(&mut self, rows: &Rows, work: &Work, index: u64) -> Result<u64> {
        match work.operation {
            Operation::Get => rows.check_state(index, self.get(rows.state(index)).await?),
            Operation::UpsertExisting | Operation::UpsertBurst => {
                let affected = self.upsert(&rows.existing(index)).await?;
                // 2 is how the server counts a row that was there and changed.
                ensure!(affected == 2, "{affected} rows affected by an update");
                Ok(1)
            }
            Operation::UpsertNew => {
                let affected = self.upsert(&rows::new_state(index)).await?;
                ensure!(affected == 1, "{affected} rows affected by an insert");
                Ok(1)
            }
            Operation::Window => {
                let since = rows::before_now(rows::window());
                let found = self.connection.exec_map(&self.since, (since,), state).await?;
                rows.check_list(&found, rows::WINDOW_ROWS)
            }
            Operation::All => rows.check_list(&self.connection.exec_map(&self.all, (), state).await?, rows::ROWS),
            Operation::WindowSorted => {
                let since = rows::before_now(rows::window());
                rows.sort_list(
                    self.connection.exec_map(&self.since_unsorted, (since,), state).await?,
                    rows::WINDOW_ROWS,
                )
            }
            Operation::AllSorted => {
                rows.sort_list(self.connection.exec_map(&self.all_unsorted, (), state).await?, rows::ROWS)
            }
            Operation::OwnershipGet => rows.check_ownership(index, self.ownership(rows.ownership(index)).await?),
            Operation::OwnershipUpsert => {
                let affected = self.upsert_ownership(&rows.existing_ownership(index)).await?;
                ensure!(affected == 2, "{affected} rows affected by an update");
                Ok(1)
            }
            Operation::Cleanup => {
                let before = rows::before_now(work.max_age(index));
                write(&mut self.connection, &self.cleanup, (before,)).await
            }
        }
    }

    async fn get(&mut self, key: &MessageState) -> Result<Option<MessageState>> {
        let found: Option<(i64, String, i64, i64, i64)> =
            self.connection.exec_first(&self.get, (&key.channel_id, &key.thread_id)).await?;
        Ok(found.map(|(id, last_message_id, last_seen_timestamp, created_at, updated_at)| MessageState {
            id,
            channel_id: key.channel_id.clone(),
            thread_id: key.thread_id.clone(),
            last_message_id,
            last_seen_timestamp,
            created_at,
            updated_at,
        }))
    }

    async fn upsert(&mut self, state: &MessageState) -> Result<u64> {
        let now = rows::now();
        let parameters = (
            &state.channel_id,
            &state.thread_id,
            &state.last_message_id,
            state.last_seen_timestamp,
            if state.created_at == 0 { now } else { state.created_at },
            now,
        );
        write(&mut self.connection, &self.upsert, parameters).await
    }

    async fn ownership(&mut self, key: &ThreadOwnership) -> Result<Option<ThreadOwnership>> {
        let found: Option<(i64, String, String, i64, i64, i64)> =
            self.connection.exec_first(&self.ownership, (&key.thread_id,)).await?;
        Ok(found.map(|(id, original_user_id, created_by, creation_time, created_at, updated_at)| ThreadOwnership {
            id,
            thread_id: key.thread_id.clone(),
            original_user_id,
            created_by,
            creation_time,
            created_at,
            updated_at,
        }))
    }

    async fn upsert_ownership(&mut self, ownership: &ThreadOwnership) -> Result<u64> {
        let now = rows::now();
        let parameters = (
            &ownership.thread_id,
            &ownership.original_user_id,
            &ownership.created_by,
            ownership.creation_time,
            now,
            now,
        );
        write(&mut self.connection, &self.upsert_ownership, parameters).await
    }
}

/// Runs a statement that writes and returns the affected rows; repeats it where the server gave it up for another.
async fn write(connection: &mut Conn, statement: &Statement, parameters: impl Into<Params>) -> Result<u64> {
    let parameters = parameters.into();
    loop {
        match connection.exec_drop(statement, parameters.clone()).await {
            Err(mysql_async::Error::Server(error)) if MYSQL_REPEATED.contains(&error.code) => {}
            result => {
                result?;
                return Ok(connection.affected_rows());
            }
        }
    }
}

type StateRow = (i64, String, Option<String>, String, i64, i64, i64);

fn state(row: StateRow) -> MessageState {
    let (id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at) = row;
    MessageState { id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at }
}
