//! MySQL: a session as every contestant has it, and sqlx's defaults for the rest.

use anyhow::{Result, ensure};
use sqlx::Row;
use sqlx::mysql::{
    MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlPool, MySqlPoolOptions, MySqlRow, MySqlSslMode,
};

use crate::contestant::contestant;
use crate::model::{MessageState, ThreadOwnership};
use crate::shared::callers::Operate;
use crate::shared::operation::{Operation, Work};
use crate::shared::rows::{self, Rows};
use crate::shared::statements::{MYSQL, MYSQL_REPEATED, MYSQL_SESSION, unsorted};
use crate::{PATIENCE, connections, variable};

contestant!(Mysql, MySqlPool, MySql, MySqlRow, MYSQL, 2, is_repeated);

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
