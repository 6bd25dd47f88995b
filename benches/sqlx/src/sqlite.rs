//! SQLite: the settings of every contestant, and sqlx's defaults for the rest.

use anyhow::{Result, ensure};
use sqlx::Row;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};

use crate::contestant::contestant;
use crate::model::{MessageState, ThreadOwnership};
use crate::shared::callers::Operate;
use crate::shared::operation::{Operation, Work};
use crate::shared::rows::{self, Rows};
use crate::shared::statements::{SQLITE, unsorted};
use crate::{PATIENCE, connections, variable};

contestant!(Sqlite, SqlitePool, Sqlite, SqliteRow, SQLITE, 1, |_: &sqlx::Error| false);

impl Sqlite {
    /// Opens all connections of the pool.
    pub async fn connect() -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(variable("DATABASE_PATH")?)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .pragma("cache_size", "1000")
            .foreign_keys(true)
            .busy_timeout(PATIENCE);
        let pool = SqlitePoolOptions::new()
            .max_connections(connections()?)
            .min_connections(connections()?)
            .acquire_timeout(PATIENCE)
            // Nobody else asks a connection whether it lives.
            .test_before_acquire(false)
            .connect_with(options)
            .await?;
        Ok(Self { pool, rows: Rows::new() })
    }
}
