//! Brings the database's schema to the newest version that a backend knows.
//!
//! `actual` reads what is there, `plan` compares it with what should be, and this module runs the missing steps.

mod actual;
mod plan;

use actual::{Actual, Family};
use plan::{Plan, plan};

use crate::bindings::cofferdam::storage::sql::{self, Value, connected_server};
use crate::bindings::cofferdam::storage::types::{Error, ErrorKind};
use crate::dialect::{Backend, RowLock, Upgrade};
use crate::error::{Failure, Result};
use crate::rows::Reader;
use crate::session::{Session, loses_connection};
use crate::{script, time};

/// How often a step starts over where others wrote or ran the same step in between. Each time one of its statements, of
/// which it has a dozen, has got further.
const STEP_ATTEMPTS: usize = 20;

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

/// The version of the schema in the database; none where no table of ours exists.
pub(crate) fn version<B: Backend>() -> Result<Option<u32>> {
    Ok(Actual::read::<B>(&Session::read()?)?.version())
}

/// Which tables of ours a database has.
#[derive(Clone, Copy)]
pub(crate) struct Tables {
    /// As [`version`] tells it.
    pub version: Option<u32>,
    pub message_states: bool,
    pub thread_ownerships: bool,
    current: bool,
}

impl Tables {
    /// All of them, of the newest version.
    pub const CURRENT: Self = Self { version: None, message_states: true, thread_ownerships: true, current: true };

    /// Whether the schema is of the newest version that the backend knows.
    pub fn is_current(self) -> bool {
        self.current
    }
}

/// What tables there are, of any version that the backend knows.
///
/// # Errors
///
/// `schema-mismatch` where the database is newer, or a table is not what its version says.
pub(crate) fn tables<B: Backend>(session: &Session) -> Result<Tables> {
    let actual = Actual::read::<B>(session)?;
    let plan = plan(&actual, known_version::<B>(), B::THREADLESS_KEY)?;
    Ok(Tables {
        version: actual.version(),
        message_states: actual.has("message_states"),
        thread_ownerships: actual.has("thread_ownerships"),
        current: plan == Plan::Current,
    })
}

/// Creates what is missing and upgrades what is older. A current schema costs a few reads.
pub(crate) fn initialize<B: Backend>() -> Result<()> {
    let repeat_on = match B::UPGRADE {
        Upgrade::NamedLock { repeat_on, .. } => repeat_on,
        Upgrade::Transaction => &[],
    };
    match missing::<B>(&Session::read()?) {
        Ok(None) => return Ok(()),
        // Another host is at it.
        Err(failure) if failure.has_code(repeat_on) => {}
        found => drop(found?),
    }
    let session = Session::write()?;
    match B::UPGRADE {
        Upgrade::Transaction => while session.transaction(|| next_step::<B>(&session))? {},
        Upgrade::NamedLock { .. } => alone::<B, _>(&session, || steps_under_lock::<B>(&session, repeat_on))?,
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
        Ok(Some(from)) if !initializes => {
            let found = if from == 0 { "not all tables of ours".to_owned() } else { format!("schema version {from}") };
            format!("the database has {found}, this backend needs version {known}: initialize it")
        }
        Err(Failure::Own(mismatch)) => mismatch.message,
        Ok(_) | Err(Failure::Sql(_)) => return Failure::Sql(error),
    };
    let message = format!("{why}; the database says: {}", error.message);
    Failure::Own(Error { kind: ErrorKind::SchemaMismatch, message, code: error.code })
}

/// The version that the database has, where steps are missing.
///
/// The tables are described by several queries. Where another host changes them in between, the whole is what never was:
/// a mismatch counts once it was seen the same several times in a row.
fn missing<B: Backend>(session: &Session) -> Result<Option<u32>> {
    let mut actual = Actual::read::<B>(session)?;
    let mut looks = 1;
    loop {
        match plan(&actual, known_version::<B>(), B::THREADLESS_KEY) {
            Ok(Plan::Current) => return Ok(None),
            Ok(Plan::Upgrade { from }) => return Ok(Some(from)),
            Err(failure) if looks == MISMATCH_LOOKS => return Err(failure),
            Err(_) => {}
        }
        let again = Actual::read::<B>(session)?;
        looks = if again == actual { looks + 1 } else { 1 };
        actual = again;
    }
}

fn steps_under_lock<B: Backend>(session: &Session, repeat_on: &[&str]) -> Result<()> {
    let mut attempt = 1;
    loop {
        match next_step::<B>(session) {
            Ok(true) => attempt = 1,
            Ok(false) => return Ok(()),
            Err(failure) if failure.has_code(repeat_on) && attempt < STEP_ATTEMPTS => attempt += 1,
            Err(failure) => return Err(failure),
        }
    }
}

/// Runs the next step, if there is one, after looking again: another host may have been quicker.
fn next_step<B: Backend>(session: &Session) -> Result<bool> {
    let Some(from) = missing::<B>(session)? else { return Ok(false) };
    let Some(step) = B::STEPS.get(from as usize) else { return Ok(false) };
    let now = time::now();
    let now_text = now.to_string();
    let mut values = B::fill(&connected_server()?);
    values.push(("now", &now_text));
    for script::Statement { unless, text } in script::statements(step) {
        let text = script::fill(&text, &values);
        let skip = match unless {
            Some(query) => session.finds(&script::fill(&query, &values)),
            None => Ok(false),
        };
        if !skip.map_err(|error| in_step(error, from + 1))? {
            session.run(&text).map_err(|error| in_step(error, from + 1))?;
        }
    }
    record::<B>(session, from + 1, now)?;
    Ok(true)
}

fn in_step(mut error: sql::Error, version: u32) -> Failure {
    error.message = format!("the step to schema version {version} failed: {}", error.message);
    Failure::Sql(error)
}

/// Records that a version's step is done. Version 1 is recorded by its tables: it has no other place.
fn record<B: Backend>(session: &Session, version: u32, now: i64) -> Result<()> {
    if version < 2 {
        return Ok(());
    }
    let parameters = [Value::Integer(version.into()), Value::Integer(now)];
    match Actual::read::<B>(session)?.family("schema_versions", "applied_at") {
        Some(Family::Integer) => session.execute(B::RECORD_VERSION.integer, &parameters)?,
        Some(Family::Temporal) => session.execute(B::RECORD_VERSION.temporal, &parameters)?,
        _ => session.execute(B::RECORD_VERSION.bare, &parameters[..1])?,
    };
    Ok(())
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
