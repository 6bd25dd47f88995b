//! What one caller writes, and what it hears of that.

use std::time::Instant as StdInstant;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Turn;
use crate::sql::Value;
use crate::sql::error::{Result, SqlError};
use crate::sql::mysql::connection::MysqlConnection;

/// What a parameter takes beside its own bytes.
const OVERHEAD: usize = 16;

/// A row of one caller.
pub(super) struct Row {
    pub number: u64,
    pub parameters: Vec<Value>,
    pub deadline: Instant,
    /// What it takes of a packet.
    pub bytes: usize,
    /// When it began to wait; of one that is alone in its group, since when it goes alone.
    pub since: StdInstant,
    done: oneshot::Sender<Reply>,
}

/// What a caller hears of its row.
pub(super) enum Reply {
    /// It was run.
    Done(Result<()>),
    /// It is to be run by the caller itself, as it would be without groups.
    Alone(Alone),
}

/// A row that its caller runs itself.
pub(super) struct Alone {
    pub parameters: Vec<Value>,
    /// A connection for it.
    pub given: Option<Box<Given>>,
    /// Why it is not known whether the row was written by its group.
    pub doubt: Option<SqlError>,
}

/// What one gets who is alone in its group.
pub(super) struct Given {
    // Given back before the next group starts.
    pub connection: MysqlConnection,
    pub turn: Turn,
}

impl Row {
    pub fn new(number: u64, parameters: Vec<Value>, deadline: Instant, done: oneshot::Sender<Reply>) -> Self {
        let size = |value: &Value| match value {
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
            Value::Null | Value::Integer(_) | Value::Real(_) => 0,
        };
        let bytes = parameters.iter().map(|value| size(value) + OVERHEAD).sum();
        Self { number, parameters, deadline, bytes, since: StdInstant::now(), done }
    }

    /// Whether its caller gave it up.
    pub fn is_given_up(&self) -> bool {
        self.done.is_closed()
    }

    pub fn answer(self, result: Result<()>) {
        // Who has gone does not want it.
        let _ = self.done.send(Reply::Done(result));
    }

    /// Has its caller run it.
    pub fn leave_alone(self) {
        self.be_alone(None, None);
    }

    /// Has its caller run it, which may have been done already.
    pub fn leave_in_doubt(self, doubt: SqlError) {
        self.be_alone(None, Some(doubt));
    }

    /// Has its caller run it on this connection.
    pub fn give(self, given: Given) {
        self.be_alone(Some(Box::new(given)), None);
    }

    fn be_alone(self, given: Option<Box<Given>>, doubt: Option<SqlError>) {
        let _ = self.done.send(Reply::Alone(Alone { parameters: self.parameters, given, doubt }));
    }
}
