//! Who may write, and where a run has come to: the tables `cofferdam_migration_lease` and `cofferdam_migrations`.

use super::indexes;
use crate::bindings::cofferdam::storage::sql::{self, Access, Value, connected_server};
use crate::bindings::cofferdam::storage::types::{Error, ErrorKind};
use crate::bindings::exports::cofferdam::storage::migration::{Lease, MessageKey, Position, Run, RunState, Tally};
use crate::dialect::Backend;
use crate::error::{Failure, Result};
use crate::operations::optional;
use crate::rows::Reader;
use crate::schema;
use crate::session::Session;
use crate::validate::invalid;
use crate::{script, session, time};

const HELD: &str = "SELECT owner, beats FROM cofferdam_migration_lease WHERE place = 1";
const TAKE: &str = "INSERT INTO cofferdam_migration_lease (place, owner, beats) VALUES (1, ?, 0)";
const TAKE_OVER: &str = "\
UPDATE cofferdam_migration_lease SET owner = ?, beats = beats + 1 WHERE place = 1 AND owner = ? AND beats = ?";
const KEEP: &str = "UPDATE cofferdam_migration_lease SET beats = beats + 1 WHERE place = 1 AND owner = ?";
const DROP: &str = "DELETE FROM cofferdam_migration_lease WHERE place = 1 AND owner = ?";

const LAST: &str = "\
SELECT number, source, state, started_at, pages, stage, after_first, after_second, rows_read, inserted, replaced, kept,
    merged, rejected
FROM cofferdam_migrations ORDER BY number DESC LIMIT 1";
const BEGIN: &str = "\
INSERT INTO cofferdam_migrations (number, source, state, started_at, pages, stage, rows_read, inserted, replaced, kept,
    merged, rejected)
VALUES (?, ?, 0, ?, 0, 0, 0, 0, 0, 0, 0, 0)";
const ADVANCE: &str = "\
UPDATE cofferdam_migrations SET pages = pages + 1, stage = ?, after_first = ?, after_second = ?,
    rows_read = rows_read + ?, inserted = inserted + ?, replaced = replaced + ?, kept = kept + ?, merged = merged + ?,
    rejected = rejected + ?
WHERE number = ?";
const SET_STATE: &str = "UPDATE cofferdam_migrations SET state = ? WHERE number = ?";
const DELETE: &str = "DELETE FROM cofferdam_migrations WHERE number = ?";
const DELETE_LOG: &str = "DELETE FROM cofferdam_migration_undo WHERE run = ?";
const DELETE_ALL: &str = "DELETE FROM cofferdam_migrations";

/// In the order in which they can be dropped at any moment: a log without its runs belongs to nobody.
const DROP_TABLES: [&str; 3] = [
    "DROP TABLE IF EXISTS cofferdam_migration_undo",
    "DROP TABLE IF EXISTS cofferdam_migrations",
    "DROP TABLE IF EXISTS cofferdam_migration_lease",
];

/// How many tables of runs there are.
pub(super) const TABLES: i64 = DROP_TABLES.len() as i64;

/// How many tables of runs exist.
pub(super) fn count_tables<B: Backend>(session: &Session) -> Result<i64> {
    let rows = session.query(B::MIGRATION.count_tables, &[])?;
    Reader::new("the schema", &rows).next("tables")?.integer(0)
}

/// Whether all tables of runs exist.
fn has_tables<B: Backend>(access: Access) -> Result<bool> {
    let session = if access == Access::Read { Session::read()? } else { Session::write()? };
    Ok(count_tables::<B>(&session)? == TABLES)
}

pub(super) fn held_lease<B: Backend>() -> Result<Option<Lease>> {
    if !has_tables::<B>(Access::Read)? {
        return Ok(None);
    }
    let rows = session::query(HELD, &[])?;
    if rows.count == 0 {
        return Ok(None);
    }
    let mut reader = Reader::new("cofferdam_migration_lease", &rows);
    let owner = reader.next("owner")?.text(0)?.to_owned();
    Ok(Some(Lease { owner, beats: reader.next("beats")?.integer(0)?.cast_unsigned() }))
}

pub(super) fn take_lease<B: Backend>(owner: &str, instead_of: Option<&Lease>) -> Result<bool> {
    schema::relax::<B>()?;
    if !has_tables::<B>(Access::Write)? {
        let session = Session::write()?;
        let values = B::fill(&connected_server()?);
        for text in B::MIGRATION.create_tables {
            session.run(&script::fill(text, &values))?;
        }
    }
    let owner = Value::Text(owner);
    let taken = match instead_of {
        None => session::execute(TAKE, &[owner]),
        Some(Lease { owner: other, beats }) => {
            session::execute(TAKE_OVER, &[owner, Value::Text(other), Value::Integer(beats.cast_signed())])
        }
    };
    match taken {
        Ok(outcome) => Ok(outcome.affected == 1),
        Err(error) if error.kind == sql::ErrorKind::Constraint => Ok(false),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn keep_lease(owner: &str) -> Result<()> {
    check_owner(session::execute(KEEP, &[Value::Text(owner)])?.affected)
}

pub(super) fn drop_lease<B: Backend>(owner: &str) -> Result<()> {
    if has_tables::<B>(Access::Write)? {
        session::execute(DROP, &[Value::Text(owner)])?;
    }
    Ok(())
}

/// Looks whether the lease is this owner's and locks it, first in every transaction that writes.
pub(super) fn hold_lease(session: &Session, owner: &str) -> Result<()> {
    check_owner(session.execute(KEEP, &[Value::Text(owner)])?.affected)
}

fn check_owner(affected: u64) -> Result<()> {
    if affected == 1 {
        return Ok(());
    }
    let message = "another process has taken this database over for its own migration: wait for it, then try again";
    Err(Failure::Own(Error { kind: ErrorKind::Conflict, message: message.into(), code: Some("LEASE_LOST".into()) }))
}

/// The newest run. The tables exist.
pub(super) fn last(session: &Session) -> Result<Option<Run>> {
    let rows = session.query(LAST, &[])?;
    if rows.count == 0 {
        return Ok(None);
    }
    let mut reader = Reader::new("cofferdam_migrations", &rows);
    let number = reader.next("number")?.integer(0)?;
    let source = reader.next("source")?.text(0)?.to_owned();
    let state = reader.next("state")?.integer(0)?;
    let lacks_indexes = state & LACKS_INDEXES != 0;
    let state = match state & !LACKS_INDEXES {
        FINISHED => RunState::Finished,
        UNDOING => RunState::Undoing,
        _ => RunState::Importing,
    };
    let started_at = reader.next("started_at")?.integer(0)?;
    let pages = reader.next("pages")?.integer(0)?;
    let stage = reader.next("stage")?.integer(0)?;
    let first = reader.next("after_first")?.optional_text(0)?.map(str::to_owned);
    let second = reader.next("after_second")?.optional_text(0)?.map(str::to_owned);
    let mut count = |name| -> Result<u64> { Ok(reader.next(name)?.integer(0)?.cast_unsigned()) };
    Ok(Some(Run {
        number: u32::try_from(number).unwrap_or(u32::MAX),
        source,
        state,
        started_at,
        pages: pages.cast_unsigned(),
        position: match stage {
            0 => Position::MessageStates(first.map(|channel_id| MessageKey { channel_id, thread_id: second })),
            1 => Position::ThreadOwnerships(first),
            _ => Position::End,
        },
        tally: Tally {
            read: count("rows_read")?,
            inserted: count("inserted")?,
            replaced: count("replaced")?,
            kept: count("kept")?,
            merged: count("merged")?,
            rejected: count("rejected")?,
        },
        lacks_indexes,
    }))
}

const IMPORTING: i64 = 0;
const FINISHED: i64 = 1;
const UNDOING: i64 = 2;
/// Added to one of the others.
const LACKS_INDEXES: i64 = 4;

/// Notes what a run is doing, and whether it goes without indexes.
pub(super) fn note(session: &Session, run: &Run) -> Result<()> {
    let state = match run.state {
        RunState::Importing => IMPORTING,
        RunState::Finished => FINISHED,
        RunState::Undoing => UNDOING,
    };
    let state = if run.lacks_indexes { state | LACKS_INDEXES } else { state };
    session.execute(SET_STATE, &[Value::Integer(state), Value::Integer(run.number.into())])?;
    Ok(())
}

pub(super) fn begin(owner: &str, source: &str) -> Result<Run> {
    let session = Session::write()?;
    session.transaction(|| {
        hold_lease(&session, owner)?;
        let last = last(&session)?;
        if let Some(last) = &last {
            match last.state {
                RunState::Importing if last.source == source => return Ok(last.clone()),
                RunState::Importing => {
                    return invalid(format!(
                        "a run from {} was interrupted here: run it again to finish it, or roll it back",
                        last.source
                    ));
                }
                RunState::Undoing => {
                    return invalid("a rollback of the last run was interrupted here: run the rollback again");
                }
                RunState::Finished => {}
            }
        }
        let number = last.map_or(1, |last| i64::from(last.number) + 1);
        session.execute(DELETE_LOG, &[Value::Integer(number)])?;
        session.execute(BEGIN, &[Value::Integer(number), Value::Text(source), Value::Integer(time::now())])?;
        known(&session)
    })
}

/// The newest run, which is there.
pub(super) fn known(session: &Session) -> Result<Run> {
    last(session)?.ok_or_else(|| Failure::new(ErrorKind::CorruptData, "the run is no longer recorded: start again"))
}

/// Notes that a page was written.
pub(super) fn advance(session: &Session, run: u32, next: &Position, tally: &Tally) -> Result<()> {
    let (stage, first, second) = match next {
        Position::MessageStates(None) => (0, None, None),
        Position::MessageStates(Some(key)) => (0, Some(&*key.channel_id), key.thread_id.as_deref()),
        Position::ThreadOwnerships(after) => (1, after.as_deref(), None),
        Position::End => (2, None, None),
    };
    let count = |count: u64| Value::Integer(count.cast_signed());
    let parameters = [
        Value::Integer(stage),
        optional(first),
        optional(second),
        count(tally.read),
        count(tally.inserted),
        count(tally.replaced),
        count(tally.kept),
        count(tally.merged),
        count(tally.rejected),
        Value::Integer(run.into()),
    ];
    session.execute(ADVANCE, &parameters)?;
    Ok(())
}

/// Forgets a run of which nothing is left to undo.
pub(super) fn delete(session: &Session, run: u32) -> Result<()> {
    session.execute(DELETE, &[Value::Integer(run.into())])?;
    Ok(())
}

pub(super) fn finish(owner: &str, run: u32) -> Result<Run> {
    let session = Session::write()?;
    session.transaction(|| {
        hold_lease(&session, owner)?;
        let found = known(&session)?;
        if found.number != run || !matches!(found.position, Position::End) {
            return invalid(format!("run {run} is not at its end"));
        }
        indexes::check_created(&found)?;
        let finished = Run { state: RunState::Finished, ..found };
        if finished.tally.inserted + finished.tally.replaced == 0 && finished.number > 1 {
            delete(&session, run)?;
        } else {
            note(&session, &finished)?;
        }
        Ok(finished)
    })
}

pub(super) fn forget(owner: &str) -> Result<()> {
    let session = Session::write()?;
    session.transaction(|| {
        hold_lease(&session, owner)?;
        last(&session)?.as_ref().map_or(Ok(()), indexes::check_created)?;
        session.execute_long(DELETE_ALL, &[]).map_err(Failure::from)
    })?;
    for text in DROP_TABLES {
        session.run(text)?;
    }
    Ok(())
}
