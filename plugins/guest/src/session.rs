//! Statements, which are kept prepared, alone or on one leased connection.

use std::cell::RefCell;
use std::ptr;
use std::rc::Rc;

use crate::bindings::cofferdam::storage::sql::{
    Access, Connection, Error, ErrorKind, Outcome, Rows, Statement, Value, Work, prepare, prepare_batchable,
};
use crate::dialect::Repeated;

thread_local! {
    static PREPARED: RefCell<Vec<Prepared>> = const { RefCell::new(Vec::new()) };
}

/// A statement of this instance. There are so few that a list, searched by the address of the text, is quickest.
struct Prepared {
    text: &'static str,
    /// Of a repeated statement, of which several may begin alike.
    tail: &'static str,
    rows: usize,
    statement: Rc<Statement>,
}

fn prepared(
    text: &'static str,
    tail: &'static str,
    rows: usize,
    full: impl FnOnce() -> Result<Statement, Error>,
) -> Result<Rc<Statement>, Error> {
    PREPARED.with_borrow_mut(|all| {
        let is_it = |one: &&Prepared| ptr::eq(one.text, text) && ptr::eq(one.tail, tail) && one.rows == rows;
        if let Some(found) = all.iter().find(is_it) {
            return Ok(Rc::clone(&found.statement));
        }
        let statement = Rc::new(full()?);
        all.push(Prepared { text, tail, rows, statement: Rc::clone(&statement) });
        Ok(statement)
    })
}

fn single(text: &'static str, work: Work) -> Result<Rc<Statement>, Error> {
    prepared(text, "", 0, || prepare(text, work))
}

fn repeated(text: &Repeated, rows: usize) -> Result<Rc<Statement>, Error> {
    prepared(text.head, text.tail, rows, || prepare(&text.text(rows), Work::Long))
}

fn batchable(text: &Repeated) -> Result<Rc<Statement>, Error> {
    prepared(text.head, text.tail, 0, || prepare_batchable(text.head, text.row, text.between, text.tail))
}

/// Lets go of every prepared statement.
pub(crate) fn forget_statements() {
    PREPARED.take();
}

/// Reads a bounded number of rows.
pub(crate) fn query(text: &'static str, parameters: &[Value<'_>]) -> Result<Rows, Error> {
    single(text, Work::Short)?.query(Access::Read, parameters)
}

/// Reads up to whole tables.
pub(crate) fn query_long(text: &'static str, parameters: &[Value<'_>]) -> Result<Rows, Error> {
    single(text, Work::Long)?.query(Access::Read, parameters)
}

/// Writes a bounded number of rows.
pub(crate) fn execute(text: &'static str, parameters: &[Value<'_>]) -> Result<Outcome, Error> {
    single(text, Work::Short)?.execute(parameters)
}

/// Writes one row, alone or together with those of other operations.
pub(crate) fn execute_row(text: &Repeated, parameters: &[Value<'_>]) -> Result<Outcome, Error> {
    batchable(text)?.execute(parameters)
}

/// Writes up to whole tables.
pub(crate) fn execute_long(text: &'static str, parameters: &[Value<'_>]) -> Result<Outcome, Error> {
    single(text, Work::Long)?.execute(parameters)
}

/// A lease of one connection for several statements, given back when it is dropped.
pub(crate) struct Session(Connection);

impl Session {
    pub fn read() -> Result<Self, Error> {
        Connection::acquire(Access::Read).map(Self)
    }

    pub fn write() -> Result<Self, Error> {
        Connection::acquire(Access::Write).map(Self)
    }

    /// Runs a query over a bounded number of rows.
    pub fn query(&self, text: &'static str, parameters: &[Value<'_>]) -> Result<Rows, Error> {
        self.0.query(&*single(text, Work::Short)?, parameters)
    }

    /// Runs a query over up to whole tables.
    pub fn query_long(&self, text: &'static str, parameters: &[Value<'_>]) -> Result<Rows, Error> {
        self.0.query(&*single(text, Work::Long)?, parameters)
    }

    /// Writes up to whole tables.
    pub fn execute_long(&self, text: &'static str, parameters: &[Value<'_>]) -> Result<Outcome, Error> {
        self.0.execute(&*single(text, Work::Long)?, parameters)
    }

    pub fn execute(&self, text: &'static str, parameters: &[Value<'_>]) -> Result<Outcome, Error> {
        self.0.execute(&*single(text, Work::Short)?, parameters)
    }

    pub fn query_repeated(&self, text: &Repeated, rows: usize, parameters: &[Value<'_>]) -> Result<Rows, Error> {
        self.0.query(&*repeated(text, rows)?, parameters)
    }

    pub fn execute_repeated(&self, text: &Repeated, rows: usize, parameters: &[Value<'_>]) -> Result<Outcome, Error> {
        self.0.execute(&*repeated(text, rows)?, parameters)
    }

    /// Runs a query that is not worth keeping.
    pub fn look(&self, text: &str) -> Result<Rows, Error> {
        self.0.query(&prepare(text, Work::Long)?, &[])
    }

    /// Whether a query that is not worth keeping returns a row.
    pub fn finds(&self, text: &str) -> Result<bool, Error> {
        Ok(self.look(text)?.count > 0)
    }

    /// Runs a statement that is not worth keeping.
    pub fn run(&self, text: &str) -> Result<Outcome, Error> {
        self.0.execute(&prepare(text, Work::Long)?, &[])
    }

    /// Begins a transaction that ends with the lease.
    pub fn begin(&self) -> Result<(), Error> {
        self.0.begin()
    }

    /// Ends a transaction without its changes, and its locks with it.
    pub fn roll_back(&self) -> Result<(), Error> {
        self.0.rollback()
    }

    /// Runs `body` in a transaction, which is rolled back where it fails.
    pub fn transaction<T, E: From<Error>>(&self, body: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.0.begin()?;
        match body() {
            Ok(value) => {
                self.0.commit()?;
                Ok(value)
            }
            Err(error) => {
                // The host rolls back anyway when the lease ends; the first error is the one that tells.
                let _ = self.0.rollback();
                Err(error)
            }
        }
    }
}

/// Whether this error can mean that the connection is gone, so that nothing more can be done with it.
pub(crate) fn loses_connection(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Timeout)
}
