//! What an operator should know of the tables as they are.

use crate::bindings::cofferdam::storage::sql::Value;
use crate::dialect::Backend;
use crate::error::Result;
use crate::rows::Reader;
use crate::session::Session;
use crate::{schema, time};

/// How far ahead of the clock a time may lie, in seconds: hosts' clocks differ.
const AHEAD: i64 = 60 * 60;

/// A sentence for each thing that is worth knowing. Each look costs the same with ten rows or ten million.
pub(crate) fn gather<B: Backend>() -> Result<Vec<String>> {
    let session = Session::read()?;
    let mut remarks = schema::remarks::<B>(&session)?;
    // What is wrong with tables is told where they are looked at for that.
    if schema::tables::<B>(&session).is_ok_and(schema::Tables::is_current) {
        remarks.extend(from_the_future::<B>(&session)?);
        remarks.extend(lacking_indexes::<B>(&session)?);
    }
    Ok(remarks)
}

/// Rows whose times lie ahead of the clock: a host wrote them whose clock was wrong, or the clock of this host is.
fn from_the_future<B: Backend>(session: &Session) -> Result<Vec<String>> {
    let after = [Value::Integer(time::now().saturating_add(AHEAD))];
    let mut remarks = Vec::new();
    for (table, column, query) in [
        ("message_states", "last_seen_timestamp", B::STATEMENTS.late_message_states),
        ("thread_ownerships", "creation_time", B::STATEMENTS.late_thread_ownerships),
    ] {
        let rows = session.query(query, &after)?;
        let count = Reader::new(table, &rows).next("count")?.integer(0)?;
        if count > 0 {
            let count = if count < 1000 { count.to_string() } else { "a thousand or more".to_owned() };
            remarks.push(format!(
                "{count} rows of {table} have a {column} more than an hour in the future: the clock of the host that \
                 wrote them was wrong, or the clock of this host is; they come first in lists until they are written \
                 again"
            ));
        }
    }
    Ok(remarks)
}

/// Indexes that lead to fewer rows than there are.
fn lacking_indexes<B: Backend>(session: &Session) -> Result<Vec<String>> {
    let mut remarks = Vec::new();
    for (table, query) in B::LACKING_INDEXES {
        if session.query(query, &[])?.count > 0 {
            remarks.push(format!(
                "the index over the keys of {table} leads to fewer rows than the table has, so rows are missed and \
                 duplicated: stop all writers, and rebuild it (REINDEX)"
            ));
        }
    }
    Ok(remarks)
}
