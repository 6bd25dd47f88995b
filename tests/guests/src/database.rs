use crate::bindings::cofferdam::storage::sql::{self, Access, Connection, Value, Work, prepare};
use crate::bindings::cofferdam::storage::types::{self, MessageState};
use crate::report;

/// Writes one row to `marks`.
pub fn insert_mark(mark: &str) -> Result<(), sql::Error> {
    run("INSERT INTO marks (mark) VALUES (?)", vec![Value::Text(mark.into())])
}

/// Runs a statement on a connection of its own that may write.
pub fn run(text: &str, parameters: Vec<Value>) -> Result<(), sql::Error> {
    let statement = prepare(text, Work::Short)?;
    Connection::acquire(Access::Write)?.execute(&statement, &parameters).map(drop)
}

/// Runs a query on a connection of its own that only reads.
pub fn select(text: &str) -> Result<(), sql::Error> {
    let statement = prepare(text, Work::Short)?;
    Connection::acquire(Access::Read)?.query(&statement, &[]).map(drop)
}

/// Tries each text, between two of which is a record separator, in every way in which a guest can, and reports what became of it,
/// a line for each try: `permission-denied: ... (execute: ATTACH ...)`, or `ok (...)`.
pub fn attempt_told(texts: &str) -> Result<Option<MessageState>, types::Error> {
    let line = |way: &str, text: &str, outcome: Result<(), sql::Error>| {
        let outcome = outcome.map_or_else(|error| format!("{}: {}", name(error.kind), error.message), |()| "ok".into());
        format!("{} ({way}: {})", outcome.replace('\n', " "), text.replace('\n', " "))
    };
    let tries = |text: &str| [line("execute", text, run(text, Vec::new())), line("query", text, select(text))];
    Ok(report(texts.split('\u{1e}').flat_map(tries)))
}

/// Writes the word that it is told within a transaction and panics (`trap`), returns without having ended it (`open`), or keeps the
/// connection in its hands (`kept`).
pub fn leave_transaction(told: &str) -> Result<Option<MessageState>, types::Error> {
    let connection = Connection::acquire(Access::Write).map_err(refused)?;
    let insert = prepare("INSERT INTO marks (mark) VALUES (?)", Work::Short).map_err(refused)?;
    connection.begin().map_err(refused)?;
    connection.execute(&insert, &[Value::Text(told.into())]).map_err(refused)?;
    match told {
        "trap" => panic!("in the middle of a transaction"),
        "kept" => std::mem::forget(connection),
        _ => {}
    }
    Ok(None)
}

/// The contract's error for one of the database's.
pub fn refused(error: sql::Error) -> types::Error {
    let kind = match error.kind {
        sql::ErrorKind::Unavailable => types::ErrorKind::Unavailable,
        sql::ErrorKind::Timeout => types::ErrorKind::Timeout,
        sql::ErrorKind::Conflict => types::ErrorKind::Conflict,
        sql::ErrorKind::PermissionDenied => types::ErrorKind::PermissionDenied,
        sql::ErrorKind::StorageFull => types::ErrorKind::StorageFull,
        sql::ErrorKind::CorruptData => types::ErrorKind::CorruptData,
        sql::ErrorKind::Constraint | sql::ErrorKind::Other => types::ErrorKind::Refused,
        sql::ErrorKind::InvalidStatement => types::ErrorKind::Internal,
    };
    let message = format!("{}: {}", name(error.kind), error.message);
    types::Error { kind, message, code: error.code }
}

fn name(kind: sql::ErrorKind) -> &'static str {
    match kind {
        sql::ErrorKind::Unavailable => "unavailable",
        sql::ErrorKind::Timeout => "timeout",
        sql::ErrorKind::Conflict => "conflict",
        sql::ErrorKind::Constraint => "constraint",
        sql::ErrorKind::PermissionDenied => "permission-denied",
        sql::ErrorKind::StorageFull => "storage-full",
        sql::ErrorKind::InvalidStatement => "invalid-statement",
        sql::ErrorKind::CorruptData => "corrupt-data",
        sql::ErrorKind::Other => "other",
    }
}
