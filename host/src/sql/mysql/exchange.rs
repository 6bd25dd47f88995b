//! Statements on one connection, in MySQL's binary protocol.

use std::borrow::Cow;
use std::sync::Arc;

use mysql_async::consts::ColumnType;
use mysql_async::prelude::Queryable;
use mysql_async::{Column, Conn, Params, Statement as Prepared, Value as Cell};

use super::link::Link;
use crate::sql::Value;
use crate::sql::error::{ErrorKind, Result, SqlError};
use crate::sql::rows::{ResultLimits, Rows, RowsBuilder};

/// The number of the character set of columns that hold bytes and no text.
const BINARY: u16 = 63;

/// How a statement failed, which decides what becomes of its connection.
pub(super) enum Failure {
    /// What the driver reports.
    Driver(mysql_async::Error),
    /// The host's own refusal before the server was asked: the connection is as it was.
    Refused(SqlError),
    /// The host gave up in the middle of the result.
    GivenUp(SqlError),
}

impl From<mysql_async::Error> for Failure {
    fn from(error: mysql_async::Error) -> Self {
        Self::Driver(error)
    }
}

/// Runs a statement and packs its rows as they arrive.
pub(super) async fn query(
    link: &mut Link,
    text: &Arc<str>,
    parameters: &[Value],
    limits: ResultLimits,
) -> Result<Rows, Failure> {
    let buffers = std::mem::take(&mut link.buffers);
    let (connection, statement) = prepare(link, text, parameters).await?;
    let mut result = connection.exec_iter(statement, values(parameters.into())).await?;
    let columns = result.columns().unwrap_or_default();
    let mut builder = RowsBuilder::reusing(buffers, columns.len(), limits);
    while let Some(row) = result.next().await? {
        let cells = row.unwrap();
        let first = cells.first().and_then(|cell| if let Cell::Int(first) = cell { Some(*first) } else { None });
        for (cell, column) in cells.into_iter().zip(columns.iter()) {
            push(&mut builder, cell, column).map_err(|error| {
                Failure::GivenUp(error.unwrap_or_else(|| does_not_fit(column, columns.first().zip(first))))
            })?;
        }
    }
    result.drop_result().await?;
    let rows = builder.finish().map_err(Failure::Refused);
    link.buffers = builder.into_buffers();
    rows
}

/// Runs a statement and returns how many rows it affected.
pub(super) async fn execute(link: &mut Link, text: &Arc<str>, parameters: Cow<'_, [Value]>) -> Result<u64, Failure> {
    let (connection, statement) = prepare(link, text, &parameters).await?;
    let result = connection.exec_iter(statement, values(parameters)).await?;
    let affected = result.affected_rows();
    result.drop_result().await?;
    Ok(affected)
}

/// Runs one of the host's own statements.
pub(super) async fn host(connection: &mut Conn, text: &str) -> Result<(), Failure> {
    Ok(connection.query_drop(text).await?)
}

/// Finds the statement among those that the connection has prepared, or prepares it.
async fn prepare<'a>(
    link: &'a mut Link,
    text: &Arc<str>,
    parameters: &[Value],
) -> Result<(&'a mut Conn, Prepared), Failure> {
    let (connection, all) = link.parts().map_err(Failure::Refused)?;
    let statement = match all.find(text) {
        Some(statement) => statement,
        None => {
            let statement = connection.prep(&**text).await?;
            if let Some(oldest) = all.keep(text, &statement) {
                connection.close(oldest).await?;
            }
            statement
        }
    };
    // The driver would close the connection over it.
    if usize::from(statement.num_params()) != parameters.len() {
        return Err(Failure::Refused(SqlError::new(
            ErrorKind::InvalidStatement,
            format!("the statement takes {} parameters and {} were given", statement.num_params(), parameters.len()),
        )));
    }
    Ok((connection, statement))
}

fn values(parameters: Cow<'_, [Value]>) -> Params {
    if parameters.is_empty() {
        return Params::Empty;
    }
    let value = |value| match value {
        Value::Null => Cell::NULL,
        Value::Integer(value) => Cell::Int(value),
        Value::Real(value) => Cell::Double(value),
        Value::Text(value) => Cell::Bytes(value.into_bytes()),
        Value::Blob(value) => Cell::Bytes(value),
    };
    Params::Positional(match parameters {
        Cow::Owned(parameters) => parameters.into_iter().map(value).collect(),
        Cow::Borrowed(parameters) => parameters.iter().cloned().map(value).collect(),
    })
}

/// An integer that a guest cannot be given, in the row that begins with this one.
fn does_not_fit(column: &Column, first: Option<(&Column, i64)>) -> SqlError {
    let (name, table) = (column.name_str(), column.table_str());
    let row =
        first.map_or(String::new(), |(column, first)| format!(" in the row whose {} is {first}", column.name_str()));
    SqlError::new(
        ErrorKind::CorruptData,
        format!(
            "column {name} of {table} contains an integer beyond 64 bits with a sign{row}: correct or delete that row"
        ),
    )
}

/// # Errors
///
/// Of the builder, or none where the cell is an integer that does not fit.
fn push(builder: &mut RowsBuilder, cell: Cell, column: &Column) -> Result<(), Option<SqlError>> {
    let done = match cell {
        Cell::NULL => builder.null(),
        Cell::Int(value) => builder.integer(value),
        Cell::UInt(value) => builder.integer(i64::try_from(value).map_err(|_| None)?),
        Cell::Float(value) => builder.real(value.into()),
        Cell::Double(value) => builder.real(value),
        Cell::Bytes(value) if is_text(column) => builder.text(&value),
        Cell::Bytes(value) => builder.blob(&value),
        // `as_sql` puts quotes around dates and times.
        cell @ (Cell::Date(..) | Cell::Time(..)) => builder.text(cell.as_sql(true).trim_matches('\'').as_bytes()),
    };
    done.map_err(Some)
}

/// Decimals, and MySQL's JSON, are text in the character set that stands for bytes.
fn is_text(column: &Column) -> bool {
    let always = [ColumnType::MYSQL_TYPE_DECIMAL, ColumnType::MYSQL_TYPE_NEWDECIMAL, ColumnType::MYSQL_TYPE_JSON];
    column.character_set() != BINARY || always.contains(&column.column_type())
}
