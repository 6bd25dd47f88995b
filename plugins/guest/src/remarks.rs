//! What an operator should know of the tables as they are.

use crate::dialect::Backend;
use crate::error::Result;
use crate::schema;
use crate::session::{self, Session};

/// A sentence for each thing that is worth knowing. Each look costs the same with ten rows or ten million.
pub(crate) fn gather<B: Backend>() -> Result<Vec<String>> {
    let mut remarks = Vec::new();
    if B::LACKING_INDEXES.is_empty() {
        return Ok(remarks);
    }
    let tables = schema::tables::<B>(&Session::read()?)?;
    if !tables.message_states || !tables.thread_ownerships {
        return Ok(remarks);
    }
    for (table, query) in B::LACKING_INDEXES {
        if session::query(query, &[])?.count > 0 {
            remarks.push(format!(
                "the index over the keys of {table} leads to fewer rows than there are, so that rows are missed and made twice: \
                 stop what writes, and rebuild it (REINDEX)"
            ));
        }
    }
    Ok(remarks)
}
