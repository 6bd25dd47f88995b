//! Compares the tables that are there with what they should be.

use super::actual::{Actual, Difference, Family, Key};
use crate::bindings::cofferdam::storage::types::ErrorKind;
use crate::dialect::{Grade, Mend};
use crate::error::{Failure, Result};

/// What there is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing.
    Current,
    Upgrade(Work),
}

/// To mend tables, then to run the steps after a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Work {
    pub from: u32,
    pub mends: Vec<Mend>,
}

impl Work {
    /// Why it has to be done.
    pub fn reason(&self) -> String {
        if self.mends.is_empty() {
            return match self.from {
                0 => "some of our tables are missing".to_owned(),
                version => format!("the tables are those of version {version}"),
            };
        }
        let reasons = self.mends.iter().map(|mend| format!("table {} {}", mend.table, mend.reasons.join(", ")));
        reasons.collect::<Vec<_>>().join("; ")
    }
}

struct Table {
    name: &'static str,
    columns: &'static [(&'static str, Family, Nullable)],
    /// Each of these has to be among the unique keys.
    unique_keys: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Nullable {
    Yes,
    No,
    /// Of no interest, such as in a table that the steps only write once.
    Either,
}

use Family::{Integer, Text};
use Nullable::{Either, No, Yes};

const MESSAGE_STATES: Table = Table {
    name: "message_states",
    columns: &[
        ("id", Integer, No),
        ("channel_id", Text, No),
        ("thread_id", Text, Yes),
        ("last_message_id", Text, No),
        ("last_seen_timestamp", Integer, No),
        ("created_at", Integer, No),
        ("updated_at", Integer, No),
    ],
    unique_keys: &["channel_id,thread_id"],
};

const THREAD_OWNERSHIPS: Table = Table {
    name: "thread_ownerships",
    columns: &[
        ("id", Integer, No),
        ("thread_id", Text, No),
        ("original_user_id", Text, No),
        ("created_by", Text, No),
        ("creation_time", Integer, No),
        ("created_at", Integer, No),
        ("updated_at", Integer, No),
    ],
    unique_keys: &["thread_id"],
};

const ARCHIVE: Table = Table {
    name: "message_states_archive",
    columns: &[
        ("id", Integer, Either),
        ("channel_id", Text, Either),
        ("thread_id", Text, Yes),
        ("last_message_id", Text, Either),
        ("last_seen_timestamp", Integer, Either),
        ("created_at", Integer, Either),
        ("updated_at", Integer, Either),
        ("archived_at", Integer, Either),
    ],
    unique_keys: &[],
};

/// The columns that a table of ours has.
pub(super) fn columns_of(table: &str) -> impl Iterator<Item = &'static str> {
    let found = [MESSAGE_STATES, THREAD_OWNERSHIPS, ARCHIVE].into_iter().find(|known| known.name == table);
    found.into_iter().flat_map(|table| table.columns.iter().map(|column| column.0))
}

/// Whether what is there can be read.
///
/// # Errors
///
/// `schema-mismatch` where the database is newer, or a table is not what it should be.
pub(super) fn readable(actual: &Actual, known: u32) -> Result<()> {
    let recorded = actual.recorded.unwrap_or(0);
    if recorded > known {
        return mismatch(format!(
            "the database has schema version {recorded}, this backend knows {known}: use a newer backend"
        ));
    }
    first(actual, &[Grade::Refused])?;
    for table in [MESSAGE_STATES, THREAD_OWNERSHIPS, ARCHIVE] {
        if actual.has(table.name) {
            table.compare(actual)?;
        }
    }
    Ok(())
}

/// What there is to do to bring the database to version `known`.
///
/// # Errors
///
/// `schema-mismatch` where the database is newer, or a table is neither what it should be nor can be made so.
pub(super) fn plan(actual: &Actual, known: u32, threadless_key: &'static str) -> Result<Plan> {
    readable(actual, known)?;
    first(actual, &[Grade::Unwritable, Grade::Unordered])?;
    let mut mends = Vec::new();
    for table in [MESSAGE_STATES, THREAD_OWNERSHIPS, ARCHIVE] {
        if !actual.has(table.name) {
            continue;
        }
        let ours = |name: &str| table.columns.iter().any(|column| column.0 == name);
        foreign_columns(actual, table.name, ours)?;
        let mend = table.mend(actual, threadless_key);
        if mend.reasons.is_empty() {
            continue;
        }
        if table.name == ARCHIVE.name {
            return mismatch(format!("table {} {}: {RESTORE}", table.name, mend.reasons.join(", ")));
        }
        mends.push(mend);
    }
    if actual.has("schema_versions") {
        versions(actual)?;
    }
    let recorded = actual.recorded.unwrap_or(0);
    // The tables of version 1 are created one after the other, and the old bot records the version before it creates any,
    // so that only both tables together are version 1.
    let mut from = match actual.has(MESSAGE_STATES.name) && actual.has(THREAD_OWNERSHIPS.name) {
        true if recorded < 2 => 1,
        true => recorded,
        false => 0,
    };
    if recorded >= 2 {
        for table in [MESSAGE_STATES, THREAD_OWNERSHIPS, ARCHIVE] {
            if !actual.has(table.name) {
                return mismatch(format!(
                    "table {} is missing though the schema's version is {recorded}: restore a backup",
                    table.name
                ));
            }
        }
        // What is recorded was not done, or undone: its step does it again.
        if !mends.is_empty() || !actual.has_key(MESSAGE_STATES.name, threadless_key) {
            from = 1;
        }
    }
    if from == known {
        return Ok(Plan::Current);
    }
    first(actual, &[Grade::Fixed])?;
    Ok(Plan::Upgrade(Work { from, mends }))
}

/// What an operator should know of keys that are not ours: a write that collides with one of them is refused.
pub(super) fn remarks(actual: &Actual, threadless_key: &str) -> Vec<String> {
    let tables = [(MESSAGE_STATES, &["channel_id", "thread_id"][..]), (THREAD_OWNERSHIPS, &["thread_id"][..])];
    let mut remarks = Vec::new();
    for (table, identity) in tables {
        for key in actual.unique_keys.iter().filter(|key| key.table == table.name && key.columns != threadless_key) {
            let columns: Vec<&str> = key.columns.split(',').collect();
            // Whatever includes what tells rows apart tells them apart too, and so does a null.
            let tells_apart = identity.iter().all(|column| columns.contains(column)) || columns.contains(&"id");
            let is_null = |name: &&str| {
                let column = actual.column(table.name, name).filter(|column| column.nullable && !column.fills);
                column.is_some_and(|column| columns_of(table.name).all(|ours| ours != column.name))
            };
            if !tells_apart && !columns.iter().any(is_null) {
                remarks.push(format!(
                    "unique key {} of table {} binds {}: a row that is equal to another one there cannot be written",
                    key.name, table.name, key.columns
                ));
            }
        }
    }
    remarks
}

/// The first difference of one of these grades.
fn first(actual: &Actual, grades: &[Grade]) -> Result<()> {
    match actual.differences.iter().find(|difference| grades.contains(&difference.grade)) {
        None => Ok(()),
        Some(Difference { table, what, .. }) if columns_of(table).next().is_some() || table == "schema_versions" => {
            mismatch(format!("table {table} {what}"))
        }
        Some(Difference { table, what, .. }) => mismatch(format!("{table} {what}")),
    }
}

impl Table {
    fn compare(&self, actual: &Actual) -> Result<()> {
        let table = self.name;
        for (name, family, _) in self.columns {
            let Some(column) = actual.column(table, name) else {
                return mismatch(format!("table {table} has no column {name}: {RESTORE}"));
            };
            if column.family != *family {
                let (found, needed) = (column.family.name(), family.name());
                return mismatch(format!("column {name} of {table} is {found}, not {needed}: {RESTORE}"));
            }
        }
        Ok(())
    }

    /// What there is to be mended; nothing without a reason.
    fn mend(&self, actual: &Actual, threadless_key: &'static str) -> Mend {
        let mut mend = Mend { table: self.name, lacks: Vec::new(), drops: Vec::new(), reasons: Vec::new() };
        let differences = actual.of(self.name).filter(|difference| difference.grade == Grade::Mend);
        mend.reasons.extend(differences.map(|difference| difference.what.clone()));
        for (name, _, nullable) in self.columns {
            let found = actual.column(self.name, name).is_some_and(|column| column.nullable);
            if *nullable != Either && found != (*nullable == Yes) {
                let found = if found { "allows" } else { "does not allow" };
                mend.reasons.push(format!("{found} null in column {name}"));
            }
        }
        for columns in self.unique_keys {
            if !actual.has_key(self.name, columns) {
                mend.lacks.push(columns);
                mend.reasons.push(format!("has no unique key over {columns}"));
            }
        }
        let threadless = (self.name == MESSAGE_STATES.name).then_some(threadless_key);
        for ours in self.unique_keys.iter().copied().chain(threadless) {
            for key in actual.unique_keys.iter().filter(|key| key.table == self.name && key.blurs(ours)) {
                mend.drops.push(key.name.clone());
                mend.reasons.push(format!("has key {}, which distinguishes fewer values than {ours}", key.name));
            }
        }
        mend
    }
}

impl Actual {
    fn has_key(&self, table: &str, columns: &str) -> bool {
        self.unique_keys.iter().any(|key| key.table == table && key.columns == columns)
    }
}

impl Key {
    /// Whether it binds the same columns as a key of ours, some of them by a prefix or not byte for byte.
    fn blurs(&self, ours: &str) -> bool {
        fn plain(key: &str) -> (Vec<&str>, Option<&str>) {
            let (columns, rows) =
                key.split_once(" where ").map_or((key, None), |(columns, rows)| (columns, Some(rows)));
            (columns.split(',').map(|column| column.split([' ', '(']).next().unwrap_or_default()).collect(), rows)
        }
        self.columns != ours && plain(&self.columns) == plain(ours)
    }
}

const RESTORE: &str = "restore a backup, or correct the table by hand";

fn versions(actual: &Actual) -> Result<()> {
    match actual.family("schema_versions", "version") {
        Some(Integer) => {}
        Some(_) => return mismatch(format!("column version of schema_versions is not an integer: {RESTORE}")),
        None => return mismatch(format!("table schema_versions has no column version: {RESTORE}")),
    }
    // An `applied_at` that is neither number nor time is written as one that is not ours: left out, if it may be.
    let ours = |name: &str| {
        name == "version"
            || name == "applied_at"
                && matches!(actual.family("schema_versions", name), Some(Integer | Family::Temporal))
    };
    foreign_columns(actual, "schema_versions", ours)
}

/// Refuses columns that are not ours and that an INSERT may not leave out.
fn foreign_columns(actual: &Actual, table: &str, ours: impl Fn(&str) -> bool) -> Result<()> {
    match actual.columns(table).find(|column| !ours(&column.name) && !column.optional) {
        None => Ok(()),
        Some(column) => mismatch(format!(
            "column {} of {table} is unknown and has no default, so no row can be written: give it a default",
            column.name
        )),
    }
}

fn mismatch<T>(message: String) -> Result<T> {
    Err(Failure::new(ErrorKind::SchemaMismatch, message))
}

#[cfg(test)]
mod tests;
