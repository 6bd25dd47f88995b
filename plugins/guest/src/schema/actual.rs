//! Reads the tables that a database has.

use crate::bindings::cofferdam::storage::sql::Rows;
use crate::bindings::cofferdam::storage::types::ErrorKind;
use crate::dialect::Backend;
use crate::error::{Failure, Result};
use crate::rows::Reader;
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
}

/// The tables of ours that exist, their unique keys and the version that is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Actual {
    pub columns: Vec<Column>,
    /// Table, and columns with `,` between them.
    pub unique_keys: Vec<(String, String)>,
    pub recorded: Option<u32>,
}

impl Actual {
    pub fn read<B: Backend>(session: &Session) -> Result<Self> {
        let mut actual = Self {
            columns: columns(&session.query(B::DESCRIBE_COLUMNS, &[])?)?,
            unique_keys: unique_keys(&session.query(B::DESCRIBE_UNIQUE_KEYS, &[])?)?,
            recorded: None,
        };
        // Where it is anything else, `plan` refuses it.
        if actual.family("schema_versions", "version") == Some(Family::Integer) {
            actual.recorded = recorded(&session.query(B::STATEMENTS.recorded_version, &[])?)?;
        }
        Ok(actual)
    }

    pub fn has(&self, table: &str) -> bool {
        self.columns(table).next().is_some()
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
    let [tables, names, families, nullables, optionals] = [
        reader.next("table")?,
        reader.next("name")?,
        reader.next("family")?,
        reader.next("nullable")?,
        reader.next("optional")?,
    ];
    (0..rows.count as usize)
        .map(|row| {
            Ok(Column {
                table: tables.text(row)?.to_owned(),
                name: names.text(row)?.to_owned(),
                family: Family::from_name(families.text(row)?),
                nullable: nullables.integer(row)? != 0,
                optional: optionals.integer(row)? != 0,
            })
        })
        .collect()
}

fn unique_keys(rows: &Rows) -> Result<Vec<(String, String)>> {
    let mut reader = Reader::new("the schema", rows);
    let [tables, columns] = [reader.next("table")?, reader.next("columns")?];
    (0..rows.count as usize).map(|row| Ok((tables.text(row)?.to_owned(), columns.text(row)?.to_owned()))).collect()
}

fn recorded(rows: &Rows) -> Result<Option<u32>> {
    let Some(version) = Reader::new("schema_versions", rows).next("version")?.optional_integer(0)? else {
        return Ok(None);
    };
    match u32::try_from(version) {
        // Version 0 is nothing, which needs no record.
        Ok(version) => Ok((version > 0).then_some(version)),
        Err(_) => Err(Failure::new(
            ErrorKind::SchemaMismatch,
            format!("table schema_versions contains version {version}, which is none: restore a backup"),
        )),
    }
}
