//! The tables of a spool's file and of its copy: making, reading and judging them, and what becomes of the files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Row};

use super::entry::{Columns, SpoolEntry, SpooledWrite};
use super::error::SpoolError;
use crate::files::with_suffix;

/// The format of the file, in its `user_version`.
const FORMAT: i64 = 1;

/// The size of SQLite's pages where nobody asks for another one.
pub(super) const PAGE: usize = 4096;

/// Numbers are never used again, so that an entry that was replaced while it was on its way to the database is told
/// from the one that replaced it.
pub(super) const SCHEMA: &str = "
CREATE TABLE spooled_writes (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL,
    key TEXT NOT NULL,
    thread TEXT NULL,
    first TEXT NOT NULL,
    second TEXT NOT NULL,
    time INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    checksum BLOB NOT NULL
);
CREATE TABLE rejected_writes (
    sequence INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    key TEXT NOT NULL,
    thread TEXT NULL,
    first TEXT NOT NULL,
    second TEXT NOT NULL,
    time INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    checksum BLOB NOT NULL,
    reason TEXT NOT NULL
);
PRAGMA user_version = 1;
";

pub(super) const COLUMNS: &str =
    "sequence, kind, key, thread, first, second, time, created_at, updated_at, accepted_at, checksum";

pub(super) const REJECT: &str =
    "INSERT OR REPLACE INTO rejected_writes SELECT *, ? FROM spooled_writes WHERE sequence = ?";

pub(super) const FORGET: &str = "DELETE FROM rejected_writes WHERE sequence = ?";

const INSERT: &str = "
INSERT INTO spooled_writes
    (sequence, kind, key, thread, first, second, time, created_at, updated_at, accepted_at, checksum)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Writes that the database refused for good, each with its reason.
pub(super) type Rejected = Vec<(SpoolEntry, String)>;

/// Where a damaged file was put, and how many writes could not be read.
pub(super) type Damaged = (PathBuf, u64);

/// What was found in a file.
#[derive(Default)]
pub(super) struct Content {
    pub entries: Vec<SpoolEntry>,
    pub rejected: Rejected,
    /// Rows that are not what was written, of either kind.
    pub unreadable: u64,
    /// The greatest number that was ever given.
    pub last: i64,
}

impl Content {
    /// Whether all of it could be read, up to the number `last` at least.
    pub fn is_whole(&self, last: i64) -> bool {
        self.unreadable == 0 && self.last >= last
    }
}

/// Adds a write under its number, or under the next one, and returns the number.
pub(super) fn insert(
    connection: &Connection,
    sequence: Option<i64>,
    write: &SpooledWrite,
    accepted_at: i64,
) -> rusqlite::Result<i64> {
    let row = Columns::of(write, accepted_at);
    connection.prepare_cached(INSERT)?.execute(rusqlite::params![
        sequence,
        row.kind,
        row.key,
        row.thread,
        row.first,
        row.second,
        row.time,
        row.created_at,
        row.updated_at,
        row.accepted_at,
        row.checksum()
    ])?;
    Ok(connection.last_insert_rowid())
}

/// Reads the writes that the database refused, and returns how many of them are not what was written.
pub(super) fn read_rejected(connection: &Connection, rejected: &mut Rejected) -> rusqlite::Result<u64> {
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS}, reason FROM rejected_writes ORDER BY sequence"))?;
    let mut rows = statement.query(())?;
    let mut unreadable = 0;
    while let Some(row) = rows.next()? {
        match (entry(row), row.get(11)) {
            (Ok(Some(entry)), Ok(reason)) => rejected.push((entry, reason)),
            _ => unreadable += 1,
        }
    }
    Ok(unreadable)
}

/// Opens a file for writing with the least that has to hold: what is acknowledged is on the disk.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(2))?;
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 1048576;")?;
    Ok(connection)
}

/// Whether closing leaves the log as it is. SQLite would remove it, with all that it does not believe in.
pub(super) fn keep_log(connection: &Connection, keep: bool) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map(drop)
}

/// `None` where there is no file, or an empty one.
pub(super) fn read(path: &Path) -> Result<Option<(Connection, Content)>, SpoolError> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > 0 => {}
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(SpoolError::io(path, &error)),
        _ => return Ok(None),
    }
    let wrong = |error: rusqlite::Error| SpoolError::sqlite(path, &error);
    let connection = connect(path).map_err(wrong)?;
    keep_log(&connection, true).map_err(wrong)?;
    judge(path, &connection)?;
    let check: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0)).map_err(wrong)?;
    let mut content = read_all(&connection).map_err(wrong)?;
    if check != "ok" {
        content.unreadable = content.unreadable.max(1);
    }
    Ok(Some((connection, content)))
}

/// Makes a file that holds this, all of it or nothing.
pub(super) fn create(path: &Path, content: &Content) -> Result<Connection, SpoolError> {
    let make = || {
        let connection = connect(path)?;
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA}"))?;
        for (SpoolEntry { sequence, accepted_at, write }, reason) in &content.rejected {
            insert(&connection, Some(*sequence), write, *accepted_at)?;
            connection.prepare_cached(REJECT)?.execute((reason, sequence))?;
        }
        connection.execute("DELETE FROM spooled_writes", ())?;
        for SpoolEntry { sequence, accepted_at, write } in &content.entries {
            insert(&connection, Some(*sequence), write, *accepted_at)?;
        }
        // Numbers are never used again.
        connection.execute("DELETE FROM sqlite_sequence WHERE name = 'spooled_writes'", ())?;
        if content.last > 0 {
            connection.execute("INSERT INTO sqlite_sequence VALUES ('spooled_writes', ?)", [content.last])?;
        }
        connection.execute_batch("COMMIT")?;
        Ok(connection)
    };
    make().map_err(|error| SpoolError::sqlite(path, &error))
}

/// Whether a file that SQLite can read is a spool of this version.
pub(super) fn judge(path: &Path, connection: &Connection) -> Result<(), SpoolError> {
    let wrong = |error: rusqlite::Error| SpoolError::sqlite(path, &error);
    let (all, ours): (i64, i64) = connection
        .query_row(
            "SELECT count(*), count(CASE WHEN name IN ('spooled_writes', 'rejected_writes') THEN 1 END) FROM sqlite_master",
            (),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map_err(wrong)?;
    let (path, reason) = (path.to_owned(), "it is a database without its tables".to_owned());
    match (all, ours) {
        (_, 2) => {}
        // As a spool is whose log, which has everything yet, is damaged.
        (0, _) => return Err(SpoolError::Unusable { path, kind: crate::ErrorKind::CorruptData, reason }),
        _ => return Err(SpoolError::NotSpool { path, reason }),
    }
    let path = path.as_path();
    let version: i64 = connection.query_row("PRAGMA user_version", (), |row| row.get(0)).map_err(wrong)?;
    if version > FORMAT {
        return Err(SpoolError::Newer { path: path.to_owned(), version, known: FORMAT });
    }
    Ok(())
}

pub(super) fn read_all(connection: &Connection) -> rusqlite::Result<Content> {
    let mut content = Content::default();
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM spooled_writes ORDER BY sequence"))?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        match entry(row) {
            Ok(Some(entry)) => content.entries.push(entry),
            Ok(None) | Err(_) => content.unreadable += 1,
        }
    }
    content.unreadable += read_rejected(connection, &mut content.rejected)?;
    content.last = last_number(connection)?.unwrap_or_default();
    Ok(content)
}

/// The greatest number that was ever given; `None` for none.
pub(super) fn last_number(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection
        .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'spooled_writes'", (), |row| row.get(0))
        .optional()
}

/// `None` where the row is not what was written.
pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<Option<SpoolEntry>> {
    let (key, thread): (String, Option<String>) = (row.get(2)?, row.get(3)?);
    let (first, second): (String, String) = (row.get(4)?, row.get(5)?);
    let columns = Columns {
        kind: row.get(1)?,
        key: &key,
        thread: thread.as_deref(),
        first: &first,
        second: &second,
        time: row.get(6)?,
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
        accepted_at: row.get(9)?,
    };
    if row.get_ref(10)?.as_blob()? != columns.checksum() {
        return Ok(None);
    }
    let (sequence, accepted_at) = (row.get(0)?, columns.accepted_at);
    Ok(columns.write().map(|write| SpoolEntry { sequence, accepted_at, write }))
}

/// Removes a file with its log.
pub(super) fn remove(file: &Path) -> std::io::Result<()> {
    for suffix in ["-wal", "-shm", "-journal", ""] {
        match std::fs::remove_file(with_suffix(file, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Keeps a file with its log under another name, which is returned; `None` where there is none.
pub(super) fn move_aside(path: &Path) -> std::io::Result<Option<PathBuf>> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let aside = with_suffix(path, &format!(".damaged-{}", now.as_millis()));
    let mut kept = None;
    for suffix in ["-wal", ""] {
        let from = with_suffix(path, suffix);
        if from.is_file() {
            std::fs::rename(&from, with_suffix(&aside, suffix))?;
            kept = Some(aside.clone());
        }
    }
    // An index of the log that no longer belongs to it.
    let _ = std::fs::remove_file(with_suffix(path, "-shm"));
    Ok(kept)
}
