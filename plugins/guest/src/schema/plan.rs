//! Compares the tables that are there with what they should be.

use super::actual::{Actual, Family};
use crate::bindings::cofferdam::storage::types::ErrorKind;
use crate::error::{Failure, Result};

/// What there is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing.
    Current,
    /// To run the steps after this version.
    Upgrade { from: u32 },
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

/// What there is to do to bring the database to version `known`.
///
/// # Errors
///
/// `schema-mismatch` where the database is newer, or a table is not what its version says.
pub(super) fn plan(actual: &Actual, known: u32, threadless_key: &str) -> Result<Plan> {
    let recorded = actual.recorded.unwrap_or(0);
    if recorded > known {
        return mismatch(format!(
            "the database has schema version {recorded}, this backend knows {known}: use a newer backend"
        ));
    }
    for table in [MESSAGE_STATES, THREAD_OWNERSHIPS, ARCHIVE] {
        if actual.has(table.name) {
            table.compare(actual)?;
        }
    }
    if actual.has("schema_versions") {
        versions(actual)?;
    }
    if recorded < 2 {
        // The tables of version 1 are created one after the other, and the old bot records the version before it
        // creates any, so that only both tables together are version 1.
        let complete = actual.has(MESSAGE_STATES.name) && actual.has(THREAD_OWNERSHIPS.name);
        return Ok(Plan::Upgrade { from: u32::from(complete) });
    }
    for table in [MESSAGE_STATES, THREAD_OWNERSHIPS, ARCHIVE] {
        if !actual.has(table.name) {
            return mismatch(format!(
                "table {} is missing though the schema's version is {recorded}: restore a backup",
                table.name
            ));
        }
    }
    unique_key(actual, MESSAGE_STATES.name, threadless_key)?;
    if recorded < known { Ok(Plan::Upgrade { from: recorded }) } else { Ok(Plan::Current) }
}

impl Table {
    fn compare(&self, actual: &Actual) -> Result<()> {
        let table = self.name;
        for (name, family, nullable) in self.columns {
            let Some(column) = actual.column(table, name) else {
                return mismatch(format!("table {table} has no column {name}: {RESTORE}"));
            };
            if column.family != *family {
                let (found, needed) = (column.family.name(), family.name());
                return mismatch(format!("column {name} of {table} is {found}, not {needed}: {RESTORE}"));
            }
            if *nullable != Either && column.nullable != (*nullable == Yes) {
                let found = if column.nullable { "allows" } else { "does not allow" };
                return mismatch(format!("column {name} of {table} {found} null: {RESTORE}"));
            }
        }
        let ours = |name: &str| self.columns.iter().any(|column| column.0 == name);
        foreign_columns(actual, table, ours)?;
        self.unique_keys.iter().try_for_each(|columns| unique_key(actual, table, columns))
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
            "column {} of {table} is unknown and has no default, so that no row can be written: give it one",
            column.name
        )),
    }
}

fn unique_key(actual: &Actual, table: &str, columns: &str) -> Result<()> {
    if actual.unique_keys.iter().any(|key| key.0 == table && key.1 == columns) {
        return Ok(());
    }
    mismatch(format!("table {table} has no unique key over {columns}: {RESTORE}"))
}

fn mismatch<T>(message: String) -> Result<T> {
    Err(Failure::new(ErrorKind::SchemaMismatch, message))
}

#[cfg(test)]
mod tests {
    use super::super::actual::Column;
    use super::*;

    const THREADLESS: &str = "channel_id where thread_id is null";

    /// A database with these tables as they should be.
    fn database(tables: &[Table], recorded: Option<u32>) -> Actual {
        let mut actual = Actual { recorded, ..Actual::default() };
        for table in tables {
            for (name, family, nullable) in table.columns {
                add(&mut actual, table.name, name, *family, *nullable != No, true);
            }
            for key in table.unique_keys {
                actual.unique_keys.push((table.name.to_owned(), (*key).to_owned()));
            }
        }
        if recorded.is_some() {
            add(&mut actual, "schema_versions", "version", Integer, false, true);
        }
        if recorded >= Some(2) {
            actual.unique_keys.push(("message_states".to_owned(), THREADLESS.to_owned()));
        }
        actual
    }

    fn add(actual: &mut Actual, table: &str, name: &str, family: Family, nullable: bool, optional: bool) {
        let (table, name) = (table.to_owned(), name.to_owned());
        actual.columns.push(Column { table, name, family, nullable, optional });
    }

    fn plan(actual: &Actual) -> Result<Plan> {
        super::plan(actual, 2, THREADLESS)
    }

    fn message(actual: &Actual) -> String {
        match plan(actual) {
            Err(Failure::Own(error)) if error.kind == ErrorKind::SchemaMismatch => error.message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_is_version_0_and_both_tables_are_version_1() {
        for recorded in [None, Some(1)] {
            let plan_of = |tables: &[Table]| plan(&database(tables, recorded)).unwrap();
            assert_eq!(plan_of(&[]), Plan::Upgrade { from: 0 });
            assert_eq!(plan_of(&[MESSAGE_STATES]), Plan::Upgrade { from: 0 });
            assert_eq!(plan_of(&[THREAD_OWNERSHIPS]), Plan::Upgrade { from: 0 });
            assert_eq!(plan_of(&[MESSAGE_STATES, THREAD_OWNERSHIPS]), Plan::Upgrade { from: 1 });
            assert_eq!(plan_of(&[MESSAGE_STATES, THREAD_OWNERSHIPS, ARCHIVE]), Plan::Upgrade { from: 1 });
        }
        assert_eq!(database(&[], None).version(), None);
        assert_eq!(database(&[MESSAGE_STATES], None).version(), Some(1));
        assert_eq!(database(&[MESSAGE_STATES], Some(2)).version(), Some(2));
    }

    #[test]
    fn a_complete_version_2_is_current() {
        let complete = database(&[MESSAGE_STATES, THREAD_OWNERSHIPS, ARCHIVE], Some(2));
        assert_eq!(plan(&complete).unwrap(), Plan::Current);
    }

    #[test]
    fn what_is_missing_from_version_2_is_named() {
        assert!(
            message(&database(&[MESSAGE_STATES, ARCHIVE], Some(2))).starts_with("table thread_ownerships is missing")
        );
        assert!(message(&database(&[MESSAGE_STATES, THREAD_OWNERSHIPS], Some(2))).contains("message_states_archive"));
        let mut database = database(&[MESSAGE_STATES, THREAD_OWNERSHIPS, ARCHIVE], Some(2));
        database.unique_keys.retain(|key| key.1 != THREADLESS);
        assert!(message(&database).starts_with("table message_states has no unique key over channel_id where"));
    }

    #[test]
    fn a_newer_version_is_refused_whatever_its_tables_are() {
        assert_eq!(
            message(&database(&[], Some(3))),
            "the database has schema version 3, this backend knows 2: use a newer backend"
        );
    }

    #[test]
    fn a_table_that_is_not_what_it_should_be_is_named_with_its_column() {
        let good = database(&[MESSAGE_STATES, THREAD_OWNERSHIPS], None);

        let mut database = good.clone();
        database.columns.retain(|column| column.name != "last_message_id");
        assert!(message(&database).starts_with("table message_states has no column last_message_id"));

        let mut database = good.clone();
        database.columns[4].family = Text;
        assert!(
            message(&database).starts_with("column last_seen_timestamp of message_states is a text, not an integer")
        );

        let mut database = good.clone();
        database.columns[1].nullable = true;
        assert!(message(&database).starts_with("column channel_id of message_states allows null"));

        let mut database = good.clone();
        database.columns[2].nullable = false;
        assert!(message(&database).starts_with("column thread_id of message_states does not allow null"));

        let mut database = good.clone();
        database.unique_keys.retain(|key| key.0 != "thread_ownerships");
        assert!(message(&database).starts_with("table thread_ownerships has no unique key over thread_id"));
    }

    #[test]
    fn a_foreign_column_is_refused_only_where_it_must_be_given() {
        let mut database = database(&[MESSAGE_STATES, THREAD_OWNERSHIPS], Some(1));
        add(&mut database, "message_states", "note", Text, true, true);
        add(&mut database, "schema_versions", "applied_at", Family::Temporal, false, false);
        assert_eq!(plan(&database).unwrap(), Plan::Upgrade { from: 1 });
        add(&mut database, "schema_versions", "author", Text, false, false);
        assert!(message(&database).starts_with("column author of schema_versions is unknown"));
    }

    #[test]
    fn a_table_of_versions_without_a_number_is_refused() {
        let mut database = database(&[], None);
        add(&mut database, "schema_versions", "name", Text, true, true);
        assert!(message(&database).starts_with("table schema_versions has no column version"));
        add(&mut database, "schema_versions", "version", Text, false, true);
        assert!(message(&database).starts_with("column version of schema_versions is not an integer"));
    }
}
