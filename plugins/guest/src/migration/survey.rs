//! What is in a database, told without changing it.

use super::run;
use crate::bindings::cofferdam::storage::types::ErrorKind;
use crate::bindings::exports::cofferdam::storage::migration::{Overview, TableOverview};
use crate::dialect::Backend;
use crate::error::{Failure, Result};
use crate::rows::Reader;
use crate::schema;
use crate::session::{self, Session};
use crate::table::Table;

/// How many rows a page should have that is read along an index.
const PAGE_ROWS: u32 = 5000;

pub(super) fn survey<B: Backend>() -> Result<Overview> {
    let tables = schema::tables::<B>(&Session::read()?)?;
    let survey = |exists: bool, table: Table, text: &'static str| match exists {
        true => table_survey(table, text),
        false => Ok(EMPTY),
    };
    let mut message_states = survey(tables.message_states, Table::MessageStates, B::MIGRATION.survey_message_states)?;
    if tables.message_states && !tables.is_current() {
        let rows = session::query_long(B::MIGRATION.duplicates, &[])?;
        message_states.duplicates = unsigned(Reader::new("message_states", &rows).next("duplicates")?.integer(0)?);
    }
    let identity = session::query(B::MIGRATION.identity, &[])?;
    let remembering = run::count_tables::<B>(&Session::read()?)?;
    Ok(Overview {
        identity: Reader::new("the server", &identity).next("identity")?.text(0)?.to_owned(),
        schema_version: tables.version,
        message_states,
        thread_ownerships: survey(
            tables.thread_ownerships,
            Table::ThreadOwnerships,
            B::MIGRATION.survey_thread_ownerships,
        )?,
        page_rows: if tables.are_ordered() { PAGE_ROWS } else { B::MIGRATION.legacy_page_rows },
        batch_rows: B::MIGRATION.batch_rows,
        writes_at_a_time: B::MIGRATION.writes_at_a_time,
        last_run: if remembering == run::TABLES { run::last(&Session::read()?)? } else { None },
        remembers: remembering > 0,
    })
}

const EMPTY: TableOverview = TableOverview { rows: 0, oldest: None, newest: None, duplicates: 0, unfit: 0 };

fn table_survey(table: Table, text: &'static str) -> Result<TableOverview> {
    let rows = session::query_long(text, &[])?;
    let mut reader = Reader::new("a survey", &rows);
    let overview = TableOverview {
        rows: unsigned(reader.next("rows")?.integer(0)?),
        oldest: reader.next("oldest")?.optional_integer(0)?,
        newest: reader.next("newest")?.optional_integer(0)?,
        duplicates: 0,
        unfit: unsigned(reader.next("unfit")?.integer(0)?),
    };
    let found = unsigned(reader.next("found")?.integer(0)?);
    if found == overview.rows {
        return Ok(overview);
    }
    // Pages are read along this index: what it does not lead to would be left behind without a word.
    let (table, rows) = (table.name(), overview.rows);
    Err(Failure::new(
        ErrorKind::CorruptData,
        format!(
            "the index over the keys of {table} leads to {found} of its {rows} rows, so lists and pages miss rows: no \
             row \
             is lost, rebuild the index (REINDEX), or restore a backup"
        ),
    ))
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}
