//! Reading a source as it is, page by page.

use std::cell::Cell;
use std::cmp::Ordering;

use crate::bindings::cofferdam::storage::sql::{Rows, Value};
use crate::bindings::cofferdam::storage::types::{MessageStates, TextColumn, ThreadOwnerships};
use crate::bindings::exports::cofferdam::storage::migration::{
    MessageKey, MessageStatesPage, Reject, Table as RejectTable, ThreadOwnershipsPage,
};
use crate::dialect::{Backend, Scan};
use crate::error::{Failure, Result};
use crate::rows::{self, Column, Reader};
use crate::schema::{self, Tables};
use crate::session::{self, Session};
use crate::table::View;
use crate::validate;

thread_local! {
    /// Whether the schema was once found to be current, which it then stays.
    static CURRENT: Cell<bool> = const { Cell::new(false) };
}

/// Which texts read this database, and whether its tables exist.
fn scan<B: Backend>() -> Result<(Scan, Tables)> {
    let current = || Scan {
        first_message_states: B::STATEMENTS.first_message_states,
        message_states_after_channel: B::STATEMENTS.message_states_after_channel,
        message_states_after_thread: B::STATEMENTS.message_states_after_thread,
        first_thread_ownerships: B::STATEMENTS.first_thread_ownerships,
        thread_ownerships_after: B::STATEMENTS.thread_ownerships_after,
    };
    if CURRENT.get() {
        return Ok((current(), Tables::CURRENT));
    }
    let tables = schema::tables::<B>(&Session::read()?)?;
    CURRENT.set(tables.is_current());
    Ok((if tables.are_ordered() { current() } else { B::MIGRATION.legacy }, tables))
}

pub(super) fn message_states<B: Backend>(after: Option<MessageKey>, limit: u32) -> Result<MessageStatesPage> {
    validate::positive("limit", limit.into())?;
    let (scan, tables) = scan::<B>()?;
    if !tables.message_states {
        return Ok(MessageStatesPage { rows: no_states(), merged: no_states(), rejects: Vec::new(), next: None });
    }
    let mut limit = limit;
    loop {
        let count = Value::Integer(limit.into());
        let rows = match &after {
            None => session::query_long(scan.first_message_states, &[count]),
            Some(MessageKey { channel_id, thread_id: None }) => session::query_long(
                scan.message_states_after_channel,
                &[Value::Text(channel_id), Value::Text(channel_id), count],
            ),
            Some(MessageKey { channel_id, thread_id: Some(thread_id) }) => session::query_long(
                scan.message_states_after_thread,
                &[Value::Text(channel_id), Value::Text(channel_id), Value::Text(thread_id), count],
            ),
        }?;
        let is_last = rows.count < limit;
        if let Some(page) = states_page(&rows, is_last, tables.is_current())? {
            return Ok(page);
        }
        // All rows are of one key, and there may be more of them.
        limit = limit.saturating_mul(4);
    }
}

pub(super) fn thread_ownerships<B: Backend>(after: Option<String>, limit: u32) -> Result<ThreadOwnershipsPage> {
    validate::positive("limit", limit.into())?;
    let (scan, tables) = scan::<B>()?;
    if !tables.thread_ownerships {
        return Ok(ThreadOwnershipsPage { rows: no_ownerships(), rejects: Vec::new(), next: None });
    }
    let mut limit = limit;
    loop {
        let count = Value::Integer(limit.into());
        let rows = match &after {
            None => session::query_long(scan.first_thread_ownerships, &[count]),
            Some(after) => session::query_long(scan.thread_ownerships_after, &[Value::Text(after), count]),
        }?;
        if let Some(page) = ownerships_page(&rows, rows.count < limit)? {
            return Ok(page);
        }
        limit = limit.saturating_mul(4);
    }
}

/// A page of these rows; `None` where none of them has a key after which the next page can begin, and more may follow.
fn ownerships_page(rows: &Rows, is_last: bool) -> Result<Option<ThreadOwnershipsPage>> {
    if let Ok(packed) = rows::thread_ownerships(rows) {
        let view = View::of_ownerships(&packed)?;
        let next = (!is_last).then(|| view.key(view.count() - 1).0.to_owned());
        if view.validate().is_ok() {
            return Ok(Some(ThreadOwnershipsPage { rows: packed, rejects: Vec::new(), next }));
        }
    }
    let found = Found::read("thread_ownerships", &OWNERSHIP_COLUMNS, rows)?;
    let mut count = found.count;
    let mut next = None;
    while !is_last && next.is_none() {
        if count == 0 {
            return Ok(None);
        }
        match found.columns[1].text(count - 1) {
            Ok(thread_id) => next = Some(thread_id.to_owned()),
            // It comes again, on a page with a key behind it.
            Err(_) => count -= 1,
        }
    }
    let (mut good, mut rejects) = (no_ownerships(), Vec::new());
    for row in 0..count {
        match found.ownership(row) {
            Ok(ownership) => ownership.push(&mut good),
            Err(reason) => rejects.push(found.reject(RejectTable::ThreadOwnerships, row, reason)),
        }
    }
    Ok(Some(ThreadOwnershipsPage { rows: good, rejects, next }))
}

/// A page of these rows; `None` where they are all of one key or of none that can be read, and more of them may follow.
fn states_page(rows: &Rows, is_last: bool, is_current: bool) -> Result<Option<MessageStatesPage>> {
    if let Ok(packed) = rows::message_states(rows) {
        let view = View::of_states(&packed)?;
        let count = view.count();
        let is_unique = is_current || (1..count).all(|row| view.key(row - 1) != view.key(row));
        // Of the last key there may be more rows only where keys are not unique.
        if is_unique && (is_last || is_current) && view.validate().is_ok() {
            let next = (!is_last).then(|| key(view.key(count - 1)));
            return Ok(Some(MessageStatesPage { rows: packed, merged: no_states(), rejects: Vec::new(), next }));
        }
    }
    let found = Found::read("message_states", &STATE_COLUMNS, rows)?;
    let [_, channels, threads, ..] = &found.columns;
    let mut count = found.count;
    let key_of = |row: usize| Some((channels.text(row).ok()?, threads.optional_text(row).ok()?));
    let mut next = None;
    if !is_last {
        let last = key_of(count - 1);
        // More rows of the last key may follow; one that cannot be read is none after which a page can begin. They come again.
        while count > 0 && (key_of(count - 1) == last || key_of(count - 1).is_none()) {
            count -= 1;
        }
        if count == 0 {
            return Ok(None);
        }
        next = key_of(count - 1).map(key);
    }
    let (mut good, mut merged, mut rejects) = (no_states(), no_states(), Vec::new());
    let mut best: Option<State<'_>> = None;
    for row in 0..count {
        let state = match found.state(row) {
            Ok(state) => state,
            Err(reason) => {
                rejects.push(found.reject(RejectTable::MessageStates, row, reason));
                continue;
            }
        };
        match best.take() {
            Some(other) if other.key() == state.key() => {
                let (winner, loser) = if other.precedence(&state).is_ge() { (other, state) } else { (state, other) };
                loser.push(&mut merged);
                best = Some(winner);
            }
            other => {
                if let Some(other) = other {
                    other.push(&mut good);
                }
                best = Some(state);
            }
        }
    }
    if let Some(best) = best {
        best.push(&mut good);
    }
    Ok(Some(MessageStatesPage { rows: good, merged, rejects, next }))
}

fn key((channel_id, thread_id): (&str, Option<&str>)) -> MessageKey {
    MessageKey { channel_id: channel_id.to_owned(), thread_id: thread_id.map(str::to_owned) }
}

const STATE_COLUMNS: [&str; 7] =
    ["id", "channel_id", "thread_id", "last_message_id", "last_seen_timestamp", "created_at", "updated_at"];
const OWNERSHIP_COLUMNS: [&str; 7] =
    ["id", "thread_id", "original_user_id", "created_by", "creation_time", "created_at", "updated_at"];

/// Rows of which some may not be what their columns say.
struct Found<'a> {
    count: usize,
    columns: [Column<'a>; 7],
}

struct State<'a> {
    id: i64,
    channel_id: &'a str,
    thread_id: Option<&'a str>,
    last_message_id: &'a str,
    last_seen_timestamp: i64,
    created_at: i64,
    updated_at: i64,
}

struct Ownership<'a> {
    id: i64,
    texts: [&'a str; 3],
    integers: [i64; 3],
}

impl<'a> Found<'a> {
    fn read(table: &'a str, names: &[&'static str; 7], rows: &'a Rows) -> Result<Self> {
        let mut reader = Reader::new(table, rows);
        let mut next = |column: usize| reader.next(names[column]);
        let columns = [next(0)?, next(1)?, next(2)?, next(3)?, next(4)?, next(5)?, next(6)?];
        Ok(Self { count: rows.count as usize, columns })
    }

    fn id(&self, column: usize, row: usize) -> Result<&'a str, String> {
        let name = self.columns[column].name();
        let text = self.columns[column].text(row).map_err(|_| format!("{name} is no text in UTF-8"))?;
        validate::id(name, text).map_err(reason)?;
        Ok(text)
    }

    fn integer(&self, column: usize, row: usize) -> Result<i64, String> {
        self.columns[column].integer(row).map_err(|_| format!("{} is no integer", self.columns[column].name()))
    }

    /// # Errors
    ///
    /// Why the row breaks the rules.
    fn state(&self, row: usize) -> Result<State<'a>, String> {
        Ok(State {
            id: self.integer(0, row)?,
            channel_id: self.id(1, row)?,
            thread_id: match self.columns[2].optional_text(row) {
                Ok(None) => None,
                _ => Some(self.id(2, row)?),
            },
            last_message_id: self.id(3, row)?,
            last_seen_timestamp: self.integer(4, row)?,
            created_at: self.integer(5, row)?,
            updated_at: self.integer(6, row)?,
        })
    }

    /// # Errors
    ///
    /// Why the row breaks the rules.
    fn ownership(&self, row: usize) -> Result<Ownership<'a>, String> {
        Ok(Ownership {
            id: self.integer(0, row)?,
            texts: [self.id(1, row)?, self.id(2, row)?, self.id(3, row)?],
            integers: [self.integer(4, row)?, self.integer(5, row)?, self.integer(6, row)?],
        })
    }

    fn reject(&self, table: RejectTable, row: usize, reason: String) -> Reject {
        let id = self.columns[0].integer(row).unwrap_or_default();
        Reject { table, id, reason, values: self.columns[1..].iter().map(|column| column.shown(row)).collect() }
    }
}

fn reason(failure: Failure) -> String {
    match failure {
        Failure::Own(error) => error.message,
        Failure::Sql(error) => error.message,
    }
}

impl<'a> State<'a> {
    fn key(&self) -> (&'a str, Option<&'a str>) {
        (self.channel_id, self.thread_id)
    }

    /// Which of two rows of one key stays: the greater.
    fn precedence(&self, other: &Self) -> Ordering {
        let rank = |state: &Self| (state.updated_at, state.last_seen_timestamp, state.id);
        rank(self).cmp(&rank(other))
    }

    fn push(&self, states: &mut MessageStates) {
        if self.thread_id.is_none() {
            states.threadless.push(states.ids.len() as u32);
        }
        states.ids.push(self.id);
        push(&mut states.channel_ids, self.channel_id);
        push(&mut states.thread_ids, self.thread_id.unwrap_or_default());
        push(&mut states.last_message_ids, self.last_message_id);
        states.last_seen_timestamps.push(self.last_seen_timestamp);
        states.created_ats.push(self.created_at);
        states.updated_ats.push(self.updated_at);
    }
}

impl Ownership<'_> {
    fn push(&self, ownerships: &mut ThreadOwnerships) {
        let [thread_id, original_user_id, created_by] = self.texts;
        let [creation_time, created_at, updated_at] = self.integers;
        ownerships.ids.push(self.id);
        push(&mut ownerships.thread_ids, thread_id);
        push(&mut ownerships.original_user_ids, original_user_id);
        push(&mut ownerships.created_bys, created_by);
        ownerships.creation_times.push(creation_time);
        ownerships.created_ats.push(created_at);
        ownerships.updated_ats.push(updated_at);
    }
}

fn push(column: &mut TextColumn, text: &str) {
    column.text.push_str(text);
    // A page's text has less than the 4 GiB that offsets reach.
    column.offsets.push(column.text.len() as u32);
}

fn no_text() -> TextColumn {
    TextColumn { offsets: vec![0], text: String::new() }
}

fn no_states() -> MessageStates {
    MessageStates {
        ids: Vec::new(),
        channel_ids: no_text(),
        thread_ids: no_text(),
        threadless: Vec::new(),
        last_message_ids: no_text(),
        last_seen_timestamps: Vec::new(),
        created_ats: Vec::new(),
        updated_ats: Vec::new(),
    }
}

fn no_ownerships() -> ThreadOwnerships {
    ThreadOwnerships {
        ids: Vec::new(),
        thread_ids: no_text(),
        original_user_ids: no_text(),
        created_bys: no_text(),
        creation_times: Vec::new(),
        created_ats: Vec::new(),
        updated_ats: Vec::new(),
    }
}
