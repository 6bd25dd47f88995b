//! Writing a page of a run.

use std::collections::BTreeMap;

use super::log::{Log, Record, hash};
use super::run;
use crate::apart::{self, Ids};
use crate::bindings::cofferdam::storage::sql::Value;
use crate::bindings::cofferdam::storage::types::{Error, ErrorKind};
use crate::bindings::exports::cofferdam::storage::migration::{Progress, Run, Tally};
use crate::bindings::exports::cofferdam::storage::transfer::OnEqual;
use crate::dialect::{Backend, INSERT_MESSAGE_STATES, INSERT_THREAD_OWNERSHIPS, Repeated};
use crate::error::{Failure, Result};
use crate::merge::{FIND, pieces};
use crate::session::Session;
use crate::table::{Key, Packed, Table, View};
use crate::validate::invalid;

/// How often a page starts over where a bot wrote the same rows meanwhile.
const ATTEMPTS: usize = 10;

const KEEP_LOG: &str = "INSERT INTO cofferdam_migration_undo (run, page, part, body) VALUES (?, ?, ?, ?)";

pub(super) fn write<B: Backend>(owner: &str, progress: &Progress, given: &View<'_>) -> Result<Run> {
    given.validate()?;
    if let Some(row) = (1..given.count()).find(|row| given.key(row - 1) >= given.key(*row)) {
        return invalid(format!("the key of row {row} is not greater than the one before"));
    }
    let (mut attempt, mut without_id) = (1, 0);
    loop {
        let session = Session::write()?;
        // A key that somebody inserted after it was looked for fails like an id that is taken, but once.
        let ids = if without_id < 2 { Ids::Given } else { Ids::Chosen };
        match session.transaction(|| write_once::<B>(&session, owner, progress, given, ids)) {
            Err(Failure::Sql(error)) if ids == Ids::Given && apart::concerns::<B>(&error) => without_id += 1,
            Err(failure) if apart::is_race(&failure) && attempt < ATTEMPTS => attempt += 1,
            result => return result,
        }
    }
}

fn write_once<B: Backend>(
    session: &Session,
    owner: &str,
    progress: &Progress,
    given: &View<'_>,
    ids: Ids,
) -> Result<Run> {
    let found = run::known(session)?;
    if found.number != progress.run {
        return invalid(format!("run {} is not the newest one, {} is", progress.run, found.number));
    }
    if found.pages > progress.page {
        run::hold_lease(session, owner)?;
        return Ok(found);
    }
    let keys: Vec<Key<'_>> = (0..given.count()).map(|row| given.key(row)).collect();
    let stored = Stored::find::<B>(session, given.table, &keys)?;
    let stored = stored.views()?;
    let mut log = Log::new(given.table);
    let (mut insert, mut replace, mut there) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut places = places(&stored).peekable();
    for (row, key) in keys.iter().enumerate() {
        while places.next_if(|(view, place)| view.key(*place) < *key).is_some() {}
        let before = places.next_if(|(view, place)| view.key(*place) == *key);
        let before = match before {
            Some((view, place)) if view.updated_at(place) >= given.updated_at(row) => continue,
            Some((view, place)) => {
                replace.push(row);
                if ids == Ids::Chosen {
                    there.insert(*key, view.id(place));
                }
                Some((view.id(place), view.values(place)))
            }
            None => {
                insert.push(row);
                None
            }
        };
        log.push(&Record { key: *key, hash: hash(&given.values(row)), before });
    }
    // From here on the next page waits, which is prepared meanwhile.
    run::hold_lease(session, owner)?;
    if run::known(session)?.pages != progress.page {
        return out_of_turn(progress.page);
    }
    let inserting = match given.table {
        Table::MessageStates => &INSERT_MESSAGE_STATES,
        Table::ThreadOwnerships => &INSERT_THREAD_OWNERSHIPS,
    };
    match ids {
        Ids::Given => {
            put(session, given, inserting, &insert)?;
            put(session, given, given.table.import::<B>(OnEqual::Keep), &replace)?;
        }
        Ids::Chosen => {
            let all: Vec<usize> = insert.iter().chain(&replace).copied().collect();
            apart::write(session, given, &all, &there)?;
        }
    }
    for (part, body) in log.into_bodies().enumerate() {
        let number = |number: u64| Value::Integer(number.cast_signed());
        let place = [number(progress.run.into()), number(progress.page), number(part as u64)];
        let [run, page, part] = place;
        session.execute_long(KEEP_LOG, &[run, page, part, Value::Blob(&body)])?;
    }
    let tally = Tally {
        read: given.count() as u64,
        inserted: insert.len() as u64,
        replaced: replace.len() as u64,
        kept: (given.count() - insert.len() - replace.len()) as u64,
        merged: progress.merged,
        rejected: progress.rejected,
    };
    run::advance(session, progress.run, &progress.next, &tally)?;
    run::known(session)
}

/// Other pages have to be written before this one, or an earlier attempt to write it came to its end meanwhile.
fn out_of_turn<T>(page: u64) -> Result<T> {
    let message = format!("it is not the turn of page {page} yet: write the pages before it, then try again");
    Err(Failure::Own(Error { kind: ErrorKind::Conflict, message, code: Some("OUT_OF_TURN".into()) }))
}

fn put(session: &Session, given: &View<'_>, text: &Repeated, rows: &[usize]) -> Result<()> {
    let mut parameters = Vec::new();
    for rows in pieces(rows) {
        parameters.clear();
        rows.iter().for_each(|row| given.push(*row, &mut parameters));
        session.execute_repeated(text, rows.len(), &parameters)?;
    }
    Ok(())
}

/// The rows that are stored under some keys, and maybe others between them, in the order of keys.
pub(super) struct Stored(Vec<Packed>);

impl Stored {
    /// Looks for rising keys and locks what it finds: in one range where the table has about as many rows there, else
    /// one by one.
    pub fn find<B: Backend>(session: &Session, table: Table, keys: &[Key<'_>]) -> Result<Self> {
        let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return Ok(Self(Vec::new())) };
        let between = match table {
            Table::MessageStates => B::MIGRATION.message_states_between,
            Table::ThreadOwnerships => B::MIGRATION.thread_ownerships_between,
        };
        let limit = 2 * keys.len() + 100;
        let range = [Value::Text(first.0), Value::Text(last.0), Value::Integer(limit as i64)];
        let rows = session.query_long(between, &range)?;
        if (rows.count as usize) < limit {
            return Ok(Self(vec![Packed::read(table, &rows)?]));
        }
        let mut found = Vec::new();
        let mut parameters = Vec::new();
        for keys in pieces(keys).flat_map(|keys| keys.chunks(FIND)) {
            parameters.clear();
            keys.iter().for_each(|key| table.push_key(*key, &mut parameters));
            let rows = session.query_repeated(table.find::<B>(), keys.len(), &parameters)?;
            found.push(Packed::read(table, &rows)?);
        }
        Ok(Self(found))
    }

    pub fn views(&self) -> Result<Vec<View<'_>>> {
        self.0.iter().map(Packed::view).collect()
    }
}

/// The rows of several pieces in the order of keys. What a query for several keys returns has no order of its own.
pub(super) fn places<'a, 'b>(views: &'b [View<'a>]) -> impl Iterator<Item = (&'b View<'a>, usize)> {
    views.iter().flat_map(|view| {
        let mut places: Vec<usize> = (0..view.count()).collect();
        if !places.is_sorted_by_key(|place| view.key(*place)) {
            places.sort_unstable_by_key(|place| view.key(*place));
        }
        places.into_iter().map(move |place| (view, place))
    })
}
