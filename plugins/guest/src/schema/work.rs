//! Mends tables and runs steps, one after the other, until nothing is left to do.

use super::actual::{Actual, Family};
use super::plan::{Plan, Work, plan};
use super::{known_version, mismatch, missing};
use crate::bindings::cofferdam::storage::sql::{self, Value, connected_server};
use crate::dialect::{Backend, Mend, Upgrade};
use crate::error::{Failure, Result};
use crate::rows::Reader;
use crate::session::Session;
use crate::{script, time};

/// How often a step starts over where others wrote or ran the same step in between. Each time one of its statements, of
/// which it has a dozen, has got further.
const STEP_ATTEMPTS: usize = 20;

/// Does everything within the transaction that is open, without what acts by itself on changes of rows.
pub(super) fn at_once<B: Backend>(session: &Session, set_aside: &'static str) -> Result<()> {
    // Another host may have been quicker.
    if missing::<B>(session)?.is_none() {
        return Ok(());
    }
    let rows = session.query_long(set_aside, &[])?;
    let mut reader = Reader::new("the schema", &rows);
    let [removes, makes] = [reader.next("what removes it")?, reader.next("what makes it")?];
    for row in 0..rows.count as usize {
        session.run(removes.text(row)?)?;
    }
    let mut done = Vec::new();
    while advance::<B>(session, &mut done)? {}
    for row in (0..rows.count as usize).rev() {
        session.run(makes.text(row)?)?;
    }
    match missing::<B>(session)? {
        None => Ok(()),
        Some(work) => Err(mismatch(format!("{}, also after the upgrade: nothing was changed", work.reason()))),
    }
}

/// Does everything where each change is committed by itself.
pub(super) fn under_lock<B: Backend>(session: &Session, repeat_on: &[&str]) -> Result<()> {
    let (mut attempt, mut done) = (1, Vec::new());
    loop {
        match advance::<B>(session, &mut done) {
            Ok(true) => attempt = 1,
            Ok(false) => return Ok(()),
            Err(failure) if failure.has_code(repeat_on) && attempt < STEP_ATTEMPTS => attempt += 1,
            Err(failure) => return Err(failure),
        }
    }
}

/// Does the next thing, if there is one, after looking again: another host may have been quicker. What was done once and is
/// still to be done is no use doing again.
fn advance<B: Backend>(session: &Session, done: &mut Vec<Work>) -> Result<bool> {
    let Some(work) = missing::<B>(session)? else { return Ok(false) };
    if done.contains(&work) {
        return Err(mismatch(format!("{}, and the upgrade could not change that", work.reason())));
    }
    let now = time::now();
    let (now_text, server) = (now.to_string(), connected_server()?);
    let mut values = B::fill(&server);
    values.push(("now", &now_text));
    // Before anything is changed.
    for step in B::STEPS.iter().skip(work.from.max(1) as usize).filter(|_| work.from > 0) {
        for query in script::refusals(step) {
            let rows = session.look(&script::fill(query, &values))?;
            if rows.count > 0 {
                return Err(mismatch(Reader::new("the schema", &rows).next("reason")?.text(0)?.to_owned()));
            }
        }
    }
    match work.mends.first() {
        Some(mend) => self::mend::<B>(session, mend, &server)?,
        None => step::<B>(session, work.from, now, &values)?,
    }
    done.push(work);
    Ok(true)
}

fn mend<B: Backend>(session: &Session, mend: &Mend, server: &sql::Server) -> Result<()> {
    let rows = session.query_long(B::BLUEPRINT, &[])?;
    let mut reader = Reader::new("the schema", &rows);
    let columns: Vec<_> = (0..rows.columns).map(|_| reader.next("blueprint")).collect::<Result<_>>()?;
    let cells = |row| columns.iter().map(|column| Ok(column.optional_text(row)?.map(str::to_owned))).collect();
    let blueprint: Vec<Vec<Option<String>>> = (0..rows.count as usize).map(cells).collect::<Result<_>>()?;
    let (table, reasons) = (mend.table, mend.reasons.join(", "));
    let statements = B::mend(mend, &blueprint, server)
        .map_err(|why| mismatch(format!("table {table} {why}; the upgrade has to change it, since it {reasons}")))?;
    for text in statements {
        session.run(&text).map_err(|error| match error.kind {
            _ if is_repeated::<B>(&error) => Failure::Sql(error),
            // The whole of the change was undone.
            sql::ErrorKind::Constraint | sql::ErrorKind::Other | sql::ErrorKind::InvalidStatement => mismatch(format!(
                "table {table} cannot be changed, or has rows that prevent it: {}; the upgrade has to change it, \
                 since it \
                 {reasons}",
                error.message
            )),
            _ => Failure::Sql(sql::Error {
                message: format!("rebuilding table {table} failed: {}", error.message),
                ..error
            }),
        })?;
    }
    Ok(())
}

/// Whether another host was quicker. A duplicate tells of rows, not of hosts.
fn is_repeated<B: Backend>(error: &sql::Error) -> bool {
    match (B::UPGRADE, error.code.as_deref()) {
        (Upgrade::NamedLock { repeat_on, .. }, Some(code)) => {
            repeat_on.contains(&code) && error.kind != sql::ErrorKind::Constraint
        }
        _ => false,
    }
}

fn step<B: Backend>(session: &Session, from: u32, now: i64, values: &[(&str, &str)]) -> Result<()> {
    let version = from + 1;
    let Some(step) = B::STEPS.get(from as usize) else { return Ok(()) };
    for script::Statement { unless, text } in script::statements(step) {
        let text = script::fill(&text, values);
        let skip = match unless {
            Some(query) => session.finds(&script::fill(&query, values)),
            None => Ok(false),
        };
        if !skip.map_err(|error| in_step(error, version))? {
            session.run(&text).map_err(|error| in_step(error, version))?;
        }
    }
    record::<B>(session, version, now)
}

fn in_step(mut error: sql::Error, version: u32) -> Failure {
    error.message = format!("the step to schema version {version} failed: {}", error.message);
    Failure::Sql(error)
}

/// Records that a version's step is done, after a look at what it has made. Version 1 is recorded by its tables: it has no
/// other place.
fn record<B: Backend>(session: &Session, version: u32, now: i64) -> Result<()> {
    if version < 2 {
        return Ok(());
    }
    let actual = Actual::read::<B>(session)?;
    if version == known_version::<B>() {
        let recorded = Actual { recorded: Some(version), ..actual.clone() };
        if let Plan::Upgrade(work) = plan(&recorded, version, B::THREADLESS_KEY)? {
            let reason = work.reason();
            return Err(mismatch(format!("after the step to schema version {version} {reason}: it was not recorded")));
        }
    }
    if actual.recorded >= Some(version) {
        return Ok(());
    }
    let parameters = [Value::Integer(version.into()), Value::Integer(now)];
    match actual.family("schema_versions", "applied_at") {
        Some(Family::Integer) => session.execute(B::RECORD_VERSION.integer, &parameters)?,
        Some(Family::Temporal) => session.execute(B::RECORD_VERSION.temporal, &parameters)?,
        _ => session.execute(B::RECORD_VERSION.bare, &parameters[..1])?,
    };
    Ok(())
}
