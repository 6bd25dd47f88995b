//! A backend that behaves, of which each guest in `examples` overrides the one operation in which it does not.
//!
//! Its table is `marks`, one column `mark`: `upsert-message-state` writes the channel's id there, so that a test can
//! see from outside what was committed.
#![warn(missing_docs)]

pub mod bindings;

mod component;
mod database;

pub use bindings::cofferdam::storage::sql::{Access, Connection, Engine, Statement, Value, Work, prepare};
pub use bindings::cofferdam::storage::types::{
    Error, ErrorKind, MessageState, MessageStates, TextColumn, ThreadOwnership,
};
pub use bindings::exports::cofferdam::storage::backend::Description;
pub use component::Component;
pub use database::{attempt_told, insert_mark, leave_transaction, refused, run, select};

/// The operations that some guest overrides; the rest answers with nothing.
pub trait Guest {
    /// The database that [`describe`](Self::describe) asks for.
    const ENGINE: Engine = Engine::Sqlite;

    /// Says what the contract wants.
    fn describe() -> Description {
        Description { name: "guest".into(), version: "0.0.0".into(), engine: Self::ENGINE, schema_version: 1 }
    }

    /// Creates `marks`.
    fn initialize() -> Result<(), Error> {
        run("CREATE TABLE IF NOT EXISTS marks (mark VARCHAR(255) NOT NULL)", Vec::new()).map_err(refused)
    }

    /// Asks the database for a constant.
    fn health_check() -> Result<(), Error> {
        select("SELECT 1").map_err(refused)
    }

    /// Finds nothing. Where a guest misbehaves here, `channel_id` is what its test tells it.
    fn get_message_state(_channel_id: String) -> Result<Option<MessageState>, Error> {
        Ok(None)
    }

    /// Writes the channel's id to `marks`.
    fn upsert_message_state(state: MessageState) -> Result<(), Error> {
        insert_mark(&state.channel_id).map_err(refused)
    }

    /// Does what [`get_message_state`](Self::get_message_state) does, told the window's seconds, under the deadline of
    /// lists: so a test can make one operation's deadline short and leave the others theirs.
    fn get_message_states_within_window(seconds: u64) -> Result<MessageStates, Error> {
        Self::get_message_state(seconds.to_string()).map(|_| no_states())
    }
}

/// Makes a type that implements [`Guest`] the component's exports.
#[macro_export]
macro_rules! export {
    ($guest:ty) => {
        const _: () = {
            type Exported = $crate::Component<$guest>;
    $crate::bindings::export_component!(Exported with_types_in $crate::bindings);
        };
    };
}

/// A state whose `last-message-id` tells a test, line after line, what a guest saw.
pub fn report(lines: impl IntoIterator<Item = String>) -> Option<MessageState> {
    Some(MessageState {
        id: 0,
        channel_id: "report".into(),
        thread_id: None,
        last_message_id: lines.into_iter().collect::<Vec<_>>().join("\n"),
        last_seen_timestamp: 0,
        created_at: 0,
        updated_at: 0,
    })
}

/// An error whose message tells a test what a guest thinks of what it was asked.
pub fn internal(message: impl Into<String>) -> Error {
    Error { kind: ErrorKind::Internal, message: message.into(), code: None }
}

/// An empty list.
pub fn no_states() -> MessageStates {
    states(0, "")
}

/// `count` states without a thread whose ids all are `id`.
pub fn states(count: usize, id: &str) -> MessageStates {
    MessageStates {
        ids: vec![0; count],
        channel_ids: column(count, id),
        thread_ids: column(count, ""),
        threadless: (0..count as u32).collect(),
        last_message_ids: column(count, id),
        last_seen_timestamps: vec![0; count],
        created_ats: vec![0; count],
        updated_ats: vec![0; count],
    }
}

fn column(count: usize, cell: &str) -> TextColumn {
    TextColumn { offsets: (0..=count).map(|row| (row * cell.len()) as u32).collect(), text: cell.repeat(count) }
}
