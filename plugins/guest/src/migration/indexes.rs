//! An index that a run goes without until its end.
//!
//! A run that lacks it says so before it is dropped, and cannot come to an end in any way before it is created. Whoever drops
//! or creates it is alone: on an engine whose changes of the schema are not transactional a session that was given up may
//! still be at it, and keeps the lock as long.

use super::run;
use crate::bindings::cofferdam::storage::sql::connected_server;
use crate::bindings::cofferdam::storage::types::{Error, ErrorKind};
use crate::bindings::exports::cofferdam::storage::migration::{Run, RunState};
use crate::dialect::Backend;
use crate::error::{Failure, Result};
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
    if lacking(&session)?.is_none() {
        return Ok(());
    }
    schema::alone::<B, _>(&session, || {
        session.transaction(|| {
            run::hold_lease(&session, owner)?;
            if lacking(&session)?.is_some() && !session.finds(&fill(index.is_there, &values))? {
                session.run(&fill(index.create, &values))?;
            }
            Ok::<_, Failure>(())
        })?;
        // Creating it may have committed, and let go of the lease.
        session.transaction(|| {
            run::hold_lease(&session, owner)?;
            match lacking(&session)? {
                Some(found) => run::note(&session, &Run { lacks_indexes: false, ..found }),
                None => Ok(()),
            }
        })
    })
}

/// The newest run, where it lacks indexes.
fn lacking(session: &Session) -> Result<Option<Run>> {
    Ok(run::last(session)?.filter(|last| last.lacks_indexes))
}

/// # Errors
///
/// `invalid-input` with the code `LACKS_INDEXES` where an index has to be created before this run comes to an end.
pub(super) fn check_created(run: &Run) -> Result<()> {
    if run.lacks_indexes {
        let message = format!("run {} goes without indexes: create them first", run.number);
        return Err(Failure::Own(Error { kind: ErrorKind::InvalidInput, message, code: Some("LACKS_INDEXES".into()) }));
    }
    Ok(())
}
