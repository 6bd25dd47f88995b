//! MySQL: a session as every contestant has it, and sqlx's defaults for the rest.

use anyhow::{Result, ensure};
use sqlx::Row;
use sqlx::mysql::{
    MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlPool, MySqlPoolOptions, MySqlRow, MySqlSslMode,
};

use crate::model::{MessageState, ThreadOwnership};
use crate::shared::callers::Operate;
use crate::shared::operation::{Operation, Work};
use crate::shared::rows::{self, Rows};
use crate::shared::statements::{MYSQL, MYSQL_REPEATED, MYSQL_SESSION};
use crate::{PATIENCE, connections, variable};

/// A pool and what its answers must be.
pub struct Mysql {
    pool: MySqlPool,
    rows: Rows,
}

impl Mysql {
    /// Opens all connections of the pool.
    pub async fn connect() -> Result<Self> {
        let options = MySqlConnectOptions::new()
            .host(&variable("MYSQL_HOST")?)
            .port(variable("MYSQL_PORT")?.parse()?)
            .database(&variable("MYSQL_DATABASE")?)
            .username(&variable("MYSQL_USERNAME")?)
            .password(&variable("MYSQL_PASSWORD")?)
            .ssl_mode(MySqlSslMode::Disabled);
        let pool = MySqlPoolOptions::new()
            .max_connections(connections()?)
            .min_connections(connections()?)
            .acquire_timeout(PATIENCE)
            // Nobody else asks a connection whether it lives, which takes a round trip.
            .test_before_acquire(false)
            .after_connect(|connection: &mut MySqlConnection, _| {
                Box::pin(async move {
                    sqlx::query(MYSQL_SESSION).execute(connection).await?;
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        Ok(Self { pool, rows: Rows::new() })
    }
}

/// Whether the server gave a statement up for another, after which it is simply repeated.
fn is_repeated(error: &sqlx::Error) -> bool {
    let error = error.as_database_error().and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>());
    error.is_some_and(|error| MYSQL_REPEATED.contains(&error.number()))
}

impl Operate for Mysql {
    async fn operate(&self, work: &Work, index: u64) -> Result<u64> {
        let rows = &self.rows;
        match work.operation {
            Operation::Get => rows.check_state(index, self.get(rows.state(index)).await?),
            Operation::UpsertExisting => {
                let affected = self.upsert(&rows.existing(index)).await?;
                ensure!(affected == 2, "{affected} rows affected by an update");
                Ok(1)
            }
            Operation::UpsertNew => {
                let affected = self.upsert(&rows::new_state(index)).await?;
                ensure!(affected == 1, "{affected} rows affected by an insert");
                Ok(1)
            }
            Operation::Window => {
                let query = sqlx::query(MYSQL.since).bind(rows::before_now(rows::window()));
                rows.check_list(&query.try_map(state).fetch_all(&self.pool).await?, rows::WINDOW_ROWS)
            }
            Operation::All => {
                rows.check_list(&sqlx::query(MYSQL.all).try_map(state).fetch_all(&self.pool).await?, rows::ROWS)
            }
            Operation::OwnershipGet => rows.check_ownership(index, self.ownership(rows.ownership(index)).await?),
            Operation::OwnershipUpsert => {
                let affected = self.upsert_ownership(&rows.existing_ownership(index)).await?;
                ensure!(affected == 2, "{affected} rows affected by an update");
                Ok(1)
            }
            Operation::Cleanup => {
                let before = rows::before_now(work.max_age(index));
                loop {
                    match sqlx::query(MYSQL.cleanup).bind(before).execute(&self.pool).await {
                        Err(error) if is_repeated(&error) => {}
                        result => return Ok(result?.rows_affected()),
                    }
                }
            }
        }
    }
}

impl Mysql {
    async fn get(&self, key: &MessageState) -> Result<Option<MessageState>> {
        let found = sqlx::query(MYSQL.get)
            .bind(&key.channel_id)
            .bind(&key.thread_id)
            .try_map(|row: MySqlRow| {
                Ok(MessageState {
                    id: row.try_get(0)?,
                    channel_id: key.channel_id.clone(),
                    thread_id: key.thread_id.clone(),
                    last_message_id: row.try_get(1)?,
                    last_seen_timestamp: row.try_get(2)?,
                    created_at: row.try_get(3)?,
                    updated_at: row.try_get(4)?,
                })
            })
            .fetch_optional(&self.pool)
            .await?;
        Ok(found)
    }

    async fn upsert(&self, state: &MessageState) -> Result<u64> {
        let now = rows::now();
        loop {
            let query = sqlx::query(MYSQL.upsert)
                .bind(&state.channel_id)
                .bind(&state.thread_id)
                .bind(&state.last_message_id)
                .bind(state.last_seen_timestamp)
                .bind(if state.created_at == 0 { now } else { state.created_at })
                .bind(now);
            match query.execute(&self.pool).await {
                Err(error) if is_repeated(&error) => {}
                result => return Ok(result?.rows_affected()),
            }
        }
    }

    async fn ownership(&self, key: &ThreadOwnership) -> Result<Option<ThreadOwnership>> {
        let found = sqlx::query(MYSQL.ownership)
            .bind(&key.thread_id)
            .try_map(|row: MySqlRow| {
                Ok(ThreadOwnership {
                    id: row.try_get(0)?,
                    thread_id: key.thread_id.clone(),
                    original_user_id: row.try_get(1)?,
                    created_by: row.try_get(2)?,
                    creation_time: row.try_get(3)?,
                    created_at: row.try_get(4)?,
                    updated_at: row.try_get(5)?,
                })
            })
            .fetch_optional(&self.pool)
            .await?;
        Ok(found)
    }

    async fn upsert_ownership(&self, ownership: &ThreadOwnership) -> Result<u64> {
        let now = rows::now();
        loop {
            let query = sqlx::query(MYSQL.upsert_ownership)
                .bind(&ownership.thread_id)
                .bind(&ownership.original_user_id)
                .bind(&ownership.created_by)
                .bind(ownership.creation_time)
                .bind(now)
                .bind(now);
            match query.execute(&self.pool).await {
                Err(error) if is_repeated(&error) => {}
                result => return Ok(result?.rows_affected()),
            }
        }
    }
}

fn state(row: MySqlRow) -> sqlx::Result<MessageState> {
    Ok(MessageState {
        id: row.try_get(0)?,
        channel_id: row.try_get(1)?,
        thread_id: row.try_get(2)?,
        last_message_id: row.try_get(3)?,
        last_seen_timestamp: row.try_get(4)?,
        created_at: row.try_get(5)?,
        updated_at: row.try_get(6)?,
    })
}
