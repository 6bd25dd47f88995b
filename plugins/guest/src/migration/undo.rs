//! Undoing a run, page by page, the last one first.

use super::log::{self, Record};
use super::write::{Stored, places};
use super::{indexes, run};
use crate::apart;
use crate::bindings::cofferdam::storage::sql::Value;
use crate::bindings::exports::cofferdam::storage::migration::{
    Left, MessageKey, Run, RunState, Table as LeftTable, Undone,
};
use crate::dialect::{Backend, Repeated};
use crate::error::Result;
use crate::merge::pieces;
use crate::rows::Reader;
use crate::session::Session;
use crate::table::{Key, Table};

/// How often a page starts over where a bot wrote the same rows meanwhile.
const ATTEMPTS: usize = 10;

const LAST_LOG: &str = "\
SELECT page, part, body FROM cofferdam_migration_undo WHERE run = ? ORDER BY page DESC, part DESC LIMIT 1";
const DROP_LOG: &str = "DELETE FROM cofferdam_migration_undo WHERE run = ? AND page = ? AND part = ?";

const DELETE_MESSAGE_STATES: Repeated =
    Repeated { head: "DELETE FROM message_states WHERE id IN (", row: "?", between: ",", tail: ")" };
const DELETE_THREAD_OWNERSHIPS: Repeated =
    Repeated { head: "DELETE FROM thread_ownerships WHERE id IN (", row: "?", between: ",", tail: ")" };

pub(super) fn undo<B: Backend>(owner: &str) -> Result<Option<Undone>> {
    let mut attempt = 1;
    loop {
        let session = Session::write()?;
        match session.transaction(|| undo_once::<B>(&session, owner)) {
            Err(failure) if failure.is_conflict() && attempt < ATTEMPTS => attempt += 1,
            result => return result,
        }
    }
}

fn undo_once<B: Backend>(session: &Session, owner: &str) -> Result<Option<Undone>> {
    run::hold_lease(session, owner)?;
    let Some(last) = run::last(session)? else { return Ok(None) };
    let number = Value::Integer(last.number.into());
    let mut undone = Undone { run: last.number, removed: 0, restored: 0, left: Vec::new(), more: true };
    let rows = session.query_long(LAST_LOG, &[number])?;
    if rows.count == 0 {
        indexes::check_created(&last)?;
        run::delete(session, last.number)?;
        undone.more = false;
        return Ok(Some(undone));
    }
    let last = Run { state: RunState::Undoing, ..last };
    run::note(session, &last)?;
    let mut reader = Reader::new("cofferdam_migration_undo", &rows);
    let page = Value::Integer(reader.next("page")?.integer(0)?);
    let part = Value::Integer(reader.next("part")?.integer(0)?);
    let body = reader.next("body")?;
    let (table, records) = log::read(body.blob(0)?)?;
    undo_records::<B>(session, table, &records, &mut undone)?;
    session.execute(DROP_LOG, &[Value::Integer(last.number.into()), page, part])?;
    Ok(Some(undone))
}

fn undo_records<B: Backend>(
    session: &Session,
    table: Table,
    records: &[Record<'_>],
    undone: &mut Undone,
) -> Result<()> {
    let keys: Vec<Key<'_>> = records.iter().map(|record| record.key).collect();
    let stored = Stored::find::<B>(session, table, &keys)?;
    let stored = stored.views()?;
    let mut places = places(&stored).peekable();
    let mut inserted = Vec::new();
    for record in records {
        while places.next_if(|(view, place)| view.key(*place) < record.key).is_some() {}
        let found = places.next_if(|(view, place)| view.key(*place) == record.key);
        match (found, record.before) {
            // Gone already, as it was before.
            (None, None) => {}
            (None, Some(_)) => undone.left.push(left(table, record.key, true)),
            (Some((view, place)), None) if log::hash(&view.values(place)) == record.hash => {
                inserted.push(view.id(place));
            }
            (Some((view, place)), Some((id, values)))
                if log::hash(&view.values(place)) == record.hash && view.id(place) == id =>
            {
                apart::replace(session, table, id, &values)?;
                undone.restored += 1;
            }
            (Some(_), _) => undone.left.push(left(table, record.key, false)),
        }
    }
    let delete = match table {
        Table::MessageStates => &DELETE_MESSAGE_STATES,
        Table::ThreadOwnerships => &DELETE_THREAD_OWNERSHIPS,
    };
    for ids in pieces(&inserted) {
        let parameters: Vec<_> = ids.iter().map(|id| Value::Integer(*id)).collect();
        session.execute_repeated(delete, ids.len(), &parameters)?;
    }
    undone.removed += inserted.len() as u64;
    Ok(())
}

fn left(table: Table, (first, second): Key<'_>, is_gone: bool) -> Left {
    let table = match table {
        Table::MessageStates => LeftTable::MessageStates,
        Table::ThreadOwnerships => LeftTable::ThreadOwnerships,
    };
    Left { table, key: MessageKey { channel_id: first.to_owned(), thread_id: second.map(str::to_owned) }, is_gone }
}
