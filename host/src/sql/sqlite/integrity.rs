//! Damage that ordinary statements do not meet, in SQLite's own words.

use std::path::Path;

use rusqlite::Connection;

use crate::sql::error::{ErrorKind, Result, SqlError};

/// The most findings that SQLite is asked for.
const FINDINGS: &str = "PRAGMA integrity_check(1000)";

/// The memory for pages meanwhile: 16 MiB, as a pragma has it.
const CACHE: i64 = -16_384;

/// How many of them a message has.
const SHOWN: usize = 3;

/// Looks through the whole file: every page, and every row in every index of its table. What is found, or `ok`.
pub(super) fn look(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    // Rows are looked up in indexes all over: what does not fit is read again and again.
    let before: i64 = connection.query_row("PRAGMA cache_size", [], |row| row.get(0))?;
    connection.pragma_update(None, "cache_size", CACHE)?;
    let findings = findings(connection);
    connection.pragma_update(None, "cache_size", before)?;
    findings
}

fn findings(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(FINDINGS)?;
    let mut rows = statement.raw_query();
    let mut findings = Vec::new();
    while let Some(row) = rows.next()? {
        findings.push(String::from_utf8_lossy(row.get_ref(0)?.as_bytes()?).into_owned());
    }
    Ok(findings)
}

/// What the findings in this file come to.
///
/// # Errors
///
/// [`ErrorKind::CorruptData`] where they tell of damage.
pub(super) fn judge(path: &Path, findings: Result<Vec<String>>) -> Result<()> {
    let damage = match findings {
        // SQLite gave up.
        Err(error) if error.kind == ErrorKind::CorruptData => vec![error.message],
        findings => findings?.into_iter().filter(|finding| finding != "ok" && !is_of_a_value(finding)).collect(),
    };
    let Some(first) = damage.first() else { return Ok(()) };
    let mut words = first.trim().to_owned();
    for finding in damage.iter().take(SHOWN).skip(1) {
        words = format!("{words}; {}", finding.trim());
    }
    if damage.len() > SHOWN {
        words = format!("{words}; and {} more", damage.len() - SHOWN);
    }
    let path = path.display();
    let (code, cure) = match damage.iter().all(|finding| is_of_an_index(finding)) {
        true => (
            "SQLITE_CORRUPT_INDEX",
            format!("no row is lost, rebuild the indexes with `sqlite3 {path} REINDEX`, or restore a backup"),
        ),
        false => (
            "SQLITE_CORRUPT",
            format!("restore a backup, or recover what can still be read with `sqlite3 {path} .recover`"),
        ),
    };
    Err(SqlError {
        code: Some(code.to_owned()),
        ..SqlError::new(ErrorKind::CorruptData, format!("the database file {path} is damaged ({words}): {cure}"))
    })
}

/// Whether a value breaks a rule of its column, which is no damage of the file: of our tables, lists and migrations tell.
fn is_of_a_value(finding: &str) -> bool {
    finding.contains(" value in ") || finding.starts_with("CHECK constraint failed in ")
}

/// Whether the table is whole, and only its index is not.
fn is_of_an_index(finding: &str) -> bool {
    [" missing from index ", "wrong # of entries in index ", "non-unique entry in index ", " values differ from index "]
        .iter()
        .any(|words| finding.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(findings: &[&str]) -> Result<()> {
        judge(Path::new("/x.db"), Ok(findings.iter().map(|finding| (*finding).to_owned()).collect()))
    }

    #[test]
    fn a_value_that_breaks_a_rule_is_no_damage() {
        assert!(judged(&["ok"]).is_ok());
        assert!(judged(&["NULL value in t.c", "CHECK constraint failed in t", "TEXT value in t.c"]).is_ok());
    }

    #[test]
    fn an_index_is_rebuilt_and_a_table_is_restored() {
        let error = judged(&["row 3 missing from index i", "wrong # of entries in index i"]).unwrap_err();
        assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::CorruptData, Some("SQLITE_CORRUPT_INDEX")));
        assert!(error.message.contains("row 3 missing from index i; wrong # of entries in index i"), "{error}");
        assert!(error.message.contains("`sqlite3 /x.db REINDEX`"), "{error}");
        let error = judged(&["row 3 missing from index i", "Tree 2 page 2: btreeInitPage() returns error code 11"]);
        let error = error.unwrap_err();
        assert_eq!(error.code.as_deref(), Some("SQLITE_CORRUPT"));
        assert!(error.message.contains(".recover"), "{error}");
    }

    #[test]
    fn of_many_findings_a_message_has_the_first() {
        let error = judged(&["a", "b", "c", "d", "e"]).unwrap_err();
        assert!(error.message.contains("(a; b; c; and 2 more)"), "{error}");
    }

    #[test]
    fn a_look_that_damage_ended_is_damage_and_any_other_error_is_itself() {
        let damaged = judge(Path::new("/x.db"), Err(SqlError::new(ErrorKind::CorruptData, "malformed"))).unwrap_err();
        assert!(damaged.message.contains("(malformed)"), "{damaged}");
        assert_eq!(judge(Path::new("/x.db"), Err(SqlError::timeout("it"))), Err(SqlError::timeout("it")));
    }
}
