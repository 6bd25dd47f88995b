//! Implements the host functions of `wit/sql.wit` over the traits of `sql`: the one place where components and
//! databases meet.

use std::sync::Arc;

use tokio::time::Instant;
use wasmtime::component::{HasData, Resource, ResourceTable};

use super::bindings::sql as wit;
use super::meter::Meter;
use crate::model::Limits;
use crate::sql::{
    Access, BatchText, Connection, Database, ErrorKind, ResultLimits, Rows, Server, SqlError, Statement, Value, Work,
};

/// What one instance may do with databases during one operation.
pub(crate) struct SqlContext {
    database: Option<Arc<dyn Database>>,
    deadline: Instant,
    limits: Limits,
    leases: usize,
    statements: usize,
    full: bool,
    abandoned_transaction: bool,
}

impl SqlContext {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            database: None,
            deadline: Instant::now(),
            limits,
            leases: 0,
            statements: 0,
            full: false,
            abandoned_transaction: false,
        }
    }

    /// Opens the database to the operation that begins.
    pub(crate) fn begin(&mut self, database: Option<Arc<dyn Database>>, deadline: Instant) {
        self.database = database;
        self.deadline = deadline;
        self.abandoned_transaction = false;
    }

    /// Takes the database away and says what the operation left behind that it should not have.
    pub(crate) fn end(&mut self) -> Option<&'static str> {
        self.database = None;
        if self.abandoned_transaction {
            Some("it left a transaction open, which was rolled back")
        } else if self.leases > 0 {
            Some("it kept a connection, which was taken back")
        } else {
            None
        }
    }

    /// Whether the instance has been refused a statement, as one that leaks them will be for ever.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    fn database(&self) -> Result<&Arc<dyn Database>, SqlError> {
        self.database
            .as_ref()
            .ok_or_else(|| SqlError::new(ErrorKind::Unavailable, "no database is open for this operation"))
    }
}

/// A connection on lease to a guest. Dropping it gives the connection back.
pub struct Lease {
    connection: Box<dyn Connection>,
    in_transaction: bool,
}

/// Why a host function fails: an error that the guest sees, or a trap.
pub enum Failure {
    Sql(SqlError),
    Trap(wasmtime::Error),
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<wasmtime::component::ResourceTableError> for Failure {
    fn from(error: wasmtime::component::ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

/// The parts of a store's data that the host functions work on.
pub(crate) struct SqlView<'a> {
    pub(crate) context: &'a mut SqlContext,
    pub(crate) table: &'a mut ResourceTable,
    pub(crate) meter: &'a mut Meter,
}

/// Marks the host functions of `sql` in the linker.
pub(crate) struct HasSql;

impl HasData for HasSql {
    type Data<'a> = SqlView<'a>;
}

impl SqlView<'_> {
    /// A database that has a connection to lease to this instance.
    fn lender(&self) -> Result<&Arc<dyn Database>, SqlError> {
        let limit = self.context.limits.connections;
        if self.context.leases >= limit {
            let message = format!("an operation may lease {limit} connections at a time: drop those no longer needed");
            return Err(SqlError::new(ErrorKind::Other, message));
        }
        self.context.database()
    }

    /// Takes up one more statement of this instance, if the database lets its text through.
    fn declare(
        &mut self,
        statement: impl FnOnce(&dyn Database) -> Result<Statement, SqlError>,
    ) -> Result<Resource<Statement>, Failure> {
        let limit = self.context.limits.statements;
        if self.context.statements >= limit {
            self.context.full = true;
            let message = format!("an instance may declare {limit} statements at a time: drop those no longer needed");
            return Err(SqlError::new(ErrorKind::InvalidStatement, message).into());
        }
        let statement = statement(&**self.context.database()?)?;
        let statement = self.table.push(statement)?;
        self.context.statements += 1;
        Ok(statement)
    }

    fn result_limits(&self) -> ResultLimits {
        ResultLimits { rows: self.context.limits.result_rows, bytes: self.context.limits.result_bytes }
    }

    fn parameters(&self, parameters: Vec<wit::Value>) -> Result<Vec<Value>, SqlError> {
        let size = |value: &wit::Value| match value {
            wit::Value::Text(text) => text.len(),
            wit::Value::Blob(bytes) => bytes.len(),
            wit::Value::Null | wit::Value::Integer(_) | wit::Value::Real(_) => 0,
        };
        let limit = self.context.limits.parameter_bytes;
        if parameters.iter().map(size).sum::<usize>() > limit {
            let message = format!("the parameters of one statement are limited to {limit} bytes");
            return Err(SqlError::new(ErrorKind::InvalidStatement, message));
        }
        Ok(parameters.into_iter().map(Value::from).collect())
    }

    /// Runs `work` on a lease, together with the flag that says whether it is in a transaction.
    async fn on_lease<T>(
        &mut self,
        lease: &Resource<Lease>,
        work: impl AsyncFnOnce(&mut Lease, Instant) -> Result<T, SqlError>,
    ) -> Result<T, Failure> {
        let deadline = self.context.deadline;
        let entered = self.meter.enter_host();
        let result = work(self.table.get_mut(lease)?, deadline).await;
        self.meter.leave_host(entered);
        Ok(result?)
    }
}

impl wit::Host for SqlView<'_> {
    fn convert_error(&mut self, failure: Failure) -> wasmtime::Result<wit::Error> {
        match failure {
            Failure::Sql(error) => Ok(error.into()),
            Failure::Trap(trap) => Err(trap),
        }
    }

    fn prepare(&mut self, text: String, work: wit::Work) -> Result<Resource<Statement>, Failure> {
        let work = match work {
            wit::Work::Short => Work::Short,
            wit::Work::Long => Work::Long,
        };
        self.declare(|database| {
            database.check(&text)?;
            Ok(Statement::new(text, work))
        })
    }

    fn prepare_batchable(
        &mut self,
        head: String,
        row: String,
        between: String,
        tail: String,
    ) -> Result<Resource<Statement>, Failure> {
        let batch = BatchText { head, row, between, tail };
        self.declare(|database| {
            // What two parts are together shows with two rows. What is run for more is checked before it is.
            database.check(&batch.text(1))?;
            database.check(&batch.text(2))?;
            Ok(Statement::batchable(batch))
        })
    }

    async fn connected_server(&mut self) -> Result<wit::Server, Failure> {
        let (database, deadline) = (self.context.database()?, self.context.deadline);
        let entered = self.meter.enter_host();
        let server = database.server(deadline).await;
        self.meter.leave_host(entered);
        Ok(server?.into())
    }
}

impl wit::HostStatement for SqlView<'_> {
    async fn query(
        &mut self,
        statement: Resource<Statement>,
        access: wit::Access,
        parameters: Vec<wit::Value>,
    ) -> Result<wit::Rows, Failure> {
        let statement = self.table.get(&statement)?;
        let parameters = self.parameters(parameters)?;
        let (database, deadline, limits) = (self.lender()?, self.context.deadline, self.result_limits());
        let entered = self.meter.enter_host();
        let result = database.query(access.into(), statement, parameters, limits, deadline).await;
        self.meter.leave_host(entered);
        Ok(result?.into())
    }

    async fn execute(
        &mut self,
        statement: Resource<Statement>,
        parameters: Vec<wit::Value>,
    ) -> Result<wit::Outcome, Failure> {
        let statement = self.table.get(&statement)?;
        let parameters = self.parameters(parameters)?;
        let (database, deadline) = (self.lender()?, self.context.deadline);
        let entered = self.meter.enter_host();
        let result = database.execute(statement, parameters, deadline).await;
        self.meter.leave_host(entered);
        Ok(outcome(statement, result?))
    }

    fn drop(&mut self, statement: Resource<Statement>) -> wasmtime::Result<()> {
        self.table.delete(statement)?;
        self.context.statements -= 1;
        Ok(())
    }
}

impl wit::HostConnection for SqlView<'_> {
    async fn acquire(&mut self, access: wit::Access) -> Result<Resource<Lease>, Failure> {
        let (database, deadline) = (self.lender()?, self.context.deadline);
        let entered = self.meter.enter_host();
        let connection = database.acquire(access.into(), deadline).await;
        self.meter.leave_host(entered);
        let connection = connection?;
        let lease = self.table.push(Lease { connection, in_transaction: false })?;
        self.context.leases += 1;
        Ok(lease)
    }

    async fn query(
        &mut self,
        lease: Resource<Lease>,
        statement: Resource<Statement>,
        parameters: Vec<wit::Value>,
    ) -> Result<wit::Rows, Failure> {
        let statement = self.table.get(&statement)?.clone();
        let parameters = self.parameters(parameters)?;
        let limits = self.result_limits();
        let rows = self
            .on_lease(&lease, async |lease, deadline| {
                lease.connection.query(&statement, parameters, limits, deadline).await
            })
            .await?;
        Ok(rows.into())
    }

    async fn execute(
        &mut self,
        lease: Resource<Lease>,
        statement: Resource<Statement>,
        parameters: Vec<wit::Value>,
    ) -> Result<wit::Outcome, Failure> {
        let statement = self.table.get(&statement)?.clone();
        let parameters = self.parameters(parameters)?;
        let affected = self
            .on_lease(&lease, async |lease, deadline| lease.connection.execute(&statement, parameters, deadline).await)
            .await?;
        Ok(outcome(&statement, affected))
    }

    async fn begin(&mut self, lease: Resource<Lease>) -> Result<(), Failure> {
        self.on_lease(&lease, async |lease, deadline| {
            lease.connection.begin(deadline).await?;
            lease.in_transaction = true;
            Ok(())
        })
        .await
    }

    async fn commit(&mut self, lease: Resource<Lease>) -> Result<(), Failure> {
        self.on_lease(&lease, async |lease, deadline| {
            // Whatever becomes of it, no transaction is open afterwards: the guest has left none.
            lease.in_transaction = false;
            lease.connection.commit(deadline).await
        })
        .await
    }

    async fn rollback(&mut self, lease: Resource<Lease>) -> Result<(), Failure> {
        self.on_lease(&lease, async |lease, deadline| {
            lease.in_transaction = false;
            lease.connection.rollback(deadline).await
        })
        .await
    }

    fn drop(&mut self, lease: Resource<Lease>) -> wasmtime::Result<()> {
        let lease = self.table.delete(lease)?;
        self.context.leases -= 1;
        self.context.abandoned_transaction |= lease.in_transaction;
        Ok(())
    }
}

/// Of one row in a group nobody can tell what the database counted for it.
fn outcome(statement: &Statement, affected: u64) -> wit::Outcome {
    wit::Outcome { affected: if statement.batch().is_some() { 1 } else { affected } }
}

impl From<wit::Value> for Value {
    fn from(value: wit::Value) -> Self {
        match value {
            wit::Value::Null => Self::Null,
            wit::Value::Integer(integer) => Self::Integer(integer),
            wit::Value::Real(real) => Self::Real(real),
            wit::Value::Text(text) => Self::Text(text),
            wit::Value::Blob(bytes) => Self::Blob(bytes),
        }
    }
}

impl From<wit::Access> for Access {
    fn from(access: wit::Access) -> Self {
        match access {
            wit::Access::Read => Self::Read,
            wit::Access::Write => Self::Write,
        }
    }
}

impl From<Rows> for wit::Rows {
    fn from(rows: Rows) -> Self {
        let Rows { count, columns, packed, text } = rows;
        Self { count, columns, packed, text }
    }
}

impl From<Server> for wit::Server {
    fn from(server: Server) -> Self {
        Self { engine: server.engine.into(), version: server.version }
    }
}

impl From<SqlError> for wit::Error {
    fn from(error: SqlError) -> Self {
        let kind = match error.kind {
            ErrorKind::Unavailable => wit::ErrorKind::Unavailable,
            ErrorKind::Timeout => wit::ErrorKind::Timeout,
            ErrorKind::Conflict => wit::ErrorKind::Conflict,
            ErrorKind::Constraint => wit::ErrorKind::Constraint,
            ErrorKind::PermissionDenied => wit::ErrorKind::PermissionDenied,
            ErrorKind::StorageFull => wit::ErrorKind::StorageFull,
            ErrorKind::InvalidStatement => wit::ErrorKind::InvalidStatement,
            ErrorKind::CorruptData => wit::ErrorKind::CorruptData,
            ErrorKind::Other => wit::ErrorKind::Other,
        };
        Self { kind, code: error.code, sqlstate: error.sqlstate, message: error.message }
    }
}
