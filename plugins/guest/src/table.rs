//! The two tables, and packed rows of them, seen alike.

use crate::bindings::cofferdam::storage::sql::{Rows, Value};
use crate::bindings::cofferdam::storage::types::{MessageStates, ThreadOwnerships};
use crate::bindings::exports::cofferdam::storage::transfer::OnEqual;
use crate::dialect::{Backend, Repeated};
use crate::error::Result;
use crate::operations::optional;
use crate::packed::{Texts, same_length};
use crate::rows;
use crate::validate::{self, Field};

/// One of the two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    MessageStates,
    ThreadOwnerships,
}

/// What identifies a row: a channel and a thread, or a thread alone in the first place. Ordered as the contract wants it.
pub(crate) type Key<'a> = (&'a str, Option<&'a str>);

impl Table {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::MessageStates => "message_states",
            Self::ThreadOwnerships => "thread_ownerships",
        }
    }

    /// Finds the rows of several keys, all columns, and locks them.
    pub fn find<B: Backend>(self) -> &'static Repeated {
        match self {
            Self::MessageStates => &B::STATEMENTS.find_message_states,
            Self::ThreadOwnerships => &B::STATEMENTS.find_thread_ownerships,
        }
    }

    /// Inserts several rows, or replaces those that are there and older, or as old.
    pub fn import<B: Backend>(self, on_equal: OnEqual) -> &'static Repeated {
        match (self, on_equal) {
            (Self::MessageStates, OnEqual::Keep) => &B::STATEMENTS.import_message_states,
            (Self::MessageStates, OnEqual::Replace) => &B::STATEMENTS.import_message_states_over_equal,
            (Self::ThreadOwnerships, OnEqual::Keep) => &B::STATEMENTS.import_thread_ownerships,
            (Self::ThreadOwnerships, OnEqual::Replace) => &B::STATEMENTS.import_thread_ownerships_over_equal,
        }
    }

    /// Adds the parameters that find a key.
    pub fn push_key<'a>(self, key: Key<'a>, parameters: &mut Vec<Value<'a>>) {
        parameters.push(Value::Text(key.0));
        if self == Self::MessageStates {
            parameters.push(optional(key.1));
        }
    }

    /// Adds the parameters of a row's values.
    pub fn push_values<'a>(self, values: &Values<'a>, parameters: &mut Vec<Value<'a>>) {
        let Values { texts: [text, more_text], integers } = *values;
        parameters.push(Value::Text(text));
        if self == Self::ThreadOwnerships {
            parameters.push(Value::Text(more_text));
        }
        parameters.extend(integers.map(Value::Integer));
    }
}

/// Packed rows of either table.
pub(crate) enum Packed {
    MessageStates(MessageStates),
    ThreadOwnerships(ThreadOwnerships),
}

impl Packed {
    /// A result with all columns of a table.
    pub fn read(table: Table, rows: &Rows) -> Result<Self> {
        Ok(match table {
            Table::MessageStates => Self::MessageStates(rows::message_states(rows)?),
            Table::ThreadOwnerships => Self::ThreadOwnerships(rows::thread_ownerships(rows)?),
        })
    }

    pub fn view(&self) -> Result<View<'_>> {
        match self {
            Self::MessageStates(states) => View::of_states(states),
            Self::ThreadOwnerships(ownerships) => View::of_ownerships(ownerships),
        }
    }
}

/// The values of a row that are neither its id nor its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Values<'a> {
    /// last_message_id and nothing, or original_user_id and created_by.
    pub texts: [&'a str; 2],
    /// last_seen_timestamp or creation_time, created_at, updated_at.
    pub integers: [i64; 3],
}

/// Packed rows whose packing has been checked.
pub(crate) struct View<'a> {
    pub table: Table,
    ids: &'a [i64],
    firsts: Texts<'a>,
    /// The threads of states, and which states have none.
    threads: Option<(Texts<'a>, Vec<bool>)>,
    texts: Texts<'a>,
    more_texts: Option<Texts<'a>>,
    integers: [&'a [i64]; 3],
}

impl<'a> View<'a> {
    /// # Errors
    ///
    /// `invalid-input` where the columns do not fit together.
    pub fn of_states(packed: &'a MessageStates) -> Result<Self> {
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
        Ok(Self {
            table: Table::MessageStates,
            ids: &packed.ids,
            firsts: Texts::new("channel-ids", &packed.channel_ids, count)?,
            threads: Some((Texts::new("thread-ids", &packed.thread_ids, count)?, threadless)),
            texts: Texts::new("last-message-ids", &packed.last_message_ids, count)?,
            more_texts: None,
            integers: [&packed.last_seen_timestamps, &packed.created_ats, &packed.updated_ats],
        })
    }

    /// # Errors
    ///
    /// As [`of_states`](Self::of_states).
    pub fn of_ownerships(packed: &'a ThreadOwnerships) -> Result<Self> {
        let count = packed.ids.len();
        same_length("creation-times", &packed.creation_times, count)?;
        same_length("created-ats", &packed.created_ats, count)?;
        same_length("updated-ats", &packed.updated_ats, count)?;
        Ok(Self {
            table: Table::ThreadOwnerships,
            ids: &packed.ids,
            firsts: Texts::new("thread-ids", &packed.thread_ids, count)?,
            threads: None,
            texts: Texts::new("original-user-ids", &packed.original_user_ids, count)?,
            more_texts: Some(Texts::new("created-bys", &packed.created_bys, count)?),
            integers: [&packed.creation_times, &packed.created_ats, &packed.updated_ats],
        })
    }

    /// Checks the rules of every row.
    ///
    /// # Errors
    ///
    /// `invalid-input` naming the first row that breaks one.
    pub fn validate(&self) -> Result<()> {
        (0..self.count()).try_for_each(|row| self.validate_row(row))
    }

    pub fn validate_row(&self, row: usize) -> Result<()> {
        let (first, second) = self.key(row);
        let Values { texts: [text, more_text], .. } = self.values(row);
        match self.table {
            Table::MessageStates => {
                validate::id(Field("channel-id", row), first)?;
                validate::optional_id(Field("thread-id", row), second)?;
                validate::id(Field("last-message-id", row), text)
            }
            Table::ThreadOwnerships => {
                validate::id(Field("thread-id", row), first)?;
                validate::id(Field("original-user-id", row), text)?;
                validate::id(Field("created-by", row), more_text)
            }
        }
    }

    pub fn count(&self) -> usize {
        self.ids.len()
    }

    pub fn id(&self, row: usize) -> i64 {
        self.ids[row]
    }

    pub fn key(&self, row: usize) -> Key<'a> {
        let second = match &self.threads {
            Some((threads, threadless)) if !threadless[row] => Some(threads.get(row)),
            _ => None,
        };
        (self.firsts.get(row), second)
    }

    pub fn updated_at(&self, row: usize) -> i64 {
        self.integers[2][row]
    }

    pub fn values(&self, row: usize) -> Values<'a> {
        Values {
            texts: [self.texts.get(row), self.more_texts.map_or("", |texts| texts.get(row))],
            integers: self.integers.map(|integers| integers[row]),
        }
    }

    /// Adds the parameters that write a row: all its values but the id.
    pub fn push(&self, row: usize, parameters: &mut Vec<Value<'a>>) {
        self.table.push_key(self.key(row), parameters);
        self.table.push_values(&self.values(row), parameters);
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
        match View::of_states(states).and_then(|view| view.validate()) {
            Err(Failure::Own(error)) if error.kind == ErrorKind::InvalidInput => error.message,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("taken"),
        }
    }

    #[test]
    fn no_thread_and_a_thread_are_told_apart() {
        let packed = two_states();
        let states = View::of_states(&packed).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!([states.key(0), states.key(1)], [("a", None), ("b", Some("t"))]);
        let mut parameters = Vec::new();
        states.push(1, &mut parameters);
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
