//! One open connection.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use mysql_async::{Conn, Statement as Prepared};

use super::connect::Abrupt;
use super::fence::Flight;
use super::hosts::Host;
use crate::sql::error::{ErrorKind, Result, SqlError};
use crate::sql::gate::Counted;
use crate::sql::rows::Buffers;

/// Statements that a connection keeps prepared: more than a backend has, fewer than a server minds.
const STATEMENTS: usize = 128;

/// An open connection that is in order. Dropped, it is closed at once.
pub(super) struct Link {
    /// What becomes of a statement that may write, where the connection is dropped half-way. Dropped before the
    /// connection itself.
    pub flight: Flight,
    pub connection: Abrupt<Conn>,
    /// The server.
    pub host: Arc<Host>,
    pub statements: Statements,
    /// What the connection's results are built in.
    pub buffers: Buffers,
    pub opened: Instant,
    /// When the server answered last.
    pub answered: Instant,
    /// Whether it was used by an earlier lease, and may have died since.
    pub is_reused: bool,
    /// Whether the server would refuse its writes for the sake of the binary log.
    pub logs_statements: bool,
    pub _open: Counted,
}

impl Link {
    /// Whether the connection may have died with another one.
    pub fn is_suspect(&self) -> bool {
        self.host.is_suspect(self.answered)
    }

    /// The connection itself.
    pub fn connection(&mut self) -> Result<&mut Conn> {
        self.parts().map(|(connection, _)| connection)
    }

    /// The connection, and the statements that it has prepared.
    pub fn parts(&mut self) -> Result<(&mut Conn, &mut Statements)> {
        let closed = || SqlError::new(ErrorKind::Unavailable, "the connection is closed");
        Ok((self.connection.get().ok_or_else(closed)?, &mut self.statements))
    }
}

/// The statements that a connection has prepared. The driver has a list of its own, but reads the whole text again each
/// time, in search of named parameters.
#[derive(Default)]
pub(super) struct Statements {
    by_text: HashMap<Arc<str>, Prepared>,
    /// The oldest first.
    texts: VecDeque<Arc<str>>,
}

impl Statements {
    pub fn find(&self, text: &str) -> Option<Prepared> {
        self.by_text.get(text).cloned()
    }

    /// Keeps one more; returns the one that has to go for it.
    pub fn keep(&mut self, text: &Arc<str>, statement: &Prepared) -> Option<Prepared> {
        self.by_text.insert(Arc::clone(text), statement.clone());
        self.texts.push_back(Arc::clone(text));
        if self.texts.len() <= STATEMENTS {
            return None;
        }
        self.texts.pop_front().and_then(|oldest| self.by_text.remove(&oldest))
    }
}
