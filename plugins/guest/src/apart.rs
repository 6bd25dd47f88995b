//! Rows whose ordinary statement failed though nothing is wrong with them: the ids that the engine gives are used up, or
//! the next one is another row's. They are written under ids that are chosen here, since an id means nothing to callers.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use crate::bindings::cofferdam::storage::sql::{self, Value};
use crate::bindings::cofferdam::storage::types::{Error, ErrorKind};
use crate::dialect::{Backend, Repeated};
use crate::error::{Failure, Result};
use crate::merge::SIZES;
use crate::rows::Reader;
use crate::session::{self, Session};
use crate::table::{Key, Packed, Table, Values, View};

/// How often a row starts over where another writer was quicker.
const ATTEMPTS: usize = 5;

/// How many places are looked at for as many free ids in a row as are wanted.
const TRIES: usize = 8;

/// How the ids of new rows come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ids {
    /// The engine gives them.
    Given,
    /// They are chosen here.
    Chosen,
}

/// What differs between the tables. Every engine understands it.
struct Texts {
    greatest: &'static str,
    is_taken: &'static str,
    /// The greatest free id below one that is taken.
    gap: &'static str,
    insert: Repeated,
    replace: &'static str,
}

const MESSAGE_STATES: Texts = Texts {
    greatest: "SELECT MAX(id) FROM message_states",
    is_taken: "SELECT id FROM message_states WHERE id BETWEEN ? AND ? LIMIT 1",
    gap: "\
SELECT upper.id - 1 FROM message_states AS upper LEFT JOIN message_states AS lower ON lower.id = upper.id - 1
WHERE upper.id > 1 AND lower.id IS NULL ORDER BY upper.id DESC LIMIT 1",
    insert: Repeated {
        head: "\
INSERT INTO message_states (id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at)
VALUES ",
        row: "(?,?,?,?,?,?,?)",
        between: ",",
        tail: " ",
    },
    replace: "\
UPDATE message_states SET last_message_id = ?, last_seen_timestamp = ?, created_at = ?, updated_at = ? WHERE id = ?",
};

const THREAD_OWNERSHIPS: Texts = Texts {
    greatest: "SELECT MAX(id) FROM thread_ownerships",
    is_taken: "SELECT id FROM thread_ownerships WHERE id BETWEEN ? AND ? LIMIT 1",
    gap: "\
SELECT upper.id - 1 FROM thread_ownerships AS upper LEFT JOIN thread_ownerships AS lower ON lower.id = upper.id - 1
WHERE upper.id > 1 AND lower.id IS NULL ORDER BY upper.id DESC LIMIT 1",
    insert: Repeated {
        head: "\
INSERT INTO thread_ownerships (id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at)
VALUES ",
        row: "(?,?,?,?,?,?,?)",
        between: ",",
        tail: " ",
    },
    replace: "\
UPDATE thread_ownerships SET original_user_id = ?, created_by = ?, creation_time = ?, created_at = ?, updated_at = ?
WHERE id = ?",
};

fn texts(table: Table) -> &'static Texts {
    match table {
        Table::MessageStates => &MESSAGE_STATES,
        Table::ThreadOwnerships => &THREAD_OWNERSHIPS,
    }
}

/// Whether an ordinary statement that failed like this is worth another try with ids that are chosen. Leases a connection.
pub(crate) fn concerns<B: Backend>(error: &sql::Error) -> bool {
    let has_code = error.code.as_deref().is_some_and(|code| B::NO_ID.contains(&code));
    has_code && B::IDS_AT_END.is_none_or(|query| session::query(query, &[]).is_ok_and(|rows| rows.count > 0))
}

/// Whether somebody else may have written the same key, or taken the same id, in between.
pub(crate) fn is_race(failure: &Failure) -> bool {
    matches!(failure, Failure::Sql(error) if error.kind == sql::ErrorKind::Constraint) || failure.is_conflict()
}

/// Writes a row as an upsert does, with `values` for a row that is new. One that is there keeps its `created_at`.
pub(crate) fn upsert<B: Backend>(table: Table, key: Key<'_>, values: Values<'_>) -> Result<()> {
    let mut attempt = 1;
    loop {
        let session = Session::write()?;
        match session.transaction(|| upsert_once::<B>(&session, table, key, values)) {
            Err(failure) if is_race(&failure) && attempt < ATTEMPTS => attempt += 1,
            result => return result,
        }
    }
}

fn upsert_once<B: Backend>(session: &Session, table: Table, key: Key<'_>, values: Values<'_>) -> Result<()> {
    let mut parameters = Vec::new();
    table.push_key(key, &mut parameters);
    let packed = Packed::read(table, &session.query_repeated(table.find::<B>(), 1, &parameters)?)?;
    let stored = packed.view()?;
    match (0..stored.count()).find(|row| stored.key(*row) == key) {
        None => insert(session, table, &[(key, values)]),
        Some(row) => {
            let [seen, _, updated_at] = values.integers;
            let [_, created_at, _] = stored.values(row).integers;
            replace(session, table, stored.id(row), &Values { integers: [seen, created_at, updated_at], ..values })
        }
    }
}

/// Writes the rows of `given` at these places. Those that are there, under the ids in `stored`, get all values.
pub(crate) fn write(
    session: &Session,
    given: &View<'_>,
    places: &[usize],
    stored: &BTreeMap<Key<'_>, i64>,
) -> Result<()> {
    let mut new = Vec::new();
    for place in places {
        let (key, values) = (given.key(*place), given.values(*place));
        match stored.get(&key) {
            Some(id) => replace(session, given.table, *id, &values)?,
            None => new.push((key, values)),
        }
    }
    insert(session, given.table, &new)
}

/// Gives the row with this id these values.
pub(crate) fn replace(session: &Session, table: Table, id: i64, values: &Values<'_>) -> Result<()> {
    let mut parameters = Vec::new();
    table.push_values(values, &mut parameters);
    parameters.push(Value::Integer(id));
    session.execute(texts(table).replace, &parameters)?;
    Ok(())
}

/// Inserts rows under ids that nobody has.
pub(crate) fn insert(session: &Session, table: Table, rows: &[(Key<'_>, Values<'_>)]) -> Result<()> {
    let mut rest = rows;
    let mut parameters = Vec::new();
    while !rest.is_empty() {
        let Free { first, count, is_last } = free(session, table, rest.len())?;
        let (now, later) = rest.split_at(count);
        parameters.clear();
        for ((key, values), id) in now.iter().zip(first..) {
            parameters.push(Value::Integer(id));
            table.push_key(*key, &mut parameters);
            table.push_values(values, &mut parameters);
        }
        match session.execute_repeated(&texts(table).insert, count, &parameters) {
            Err(error) if is_last && error.kind != sql::ErrorKind::Conflict => return Err(used_up(table, error)),
            result => result?,
        };
        rest = later;
    }
    Ok(())
}

/// Ids that nobody has: so many from the first on.
struct Free {
    first: i64,
    count: usize,
    /// Whether it is beyond all others, where the column may have no room.
    is_last: bool,
}

/// Finds free ids, at most as many as are wanted.
///
/// Somewhere between the rows, since there is no room behind them, and at random, so that many in turn do not look over
/// what the ones before took.
fn free(session: &Session, table: Table, wanted: usize) -> Result<Free> {
    let texts = texts(table);
    let number = |rows: &sql::Rows| Reader::new(table.name(), rows).next("id")?.optional_integer(0);
    let greatest = number(&session.query(texts.greatest, &[])?)?.unwrap_or(0).max(0);
    for count in SIZES.into_iter().filter(|size| *size <= wanted) {
        let Some(room) = greatest.checked_sub(count as i64).filter(|room| *room > 0) else { continue };
        for _ in 0..TRIES {
            let first = 1 + random(room);
            let range = [Value::Integer(first), Value::Integer(first + count as i64 - 1)];
            if session.query(texts.is_taken, &range)?.count == 0 {
                return Ok(Free { first, count, is_last: false });
            }
        }
    }
    let gap = session.query_long(texts.gap, &[])?;
    if gap.count > 0
        && let Some(first) = number(&gap)?
    {
        return Ok(Free { first, count: 1, is_last: false });
    }
    match greatest.checked_add(1) {
        Some(first) => Ok(Free { first, count: 1, is_last: true }),
        None => Err(Failure::new(ErrorKind::Refused, format!("every id of {} is taken", table.name()))),
    }
}

/// From 0 to one less than `below`, which is positive.
fn random(below: i64) -> i64 {
    RandomState::new().hash_one(0_u8).cast_signed().rem_euclid(below)
}

/// Of this table alone, and for new rows alone: a full disk would keep every write in the spool.
fn used_up(table: Table, error: sql::Error) -> Failure {
    let message = format!(
        "the ids of {} are exhausted, and none is free: give its column id a larger type ({})",
        table.name(),
        error.message
    );
    Failure::Own(Error { kind: ErrorKind::Refused, message, code: error.code })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_ids_lie_below_their_bound_and_differ() {
        for below in [1, 2, 127, i64::MAX] {
            assert!((0..1000).all(|_| (0..below).contains(&random(below))), "{below}");
        }
        let some: std::collections::BTreeSet<i64> = (0..1000).map(|_| random(i64::MAX)).collect();
        assert!(some.len() > 990, "{}", some.len());
    }
}
