//! An index that a run goes without until its end.
//!
//! A run that lacks it says so before it is dropped, and cannot come to an end in any way before it is created. Whoever drops
//! or creates it is alone: on an engine whose changes of the schema are not transactional a session that was given up may
//! still be at it, and keeps the lock as long.

use super::run;
use crate::bindings::cofferdam::storage::sql::connected_server;
use crate::bindings::exports::cofferdam::storage::migration::{Run, RunState};
use crate::dialect::Backend;
use crate::error::Result;
use crate::schema;
use crate::script::fill;
use crate::session::Session;
use crate::validate::invalid;

pub(super) fn leave_out<B: Backend>(owner: &str, number: u32) -> Result<Run> {
    let index = &B::MIGRATION.left_out;
    let values = B::fill(&connected_server()?);
    let session = Session::write()?;
    schema::alone::<B, _>(&session, || {
        // In a transaction also where the engine commits before each change of the schema: the note of it is committed then
        // before the index goes.
        session.transaction(|| {
            run::hold_lease(&session, owner)?;
            let found = run::known(&session)?;
            if found.number != number || found.state != RunState::Importing || found.pages > 0 {
                return invalid(format!("run {number} is not at its beginning"));
            }
            for query in index.stays_where {
                if session.finds(&fill(query, &values))? {
                    return Ok(found);
                }
            }
            let found = Run { lacks_indexes: true, ..found };
            run::note(&session, &found)?;
            session.run(&fill(index.drop, &values))?;
            Ok(found)
        })
    })
}

pub(super) fn create<B: Backend>(owner: &str) -> Result<()> {
    let index = &B::MIGRATION.left_out;
    let values = B::fill(&connected_server()?);
    let session = Session::write()?;
    schema::alone::<B, _>(&session, || {
        session.transaction(|| {
            run::hold_lease(&session, owner)?;
            let Some(found) = run::last(&session)?.filter(|last| last.lacks_indexes) else { return Ok(()) };
            if !session.finds(&fill(index.is_there, &values))? {
                session.run(&fill(index.create, &values))?;
            }
            run::note(&session, &Run { lacks_indexes: false, ..found })
        })
    })
}

/// # Errors
///
/// `invalid-input` where an index has to be created before this run comes to an end.
pub(super) fn check_created(run: &Run) -> Result<()> {
    if run.lacks_indexes {
        return invalid(format!("run {} goes without indexes: create them first", run.number));
    }
    Ok(())
}
