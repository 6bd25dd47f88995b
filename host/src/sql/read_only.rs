use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use super::error::{ErrorKind, Result, SqlError};
use super::{
    Access, Connection, Database, Engine, Obstacles, PoolStatus, ResultLimits, Rows, Server, Statement, Value,
};

/// A database that is only read, whatever its user may do: no lease of it writes.
pub struct ReadOnly(Arc<dyn Database>);

impl ReadOnly {
    /// Lends out only connections that read.
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self(database)
    }
}

fn refused() -> SqlError {
    SqlError::new(ErrorKind::PermissionDenied, "this database was opened read-only")
}

fn check(access: Access) -> Result<()> {
    if access == Access::Read { Ok(()) } else { Err(refused()) }
}

#[async_trait]
impl Database for ReadOnly {
    fn engine(&self) -> Engine {
        self.0.engine()
    }

    fn check(&self, text: &str) -> Result<()> {
        self.0.check(text)
    }

    async fn server(&self, deadline: Instant) -> Result<Server> {
        self.0.server(deadline).await
    }

    async fn acquire(&self, access: Access, deadline: Instant) -> Result<Box<dyn Connection>> {
        check(access)?;
        self.0.acquire(access, deadline).await
    }

    async fn query(
        &self,
        access: Access,
        statement: &Statement,
        parameters: Vec<Value>,
        limits: ResultLimits,
        deadline: Instant,
    ) -> Result<Rows> {
        check(access)?;
        self.0.query(access, statement, parameters, limits, deadline).await
    }

    async fn execute(&self, _: &Statement, _: Vec<Value>, _: Instant) -> Result<u64> {
        Err(refused())
    }

    async fn obstacles(&self, deadline: Instant) -> Result<Obstacles> {
        self.0.obstacles(deadline).await
    }

    async fn remarks(&self, access: Access, deadline: Instant) -> Result<Vec<String>> {
        self.0.remarks(access, deadline).await
    }

    fn can_check_integrity(&self) -> bool {
        self.0.can_check_integrity()
    }

    async fn check_integrity(&self, deadline: Instant) -> Result<()> {
        self.0.check_integrity(deadline).await
    }

    fn status(&self) -> PoolStatus {
        self.0.status()
    }

    fn is_locked(&self) -> bool {
        self.0.is_locked()
    }

    async fn close(&self, deadline: Instant) {
        self.0.close(deadline).await;
    }
}
