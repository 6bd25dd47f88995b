//! What is in a database, told without changing it.

use super::run;
use crate::bindings::cofferdam::storage::sql::Access;
use crate::bindings::exports::cofferdam::storage::migration::{Overview, TableOverview};
use crate::dialect::Backend;
use crate::error::Result;
use crate::rows::Reader;
use crate::schema;
use crate::session::{self, Session};

/// How many rows a page should have that is read along an index.
const PAGE_ROWS: u32 = 5000;

pub(super) fn survey<B: Backend>() -> Result<Overview> {
    let tables = schema::tables::<B>(&Session::read()?)?;
    let table = |exists: bool, text: &'static str| if exists { table_survey(text) } else { Ok(EMPTY) };
    let mut message_states = table(tables.message_states, B::MIGRATION.survey_message_states)?;
    if tables.message_states && !tables.is_current() {
        let rows = session::query_long(B::MIGRATION.duplicates, &[])?;
        message_states.duplicates = unsigned(Reader::new("message_states", &rows).next("duplicates")?.integer(0)?);
    }
    let identity = session::query(B::MIGRATION.identity, &[])?;
    Ok(Overview {
        identity: Reader::new("the server", &identity).next("identity")?.text(0)?.to_owned(),
        schema_version: tables.version,
        message_states,
        thread_ownerships: table(tables.thread_ownerships, B::MIGRATION.survey_thread_ownerships)?,
        page_rows: if tables.are_ordered() { PAGE_ROWS } else { B::MIGRATION.legacy_page_rows },
        batch_rows: B::MIGRATION.batch_rows,
        writes_at_a_time: B::MIGRATION.writes_at_a_time,
        last_run: if run::has_tables::<B>(Access::Read)? { run::last(&Session::read()?)? } else { None },
    })
}

const EMPTY: TableOverview = TableOverview { rows: 0, oldest: None, newest: None, duplicates: 0, unfit: 0 };

fn table_survey(text: &'static str) -> Result<TableOverview> {
    let rows = session::query_long(text, &[])?;
    let mut reader = Reader::new("a survey", &rows);
    Ok(TableOverview {
        rows: unsigned(reader.next("rows")?.integer(0)?),
        oldest: reader.next("oldest")?.optional_integer(0)?,
        newest: reader.next("newest")?.optional_integer(0)?,
        duplicates: 0,
        unfit: unsigned(reader.next("unfit")?.integer(0)?),
    })
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}
