//! Reads the tables that a database has.

use crate::bindings::cofferdam::storage::sql::{ErrorKind, Rows, connected_server};
use crate::bindings::cofferdam::storage::types;
use crate::dialect::{Backend, Grade, Look};
use crate::error::{Failure, Result};
use crate::rows::Reader;
use crate::script::fill;
use crate::session::Session;

/// What a column holds, as far as it matters to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Integer,
    Text,
    Temporal,
    Other,
}

impl Family {
    fn from_name(name: &str) -> Self {
        match name {
            "integer" => Self::Integer,
            "text" => Self::Text,
            "temporal" => Self::Temporal,
            _ => Self::Other,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Integer => "an integer",
            Self::Text => "a text",
            Self::Temporal => "a date and time",
            Self::Other => "of another type",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub table: String,
    pub name: String,
    pub family: Family,
    pub nullable: bool,
    /// An INSERT may leave it out.
    pub optional: bool,
    /// An INSERT that leaves it out leaves something other than null.
    pub fills: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub table: String,
    pub name: String,
    /// With `,` between them.
    pub columns: String,
}

/// In what a table differs from what the operations rely on, as the rest of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub table: String,
    pub grade: Grade,
    pub what: String,
}

/// The tables of ours that exist, their unique keys, what is otherwise than it should be, and the version that is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Actual {
    pub columns: Vec<Column>,
    pub unique_keys: Vec<Key>,
    pub differences: Vec<Difference>,
    /// Whether keys have another order than that of their bytes.
    pub unordered: bool,
    pub recorded: Option<u32>,
}

impl Actual {
    pub fn read<B: Backend>(session: &Session) -> Result<Self> {
        let differences = session.look(&fill(B::DIFFERENCES, &B::fill(&connected_server()?)))?;
        let mut actual = Self {
            columns: columns(&session.query(B::DESCRIBE_COLUMNS, &[])?)?,
            unique_keys: unique_keys(&session.query(B::DESCRIBE_UNIQUE_KEYS, &[])?)?,
            differences: self::differences(&differences)?,
            ..Self::default()
        };
        actual.unordered = actual.differences.iter().any(|difference| difference.grade == Grade::Unordered);
        for look in B::LOOKS.iter().filter(|look| look.grade == Grade::Mend) {
            actual.look(session, look)?;
        }
        for look in B::LOOKS.iter().filter(|look| look.grade != Grade::Mend) {
            let waits = actual.of(look.table).any(|difference| difference.grade == Grade::Mend);
            if !waits {
                actual.look(session, look)?;
            }
        }
        // Where it is anything else, `plan` refuses it.
        if actual.family("schema_versions", "version") == Some(Family::Integer) {
            actual.recorded = recorded(&session.query(B::STATEMENTS.recorded_version, &[])?)?;
        }
        Ok(actual)
    }

    fn look(&mut self, session: &Session, look: &Look) -> Result<()> {
        let is_whole = super::plan::columns_of(look.table).all(|name| self.column(look.table, name).is_some());
        if !is_whole || self.of(look.table).any(|difference| difference.grade == Grade::Refused) {
            return Ok(());
        }
        let what = match session.look(look.query) {
            Ok(rows) if look.rows_count && rows.count > 0 => look.what.to_owned(),
            Ok(_) => return Ok(()),
            Err(error) if error.kind == ErrorKind::InvalidStatement => format!("{} ({})", look.what, error.message),
            Err(error) => return Err(error.into()),
        };
        self.differences.push(Difference { table: look.table.to_owned(), grade: look.grade, what });
        self.unordered |= look.unorders;
        Ok(())
    }

    pub fn has(&self, table: &str) -> bool {
        self.columns(table).next().is_some()
    }

    /// How one table differs.
    pub fn of(&self, table: &str) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(move |difference| difference.table == table)
    }

    pub fn columns(&self, table: &str) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(move |column| column.table == table)
    }

    pub fn column(&self, table: &str, name: &str) -> Option<&Column> {
        self.columns(table).find(|column| column.name == name)
    }

    pub fn family(&self, table: &str, name: &str) -> Option<Family> {
        self.column(table, name).map(|column| column.family)
    }

    /// The version that is recorded, or 1 where there are tables from before versions were recorded.
    pub fn version(&self) -> Option<u32> {
        let tables = self.has("message_states") || self.has("thread_ownerships");
        self.recorded.or(tables.then_some(1))
    }
}

fn columns(rows: &Rows) -> Result<Vec<Column>> {
    let mut reader = Reader::new("the schema", rows);
    let [tables, names, families, nullables, optionals, fills] = [
        reader.next("table")?,
        reader.next("name")?,
        reader.next("family")?,
        reader.next("nullable")?,
        reader.next("optional")?,
        reader.next("fills")?,
    ];
    (0..rows.count as usize)
        .map(|row| {
            Ok(Column {
                table: tables.text(row)?.to_owned(),
                name: names.text(row)?.to_owned(),
                family: Family::from_name(families.text(row)?),
                nullable: nullables.integer(row)? != 0,
                optional: optionals.integer(row)? != 0,
                fills: fills.integer(row)? != 0,
            })
        })
        .collect()
}

fn unique_keys(rows: &Rows) -> Result<Vec<Key>> {
    let mut reader = Reader::new("the schema", rows);
    let [tables, names, columns] = [reader.next("table")?, reader.next("name")?, reader.next("columns")?];
    (0..rows.count as usize)
        .map(|row| {
            let text = |column: &crate::rows::Column<'_>| column.text(row).map(str::to_owned);
            Ok(Key { table: text(&tables)?, name: text(&names)?, columns: text(&columns)? })
        })
        .collect()
}

fn differences(rows: &Rows) -> Result<Vec<Difference>> {
    let mut reader = Reader::new("the schema", rows);
    let [tables, grades, whats] = [reader.next("table")?, reader.next("grade")?, reader.next("what")?];
    (0..rows.count as usize)
        .map(|row| {
            let grade = match grades.text(row)? {
                "refused" => Grade::Refused,
                "unordered" => Grade::Unordered,
                "fixed" => Grade::Fixed,
                "mend" => Grade::Mend,
                _ => Grade::Unwritable,
            };
            Ok(Difference { table: tables.text(row)?.to_owned(), grade, what: whats.text(row)?.to_owned() })
        })
        .collect()
}

fn recorded(rows: &Rows) -> Result<Option<u32>> {
    let Some(version) = Reader::new("schema_versions", rows).next("version")?.optional_integer(0)? else {
        return Ok(None);
    };
    match u32::try_from(version) {
        // Version 0 is nothing, which needs no record.
        Ok(version) => Ok((version > 0).then_some(version)),
        Err(_) => Err(Failure::new(
            types::ErrorKind::SchemaMismatch,
            format!("table schema_versions contains version {version}, which does not exist: restore a backup"),
        )),
    }
}
