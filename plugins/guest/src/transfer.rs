//! Moving data: pages in key order, and imports.

use crate::Component;
use crate::bindings::cofferdam::storage::sql::{Rows, Value};
use crate::bindings::cofferdam::storage::types::{Error, MessageStates, ThreadOwnerships};
use crate::bindings::exports::cofferdam::storage::transfer::{Guest, ImportOutcome, MessageKey};
use crate::dialect::{Backend, Repeated};
use crate::error::{Result, operation};
use crate::merge::{Merge, pieces};
use crate::operations::optional;
use crate::packed::{Texts, same_length};
use crate::rows::{self, Reader};
use crate::session::{self, Session};
use crate::validate::{self, Field};

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

    fn import_message_states(states: MessageStates) -> Result<ImportOutcome, Error> {
        operation::<B, _>("import-message-states", || {
            let states = States::new(&states)?;
            import(&states, &B::STATEMENTS.find_message_states, &B::STATEMENTS.import_message_states)
        })
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

    fn import_thread_ownerships(ownerships: ThreadOwnerships) -> Result<ImportOutcome, Error> {
        operation::<B, _>("import-thread-ownerships", || {
            let ownerships = Ownerships::new(&ownerships)?;
            import(&ownerships, &B::STATEMENTS.find_thread_ownerships, &B::STATEMENTS.import_thread_ownerships)
        })
    }
}

/// What identifies a row: a channel and a thread, or a thread alone in the first place.
type Key<'a> = (&'a str, Option<&'a str>);

/// Rows to import, whose rules have been checked.
trait Import {
    fn count(&self) -> usize;
    fn key(&self, row: usize) -> Key<'_>;
    fn updated_at(&self, row: usize) -> i64;
    /// Adds the parameters that find a key.
    fn find<'a>(key: Key<'a>, parameters: &mut Vec<Value<'a>>);
    /// Reads the keys that were found, with their `updated_at`.
    fn found<'a>(rows: &'a Rows, note: impl FnMut(Key<'a>, i64)) -> Result<()>;
    /// Adds the parameters that write a row.
    fn write<'a>(&'a self, row: usize, parameters: &mut Vec<Value<'a>>);
}

fn import<I: Import>(given: &I, find: &'static Repeated, write: &'static Repeated) -> Result<ImportOutcome> {
    if given.count() == 0 {
        return Ok(ImportOutcome { inserted: 0, replaced: 0, kept: 0 });
    }
    let mut attempt = 1;
    loop {
        let session = Session::write()?;
        match session.transaction(|| import_once(given, &session, find, write)) {
            Err(failure) if failure.is_conflict() && attempt < IMPORT_ATTEMPTS => attempt += 1,
            result => return result,
        }
    }
}

fn import_once<I: Import>(
    given: &I,
    session: &Session,
    find: &'static Repeated,
    write: &'static Repeated,
) -> Result<ImportOutcome> {
    let mut found = Vec::new();
    let mut merge = Merge::new((0..given.count()).map(|row| given.key(row)));
    let keys: Vec<Key<'_>> = merge.keys().copied().collect();
    let mut parameters = Vec::new();
    for keys in pieces(&keys) {
        parameters.clear();
        for key in keys {
            I::find(*key, &mut parameters);
        }
        found.push(session.query_repeated(find, keys.len(), &parameters)?);
    }
    for rows in &found {
        I::found(rows, |key, updated_at| merge.stored(key, updated_at))?;
    }
    let (outcome, winners) = merge.decide((0..given.count()).map(|row| (given.key(row), given.updated_at(row))));
    for winners in pieces(&winners) {
        parameters.clear();
        for row in winners {
            given.write(*row, &mut parameters);
        }
        session.execute_repeated(write, winners.len(), &parameters)?;
    }
    Ok(outcome)
}

struct States<'a> {
    packed: &'a MessageStates,
    channel_ids: Texts<'a>,
    thread_ids: Texts<'a>,
    threadless: Vec<bool>,
    last_message_ids: Texts<'a>,
}

impl<'a> States<'a> {
    fn new(packed: &'a MessageStates) -> Result<Self> {
        let count = packed.ids.len();
        same_length("last-seen-timestamps", &packed.last_seen_timestamps, count)?;
        same_length("created-ats", &packed.created_ats, count)?;
        same_length("updated-ats", &packed.updated_ats, count)?;
        let mut threadless = vec![false; count];
        for row in &packed.threadless {
            match threadless.get_mut(*row as usize) {
                Some(threadless) => *threadless = true,
                None => return validate::invalid(format!("threadless names row {row} of {count} rows")),
            }
        }
        let states = Self {
            packed,
            channel_ids: Texts::new("channel-ids", &packed.channel_ids, count)?,
            thread_ids: Texts::new("thread-ids", &packed.thread_ids, count)?,
            threadless,
            last_message_ids: Texts::new("last-message-ids", &packed.last_message_ids, count)?,
        };
        for row in 0..count {
            let (channel_id, thread_id) = states.key(row);
            validate::id(Field("channel-id", row), channel_id)?;
            validate::optional_id(Field("thread-id", row), thread_id)?;
            validate::id(Field("last-message-id", row), states.last_message_ids.get(row))?;
        }
        Ok(states)
    }
}

impl Import for States<'_> {
    fn count(&self) -> usize {
        self.packed.ids.len()
    }

    fn key(&self, row: usize) -> Key<'_> {
        (self.channel_ids.get(row), if self.threadless[row] { None } else { Some(self.thread_ids.get(row)) })
    }

    fn updated_at(&self, row: usize) -> i64 {
        self.packed.updated_ats[row]
    }

    fn find<'a>((channel_id, thread_id): Key<'a>, parameters: &mut Vec<Value<'a>>) {
        parameters.extend([Value::Text(channel_id), optional(thread_id)]);
    }

    fn found<'a>(rows: &'a Rows, mut note: impl FnMut(Key<'a>, i64)) -> Result<()> {
        let mut reader = Reader::new("message_states", rows);
        let channel_ids = reader.next("channel_id")?;
        let thread_ids = reader.next("thread_id")?;
        let updated_ats = reader.next("updated_at")?;
        for row in 0..rows.count as usize {
            note((channel_ids.text(row)?, thread_ids.optional_text(row)?), updated_ats.integer(row)?);
        }
        Ok(())
    }

    fn write<'a>(&'a self, row: usize, parameters: &mut Vec<Value<'a>>) {
        Self::find(self.key(row), parameters);
        parameters.extend([
            Value::Text(self.last_message_ids.get(row)),
            Value::Integer(self.packed.last_seen_timestamps[row]),
            Value::Integer(self.packed.created_ats[row]),
            Value::Integer(self.packed.updated_ats[row]),
        ]);
    }
}

struct Ownerships<'a> {
    packed: &'a ThreadOwnerships,
    thread_ids: Texts<'a>,
    original_user_ids: Texts<'a>,
    created_bys: Texts<'a>,
}

impl<'a> Ownerships<'a> {
    fn new(packed: &'a ThreadOwnerships) -> Result<Self> {
        let count = packed.ids.len();
        same_length("creation-times", &packed.creation_times, count)?;
        same_length("created-ats", &packed.created_ats, count)?;
        same_length("updated-ats", &packed.updated_ats, count)?;
        let ownerships = Self {
            packed,
            thread_ids: Texts::new("thread-ids", &packed.thread_ids, count)?,
            original_user_ids: Texts::new("original-user-ids", &packed.original_user_ids, count)?,
            created_bys: Texts::new("created-bys", &packed.created_bys, count)?,
        };
        for row in 0..count {
            validate::id(Field("thread-id", row), ownerships.thread_ids.get(row))?;
            validate::id(Field("original-user-id", row), ownerships.original_user_ids.get(row))?;
            validate::id(Field("created-by", row), ownerships.created_bys.get(row))?;
        }
        Ok(ownerships)
    }
}

impl Import for Ownerships<'_> {
    fn count(&self) -> usize {
        self.packed.ids.len()
    }

    fn key(&self, row: usize) -> Key<'_> {
        (self.thread_ids.get(row), None)
    }

    fn updated_at(&self, row: usize) -> i64 {
        self.packed.updated_ats[row]
    }

    fn find<'a>((thread_id, _): Key<'a>, parameters: &mut Vec<Value<'a>>) {
        parameters.push(Value::Text(thread_id));
    }

    fn found<'a>(rows: &'a Rows, mut note: impl FnMut(Key<'a>, i64)) -> Result<()> {
        let mut reader = Reader::new("thread_ownerships", rows);
        let thread_ids = reader.next("thread_id")?;
        let updated_ats = reader.next("updated_at")?;
        for row in 0..rows.count as usize {
            note((thread_ids.text(row)?, None), updated_ats.integer(row)?);
        }
        Ok(())
    }

    fn write<'a>(&'a self, row: usize, parameters: &mut Vec<Value<'a>>) {
        Self::find(self.key(row), parameters);
        parameters.extend([
            Value::Text(self.original_user_ids.get(row)),
            Value::Text(self.created_bys.get(row)),
            Value::Integer(self.packed.creation_times[row]),
            Value::Integer(self.packed.created_ats[row]),
            Value::Integer(self.packed.updated_ats[row]),
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::cofferdam::storage::types::{ErrorKind, TextColumn};
    use crate::error::Failure;

    fn texts(all: &[&str]) -> TextColumn {
        let mut column = TextColumn { offsets: vec![0], text: String::new() };
        for text in all {
            column.text.push_str(text);
            column.offsets.push(u32::try_from(column.text.len()).unwrap());
        }
        column
    }

    fn two_states() -> MessageStates {
        MessageStates {
            ids: vec![0, 0],
            channel_ids: texts(&["a", "b"]),
            thread_ids: texts(&["", "t"]),
            threadless: vec![0],
            last_message_ids: texts(&["m", "n"]),
            last_seen_timestamps: vec![1, 2],
            created_ats: vec![3, 4],
            updated_ats: vec![5, 6],
        }
    }

    fn message(states: &MessageStates) -> String {
        match States::new(states) {
            Err(Failure::Own(error)) if error.kind == ErrorKind::InvalidInput => error.message,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("taken"),
        }
    }

    #[test]
    fn no_thread_and_a_thread_are_told_apart() {
        let packed = two_states();
        let states = States::new(&packed).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!([states.key(0), states.key(1)], [("a", None), ("b", Some("t"))]);
        let mut parameters = Vec::new();
        states.write(1, &mut parameters);
        assert_eq!(
            format!("{parameters:?}"),
            r#"[Value::Text("b"), Value::Text("t"), Value::Text("n"), Value::Integer(2), Value::Integer(4), Value::Integer(6)]"#
        );
    }

    #[test]
    fn rows_that_break_the_rules_are_named() {
        let mut states = two_states();
        states.threadless.clear();
        assert!(message(&states).starts_with("thread-id of row 0 is empty"));
        let mut states = two_states();
        states.last_message_ids = texts(&["m", "\0"]);
        assert!(message(&states).starts_with("last-message-id of row 1 contains a NUL"));
        let mut states = two_states();
        states.threadless = vec![2];
        assert_eq!(message(&states), "threadless names row 2 of 2 rows");
        let mut states = two_states();
        states.created_ats.pop();
        assert!(message(&states).starts_with("created-ats has 1 values for 2 rows"));
    }
}
