//! Puts rows into a database before operations are measured, and looks at it and cleans it up afterwards.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use cofferdam_tests::harness::mysql::MysqlDatabase;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use rusqlite::Connection;
use tokio::runtime::Runtime;

use crate::driver;
use crate::shared::operation::{Operation, Work};
use crate::shared::rows::{self, NEW_CHANNELS, OLD_ROWS, ROW_DIGITS, ROWS};

/// Rows in one INSERT.
const PAGE: usize = 500;

/// Looks after one contestant's database, on a connection of its own.
pub(super) trait Caretaker {
    /// Puts what the operations will delete.
    fn prepare(&mut self, work: &Work) -> Result<()>;

    /// Whether the operations did what they were asked, and nothing else. Deletes what they inserted.
    fn verify(&mut self, work: &Work) -> Result<()>;
}

/// Whether a table is as it should be: how many rows it has, and how many of them the last write left.
fn check(work: &Work, count: u64, last_writes: u64) -> Result<()> {
    ensure!(count == ROWS, "the table has {count} rows instead of {ROWS}");
    if matches!(work.operation, Operation::UpsertExisting | Operation::UpsertBurst | Operation::OwnershipUpsert) {
        ensure!(last_writes == 1, "the last write is not in the table");
    }
    Ok(())
}

/// The table that an operation writes, and where the number of the write is in it. Empty where it only reads.
fn written(operation: Operation) -> Option<(&'static str, &'static str)> {
    match operation {
        Operation::UpsertExisting | Operation::UpsertBurst | Operation::UpsertNew => {
            Some(("message_states", "last_message_id"))
        }
        Operation::OwnershipUpsert | Operation::Cleanup => Some(("thread_ownerships", "original_user_id")),
        Operation::Get | Operation::OwnershipGet => None,
        Operation::Window | Operation::All | Operation::WindowSorted | Operation::AllSorted => None,
    }
}

/// Counts the rows, and those that were written last by the operation with the last index.
fn count_text(work: &Work, table: &str, column: &str) -> String {
    let (from, number) = (ROW_DIGITS + 1, work.indices.end);
    format!("SELECT COUNT(*), COUNT(CASE WHEN SUBSTR({column}, {from}) = '{number:011}' THEN 1 END) FROM {table}")
}

/// Deletes the rows that upserts inserted: no channel of the table is as great as the new ones.
fn delete_text() -> String {
    format!("DELETE FROM message_states WHERE channel_id >= '{NEW_CHANNELS}'")
}

fn insert_text(rows: usize) -> String {
    let values = vec!["(?, ?, ?, ?, ?, ?)"; rows].join(", ");
    format!(
        "INSERT INTO thread_ownerships (thread_id, original_user_id, created_by, creation_time, created_at, updated_at) \
         VALUES {values}"
    )
}

/// How many rows an insert adds.
fn check_inserted(work: &Work, deleted: u64) -> Result<()> {
    ensure!(deleted == work.count(), "{deleted} rows were inserted instead of {}", work.count());
    Ok(())
}

/// Of a SQLite file.
pub(super) struct SqliteCaretaker {
    connection: Connection,
}

impl SqliteCaretaker {
    pub fn new(path: &Path) -> Result<Self> {
        Ok(Self { connection: driver::sqlite::connect(path)? })
    }

    /// Nobody else is to pay for copying what the caretaker wrote into the file.
    fn checkpoint(&self) -> Result<()> {
        Ok(self.connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))?)
    }
}

impl Caretaker for SqliteCaretaker {
    fn prepare(&mut self, work: &Work) -> Result<()> {
        if work.operation != Operation::Cleanup {
            return Ok(());
        }
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(&insert_text(1))?;
            for old in rows::old_ownerships(work.indices.clone()) {
                insert.execute((
                    old.thread_id,
                    old.original_user_id,
                    old.created_by,
                    old.creation_time,
                    old.created_at,
                    old.updated_at,
                ))?;
            }
        }
        transaction.commit()?;
        self.checkpoint()
    }

    fn verify(&mut self, work: &Work) -> Result<()> {
        let Some((table, column)) = written(work.operation) else { return Ok(()) };
        if work.operation == Operation::UpsertNew {
            check_inserted(work, self.connection.execute(&delete_text(), [])? as u64)?;
            self.checkpoint()?;
        }
        let counts = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let (count, last) = self.connection.query_row(&count_text(work, table, column), [], counts)?;
        check(work, count.unsigned_abs(), last.unsigned_abs())
    }
}

/// Of a database on a server.
pub(super) struct MysqlCaretaker {
    /// Dropped before the runtime that closes it.
    connection: Option<Conn>,
    runtime: Runtime,
    _database: Arc<MysqlDatabase>,
}

impl MysqlCaretaker {
    pub fn new(database: Arc<MysqlDatabase>) -> Result<Self> {
        let runtime = Runtime::new()?;
        let connection = Some(runtime.block_on(database.connect())?);
        Ok(Self { connection, runtime, _database: database })
    }
}

impl Caretaker for MysqlCaretaker {
    fn prepare(&mut self, work: &Work) -> Result<()> {
        let (Operation::Cleanup, Some(connection)) = (work.operation, &mut self.connection) else { return Ok(()) };
        let old: Vec<_> = rows::old_ownerships(work.indices.clone()).collect();
        debug_assert_eq!(old.len() as u64, work.count() * OLD_ROWS);
        self.runtime.block_on(async {
            for page in old.chunks(PAGE) {
                let mut parameters: Vec<mysql_async::Value> = Vec::with_capacity(6 * page.len());
                for old in page {
                    parameters.extend([
                        old.thread_id.as_str().into(),
                        old.original_user_id.as_str().into(),
                        old.created_by.as_str().into(),
                        old.creation_time.into(),
                        old.created_at.into(),
                        old.updated_at.into(),
                    ]);
                }
                connection.exec_drop(insert_text(page.len()), parameters).await?;
            }
            Ok(())
        })
    }

    fn verify(&mut self, work: &Work) -> Result<()> {
        let (Some((table, column)), Some(connection)) = (written(work.operation), &mut self.connection) else {
            return Ok(());
        };
        self.runtime.block_on(async {
            if work.operation == Operation::UpsertNew {
                connection.query_drop(delete_text()).await?;
                check_inserted(work, connection.affected_rows())?;
            }
            let counts: Option<(u64, u64)> = connection.query_first(count_text(work, table, column)).await?;
            let (count, last) = counts.unwrap_or_default();
            check(work, count, last)
        })
    }
}

impl Drop for MysqlCaretaker {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Err(error) = self.runtime.block_on(connection.disconnect())
        {
            eprintln!("a connection was not closed: {error}");
        }
    }
}
