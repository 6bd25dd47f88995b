//! MySQL and MariaDB servers: a pool of connections with limits of its own.
//!
//! `connect` opens them on one of several `hosts`, after a look at what the server says of itself (`node`), and makes each session
//! the same whatever the server's defaults are (`session`); `rules` tells what no session can change. `fence` sees to it that a
//! statement that was given up is not executed after what comes later. `groups` runs what several callers write at the same time
//! as one statement.

mod addresses;
mod codes;
mod connect;
mod connection;
mod exchange;
mod family;
mod fence;
mod groups;
mod guard;
mod hosts;
mod link;
mod node;
mod numbers;
mod pool;
mod rights;
mod rules;
mod session;
mod tls;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use self::connection::MysqlConnection;
use self::groups::Groups;
use self::pool::{Pool, SchemaChanges};
use crate::config::{MysqlConfig, PoolConfig};
use crate::sql::error::Result;
use crate::sql::{
    Access, Connection, Database, Engine, Obstacles, PoolStatus, Purpose, ReadOnly, Server, Statement, Value,
};

/// A pool of connections to a MySQL or MariaDB server, or to several that hold the same database. Connects when the first
/// connection is wanted.
///
/// # Errors
///
/// [`ErrorKind::Other`](crate::sql::ErrorKind::Other) where the file with the authorities to trust cannot be used, or no
/// server is named.
pub fn open(config: &MysqlConfig, pool: &PoolConfig) -> Result<Arc<dyn Database>> {
    open_for(config, pool, Purpose::Serve)
}

/// As [`open`]. Who writes much at a time beside others gives way: a change of the schema that waits for somebody who uses the
/// table holds up all who come after it, and gives up after two seconds within a transaction, where nothing is tried again.
pub(super) fn open_for(config: &MysqlConfig, pool: &PoolConfig, purpose: Purpose) -> Result<Arc<dyn Database>> {
    let changes = if purpose == Purpose::Bulk { SchemaChanges::GiveWay } else { SchemaChanges::Wait };
    let pool = Arc::new(Pool::new(config, *pool, changes)?);
    let database = Arc::new(MysqlDatabase { groups: Arc::new(Groups::new(&pool)), pool });
    Ok(if purpose == Purpose::Read { Arc::new(ReadOnly::new(database)) } else { database })
}

struct MysqlDatabase {
    pool: Arc<Pool>,
    groups: Arc<Groups>,
}

#[async_trait]
impl Database for MysqlDatabase {
    fn engine(&self) -> Engine {
        Engine::Mysql
    }

    fn check(&self, text: &str) -> Result<()> {
        guard::check(text)
    }

    async fn server(&self, deadline: Instant) -> Result<Server> {
        if self.pool.version().get().is_none() {
            // Whoever opens a connection learns it.
            MysqlConnection::acquire(&self.pool, Access::Read, deadline).await?;
        }
        let version = self.pool.version().get().cloned().unwrap_or_default();
        Ok(Server { engine: Engine::Mysql, version })
    }

    async fn acquire(&self, access: Access, deadline: Instant) -> Result<Box<dyn Connection>> {
        Ok(Box::new(MysqlConnection::acquire(&self.pool, access, deadline).await?))
    }

    async fn execute(&self, statement: &Statement, parameters: Vec<Value>, deadline: Instant) -> Result<u64> {
        match statement.batch() {
            Some(batch) => self.groups.execute(statement, batch, parameters, deadline).await,
            None => groups::execute_alone(&self.pool, statement, parameters, deadline).await,
        }
    }

    async fn obstacles(&self, deadline: Instant) -> Result<Obstacles> {
        MysqlConnection::acquire(&self.pool, Access::Read, deadline).await?.obstacles(deadline).await
    }

    async fn remarks(&self, access: Access, deadline: Instant) -> Result<Vec<String>> {
        MysqlConnection::acquire(&self.pool, Access::Read, deadline).await?.remarks(access, deadline).await
    }

    fn status(&self) -> PoolStatus {
        let (groups, grouped) = self.groups.count();
        let pool = self.pool.status();
        PoolStatus { waiting: pool.waiting + self.groups.waiting(), groups, grouped, ..pool }
    }

    async fn close(&self, deadline: Instant) {
        self.pool.close(deadline).await;
    }
}
