//! Moving data: pages in key order, and imports.

use std::collections::BTreeMap;

use crate::Component;
use crate::apart::{self, Ids};
use crate::bindings::cofferdam::storage::sql::Value;
use crate::bindings::cofferdam::storage::types::{Error, MessageStates, ThreadOwnerships};
use crate::bindings::exports::cofferdam::storage::transfer::{Guest, ImportOutcome, MessageKey, OnEqual};
use crate::dialect::Backend;
use crate::error::{Failure, Result, operation};
use crate::merge::{FIND, Merge, pieces};
use crate::rows;
use crate::session::{self, Session};
use crate::table::{Key, Packed, View};
use crate::validate;

/// How often an import starts over where the database gave it up in favour of another.
const IMPORT_ATTEMPTS: usize = 5;

impl<B: Backend> Guest for Component<B> {
    fn export_message_states(after: Option<MessageKey>, limit: u32) -> Result<MessageStates, Error> {
        operation::<B, _>("export-message-states", || {
            validate::positive("limit", limit.into())?;
            let limit = Value::Integer(limit.into());
            let rows = match &after {
                None => session::query_long(B::STATEMENTS.first_message_states, &[limit]),
                Some(MessageKey { channel_id, thread_id: None }) => session::query_long(
                    B::STATEMENTS.message_states_after_channel,
                    &[Value::Text(channel_id), Value::Text(channel_id), limit],
                ),
                Some(MessageKey { channel_id, thread_id: Some(thread_id) }) => session::query_long(
                    B::STATEMENTS.message_states_after_thread,
                    &[Value::Text(channel_id), Value::Text(channel_id), Value::Text(thread_id), limit],
                ),
            };
            rows::message_states(&rows?)
        })
    }

    fn import_message_states(states: MessageStates, on_equal: OnEqual) -> Result<ImportOutcome, Error> {
        operation::<B, _>("import-message-states", || import::<B>(&View::of_states(&states)?, on_equal))
    }

    fn export_thread_ownerships(after: Option<String>, limit: u32) -> Result<ThreadOwnerships, Error> {
        operation::<B, _>("export-thread-ownerships", || {
            validate::positive("limit", limit.into())?;
            let limit = Value::Integer(limit.into());
            let rows = match &after {
                None => session::query_long(B::STATEMENTS.first_thread_ownerships, &[limit]),
                Some(after) => session::query_long(B::STATEMENTS.thread_ownerships_after, &[Value::Text(after), limit]),
            };
            rows::thread_ownerships(&rows?)
        })
    }

    fn import_thread_ownerships(ownerships: ThreadOwnerships, on_equal: OnEqual) -> Result<ImportOutcome, Error> {
        operation::<B, _>("import-thread-ownerships", || import::<B>(&View::of_ownerships(&ownerships)?, on_equal))
    }
}

fn import<B: Backend>(given: &View<'_>, on_equal: OnEqual) -> Result<ImportOutcome> {
    given.validate()?;
    if given.count() == 0 {
        return Ok(ImportOutcome { inserted: 0, replaced: 0, kept: 0 });
    }
    let (mut attempt, mut ids) = (1, Ids::Given);
    loop {
        let session = Session::write()?;
        match session.transaction(|| import_once::<B>(given, on_equal, &session, ids)) {
            Err(failure) if failure.is_conflict() && attempt < IMPORT_ATTEMPTS => attempt += 1,
            Err(Failure::Sql(error)) if ids == Ids::Given && apart::concerns::<B>(&error) => ids = Ids::Chosen,
            Err(failure) if ids == Ids::Chosen && apart::is_race(&failure) && attempt < IMPORT_ATTEMPTS => attempt += 1,
            result => return result,
        }
    }
}

fn import_once<B: Backend>(given: &View<'_>, on_equal: OnEqual, session: &Session, ids: Ids) -> Result<ImportOutcome> {
    let mut found = Vec::new();
    let mut merge = Merge::new((0..given.count()).map(|row| given.key(row)));
    let keys: Vec<Key<'_>> = merge.keys().copied().collect();
    let mut parameters = Vec::new();
    for keys in pieces(&keys).flat_map(|keys| keys.chunks(FIND)) {
        parameters.clear();
        for key in keys {
            given.table.push_key(*key, &mut parameters);
        }
        let rows = session.query_repeated(given.table.find::<B>(), keys.len(), &parameters)?;
        found.push(Packed::read(given.table, &rows)?);
    }
    let mut places = BTreeMap::new();
    for packed in &found {
        let stored = packed.view()?;
        for row in 0..stored.count() {
            merge.stored(stored.key(row), stored.updated_at(row));
            if ids == Ids::Chosen {
                places.insert(stored.key(row), stored.id(row));
            }
        }
    }
    let rows = (0..given.count()).map(|row| (given.key(row), given.updated_at(row)));
    let (outcome, winners) = merge.decide(rows, on_equal);
    if ids == Ids::Chosen {
        apart::write(session, given, &winners, &places)?;
        return Ok(outcome);
    }
    for winners in pieces(&winners) {
        parameters.clear();
        for row in winners {
            given.push(*row, &mut parameters);
        }
        session.execute_repeated(given.table.import::<B>(on_equal), winners.len(), &parameters)?;
    }
    Ok(outcome)
}
