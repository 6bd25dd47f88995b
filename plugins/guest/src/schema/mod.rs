//! Brings the database's schema to the newest version that a backend knows.
//!
//! `actual` reads what is there, `plan` compares it with what should be, `work` does what there is to do, and this module
//! sees to it that only one host does.

mod actual;
mod plan;
mod work;

use actual::Actual;
use plan::{Plan, Work, plan, readable};

use crate::bindings::cofferdam::storage::sql::{self, Value};
use crate::bindings::cofferdam::storage::types::{Error, ErrorKind};
use crate::dialect::{Backend, RowLock, Upgrade};
use crate::error::{Failure, Result};
use crate::rows::Reader;
use crate::session::{Session, loses_connection};

/// How often a mismatch is looked at.
const MISMATCH_LOOKS: usize = 3;

/// How long one call waits for the named lock, in seconds: short against the time that a host allows for a call.
const LOCK_WAIT_SECONDS: i64 = 2;

/// How often the named lock is asked for: two minutes together, or until the host's deadline.
const LOCK_ATTEMPTS: usize = 60;

/// The newest version that a backend knows.
pub(crate) fn known_version<B: Backend>() -> u32 {
    u32::try_from(B::STEPS.len()).unwrap_or(u32::MAX)
}

/// The version of the schema in the database; none where no table of ours exists. Where there is something to be done again,
/// it is the version before that.
///
/// # Errors
///
/// `schema-mismatch` where the tables are of no version and cannot be brought to one.
pub(crate) fn version<B: Backend>() -> Result<Option<u32>> {
    let actual = Actual::read::<B>(&Session::read()?)?;
    match plan(&actual, known_version::<B>(), B::THREADLESS_KEY) {
        Err(failure) if actual.recorded.is_none_or(|recorded| recorded <= known_version::<B>()) => Err(failure),
        plan => Ok(version_by(&actual, &plan)),
    }
}

fn version_by(actual: &Actual, plan: &Result<Plan>) -> Option<u32> {
    match plan {
        Ok(Plan::Upgrade(work)) => actual.version().map(|version| version.min(work.from.max(1))),
        _ => actual.version(),
    }
}

/// Which tables of ours a database has.
#[derive(Clone, Copy)]
pub(crate) struct Tables {
    /// As [`version`] tells it.
    pub version: Option<u32>,
    pub message_states: bool,
    pub thread_ownerships: bool,
    current: bool,
    ordered: bool,
}

impl Tables {
    /// All of them, of the newest version.
    pub const CURRENT: Self =
        Self { version: None, message_states: true, thread_ownerships: true, current: true, ordered: true };

    /// Whether the schema is of the newest version that the backend knows.
    pub fn is_current(self) -> bool {
        self.current
    }

    /// Whether keys have the order of their bytes.
    pub fn are_ordered(self) -> bool {
        self.ordered
    }
}

/// What tables there are, of any version that the backend knows and in any shape that can be read.
///
/// # Errors
///
/// `schema-mismatch` where the database is newer, or a table is none of ours.
pub(crate) fn tables<B: Backend>(session: &Session) -> Result<Tables> {
    let actual = Actual::read::<B>(session)?;
    let known = known_version::<B>();
    readable(&actual, known)?;
    let plan = plan(&actual, known, B::THREADLESS_KEY);
    let current = matches!(plan, Ok(Plan::Current));
    Ok(Tables {
        version: version_by(&actual, &plan),
        message_states: actual.has("message_states"),
        thread_ownerships: actual.has("thread_ownerships"),
        current,
        ordered: current || B::MIGRATION.legacy_is_ordered && !actual.unordered,
    })
}

/// What an operator should know of the tables, and what would keep an upgrade from being done.
pub(crate) fn remarks<B: Backend>(session: &Session) -> Result<Vec<String>> {
    let actual = Actual::read::<B>(session)?;
    let mut remarks = match plan(&actual, known_version::<B>(), B::THREADLESS_KEY) {
        Ok(Plan::Current) => Vec::new(),
        Ok(Plan::Upgrade(work)) if work.mends.is_empty() => Vec::new(),
        Ok(Plan::Upgrade(work)) => vec![format!("{}: the upgrade rebuilds it with its rows", work.reason())],
        Err(Failure::Own(error)) => vec![format!("it cannot be written: {}", error.message)],
        Err(failure) => return Err(failure),
    };
    remarks.extend(plan::remarks(&actual, B::THREADLESS_KEY));
    let rows = session.look(B::REMARKS)?;
    let sentences = Reader::new("the schema", &rows).next("remark")?;
    for row in 0..rows.count as usize {
        remarks.push(sentences.text(row)?.to_owned());
    }
    Ok(remarks)
}

/// Creates what is missing, mends what is otherwise than it should be, and upgrades what is older. A current schema costs a
/// few reads.
pub(crate) fn initialize<B: Backend>() -> Result<()> {
    let repeat_on = match B::UPGRADE {
        Upgrade::NamedLock { repeat_on, .. } => repeat_on,
        Upgrade::Transaction { .. } => &[],
    };
    relax::<B>()?;
    match missing::<B>(&Session::read()?) {
        Ok(None) => return Ok(()),
        // Another host is at it.
        Err(failure) if failure.has_code(repeat_on) => {}
        found => drop(found?),
    }
    let session = Session::write()?;
    match B::UPGRADE {
        Upgrade::Transaction { set_aside, .. } => session.transaction(|| work::at_once::<B>(&session, set_aside)),
        Upgrade::NamedLock { .. } => alone::<B, _>(&session, || work::under_lock::<B>(&session, repeat_on)),
    }
}

/// Has foreign keys that others made of our tables not enforced, where the engine would enforce them for us alone.
pub(crate) fn relax<B: Backend>() -> Result<()> {
    if let Upgrade::Transaction { relax: [is_bound, relax], .. } = B::UPGRADE
        && Session::read()?.finds(is_bound)?
    {
        Session::write()?.run(relax)?;
    }
    Ok(())
}

/// Runs `body` while nobody else changes the schema. Where the engine's changes are transactional, `body` itself has to see to
/// that.
pub(crate) fn alone<B: Backend, T>(session: &Session, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let Upgrade::NamedLock { take, release, missing_on, row, .. } = B::UPGRADE else { return body() };
    match lock(session, take) {
        Err(failure) if failure.has_code(missing_on) => return alone_by_row(&row, body),
        taken => taken?,
    }
    let result = body();
    // A connection that is lost has lost the lock too. Otherwise it goes back to the pool and must not take the lock along.
    if !matches!(&result, Err(Failure::Sql(error)) if loses_connection(error)) {
        session.query(release, &[])?;
    }
    result
}

/// As [`alone`], by the lock of a row. `body` works on a session of its own, which the host's pool must have room for beside the
/// one of the lock.
fn alone_by_row<T>(lock: &RowLock, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let keeper = Session::write()?;
    if !keeper.finds(lock.is_made)? {
        keeper.run(lock.create)?;
    }
    if !keeper.finds(lock.has_row)? {
        keeper.run(lock.insert)?;
    }
    for _ in 0..LOCK_ATTEMPTS {
        keeper.begin()?;
        match keeper.query(lock.take, &[]) {
            Ok(_) => {
                let result = body();
                // A server may have ended the transaction by then, since nothing happened in it. Nothing was written in it.
                let _ = keeper.roll_back();
                return result;
            }
            Err(error) if error.kind == sql::ErrorKind::Conflict => {}
            Err(error) => return Err(error.into()),
        }
        keeper.roll_back()?;
        keeper.query_long(lock.wait, &[])?;
    }
    Err(busy())
}

/// What is wrong with the schema, if that is why a statement could not be prepared; the database's own words are kept. A schema
/// that is about to be brought to its version has nothing wrong.
pub(crate) fn explain<B: Backend>(error: sql::Error, initializes: bool) -> Failure {
    let Ok(session) = Session::read() else { return Failure::Sql(error) };
    let known = known_version::<B>();
    let why = match missing::<B>(&session) {
        Ok(Some(work)) if !initializes => match work.from {
            _ if !work.mends.is_empty() => format!("{}: initialize it", work.reason()),
            0 => format!("the database lacks some of our tables, this backend needs version {known}: initialize it"),
            version => {
                format!("the database has schema version {version}, this backend needs version {known}: initialize it")
            }
        },
        Err(Failure::Own(mismatch)) => mismatch.message,
        Ok(_) | Err(Failure::Sql(_)) => return Failure::Sql(error),
    };
    let message = format!("{why}; the database says: {}", error.message);
    Failure::Own(Error { kind: ErrorKind::SchemaMismatch, message, code: error.code })
}

/// What there is to do.
///
/// The tables are described by several queries. Where another host changes them in between, the whole is what never was:
/// a mismatch counts once it was seen the same several times in a row.
fn missing<B: Backend>(session: &Session) -> Result<Option<Work>> {
    let mut actual = Actual::read::<B>(session)?;
    let mut looks = 1;
    loop {
        match plan(&actual, known_version::<B>(), B::THREADLESS_KEY) {
            Ok(Plan::Current) => return Ok(None),
            Ok(Plan::Upgrade(work)) => return Ok(Some(work)),
            Err(failure) if looks == MISMATCH_LOOKS => return Err(failure),
            Err(_) => {}
        }
        let again = Actual::read::<B>(session)?;
        looks = if again == actual { looks + 1 } else { 1 };
        actual = again;
    }
}

fn mismatch(message: String) -> Failure {
    Failure::new(ErrorKind::SchemaMismatch, message)
}

fn lock(session: &Session, take: &'static str) -> Result<()> {
    for _ in 0..LOCK_ATTEMPTS {
        let rows = session.query_long(take, &[Value::Integer(LOCK_WAIT_SECONDS)])?;
        if Reader::new("the upgrade's lock", &rows).next("taken")?.optional_integer(0)? == Some(1) {
            return Ok(());
        }
    }
    Err(busy())
}

fn busy() -> Failure {
    Failure::new(ErrorKind::Conflict, "another host is upgrading the schema: try again when it is done")
}
