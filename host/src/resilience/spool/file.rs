//! The spool's file: opening it for one process alone, reading and writing it.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};

use super::copy::{self, SpoolCopy};
use super::entry::{Columns, SpoolEntry, SpooledWrite};
use super::error::SpoolError;
use super::salvage;
use crate::files::{Whereabouts, with_suffix};

/// The format of the file, in its `user_version`.
const FORMAT: i64 = 1;

/// How long to wait for one who has the spool and is about to end, such as the bot before a restart.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// The size of SQLite's pages where nobody asks for another one.
pub(super) const PAGE: usize = 4096;

/// Numbers are never used again, so that an entry that was replaced while it was on its way to the database is told
/// from the one that replaced it.
const SCHEMA: &str = "
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

const REJECT: &str = "INSERT OR REPLACE INTO rejected_writes SELECT *, ? FROM spooled_writes WHERE sequence = ?";

const FORGET: &str = "DELETE FROM rejected_writes WHERE sequence = ?";

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

/// A spool that this process alone has.
pub(super) struct SpoolFile {
    pub connection: Connection,
    copy: SpoolCopy,
    /// Where a damaged file was put, and how many writes could not be read.
    pub damaged: Option<Damaged>,
    /// Held as long as the file is open. Not SQLite's own lock, so that others may look at the file meanwhile.
    lock: Option<Lock>,
}

/// The file beside the spool that says who has it, and the number of the last write that was acknowledged: of a log that lost
/// its end, or of a file that was replaced by an older one, nothing else would tell.
struct Lock(File);

impl Lock {
    /// Whether a spool has been here, and no file that somebody named by mistake.
    fn is_of_spool(&self) -> bool {
        self.0.metadata().is_ok_and(|metadata| metadata.len() > 0)
    }

    /// The last number; 0 where nothing was accepted yet.
    fn last(&self) -> i64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, 0).map_or(0, |()| i64::from_le_bytes(bytes))
    }

    /// Needs no `fsync`: the process may die at any moment, and after the machine's death an earlier number does no harm.
    fn note(&self, last: i64) {
        if let Err(error) = self.0.write_all_at(&last.to_le_bytes(), 0) {
            tracing::warn!(%error, "the number of the last write in the spool cannot be noted");
        }
    }
}

impl SpoolFile {
    /// One that ends with this process.
    pub fn in_memory() -> rusqlite::Result<Self> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection, copy: SpoolCopy::none(), damaged: None, lock: None })
    }

    /// Opens the file, and makes it where it is missing. What is left of a damaged one is moved to a new one, and the
    /// damaged one kept beside it.
    pub fn open(path: &Path) -> Result<(Self, Content), SpoolError> {
        // The lock and the copy lie beside the file itself, so that two names of it lead to one lock.
        let path = &Whereabouts::of(path).path();
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| SpoolError::io(folder, &error))?;
        }
        let lock = lock(path)?;
        let last = lock.last();
        salvage::finish_renewal(path)?;
        let whole = match read(path) {
            Ok(Some((connection, content))) if content.is_whole(last) => {
                keep_log(&connection, false).map_err(|error| SpoolError::sqlite(path, &error))?;
                Some((connection, content))
            }
            Ok(Some(_)) => None,
            Ok(None) if salvage::is_anything_left(path) => None,
            Ok(None) => Some((create(path, &Content::default())?, Content::default())),
            Err(SpoolError::Unusable { kind: crate::ErrorKind::CorruptData, reason, .. }) => {
                if !lock.is_of_spool() {
                    return Err(SpoolError::NotSpool { path: path.to_owned(), reason });
                }
                None
            }
            // Damage can look like this too. What is really newer or another's has no copy that this host can read.
            Err(error @ (SpoolError::Newer { .. } | SpoolError::NotSpool { .. })) => {
                if !lock.is_of_spool() || copy::read_whole(path, last).is_none() {
                    return Err(error);
                }
                None
            }
            Err(error) => return Err(error),
        };
        let (connection, content, damaged) = match whole {
            Some((connection, content)) => (connection, content, None),
            None => salvage::renew(path, last)?,
        };
        lock.note(content.last);
        let copy = SpoolCopy::beside(path, &content);
        Ok((Self { connection, copy, damaged, lock: Some(lock) }, content))
    }

    pub fn begin(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        self.copy.perform(|copy| copy.execute_batch("BEGIN IMMEDIATE"));
        Ok(())
    }

    /// After this all that happened since `begin` survives the end of the process and of the machine.
    pub fn commit(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("COMMIT")?;
        self.copy.perform(|copy| copy.execute_batch("COMMIT"));
        Ok(())
    }

    pub fn roll_back(&self) {
        // A failed statement may have ended the transaction already.
        let _ = self.connection.execute_batch("ROLLBACK");
        self.copy.perform(|copy| if copy.is_autocommit() { Ok(()) } else { copy.execute_batch("ROLLBACK") });
    }

    /// Adds a write under the next number, which is returned.
    pub fn add(&self, write: &SpooledWrite, accepted_at: i64) -> rusqlite::Result<i64> {
        let sequence = insert(&self.connection, None, write, accepted_at)?;
        self.copy.perform(|copy| insert(copy, Some(sequence), write, accepted_at).map(drop));
        Ok(sequence)
    }

    pub fn delete(&self, sequence: i64) -> rusqlite::Result<()> {
        let delete = |connection: &Connection| {
            connection.prepare_cached("DELETE FROM spooled_writes WHERE sequence = ?")?.execute([sequence]).map(drop)
        };
        delete(&self.connection)?;
        self.copy.perform(delete);
        Ok(())
    }

    /// Puts a write aside that the database refuses.
    pub fn reject(&self, sequence: i64, reason: &str) -> rusqlite::Result<()> {
        let reject = |connection: &Connection| connection.prepare_cached(REJECT)?.execute((reason, sequence)).map(drop);
        reject(&self.connection)?;
        self.copy.perform(reject);
        self.delete(sequence)
    }

    /// Forgets a write that was refused.
    pub fn forget(&self, sequence: i64) -> rusqlite::Result<()> {
        let forget = |connection: &Connection| connection.prepare_cached(FORGET)?.execute([sequence]).map(drop);
        forget(&self.connection)?;
        self.copy.perform(forget);
        Ok(())
    }

    /// Has a write that was refused wait again, under its own number.
    pub fn restore(&self, sequence: i64) -> rusqlite::Result<()> {
        let restore = format!(
            "INSERT OR REPLACE INTO spooled_writes ({COLUMNS}) SELECT {COLUMNS} FROM rejected_writes WHERE sequence = ?"
        );
        let restore = |connection: &Connection| connection.execute(&restore, [sequence]).map(drop);
        restore(&self.connection)?;
        self.copy.perform(restore);
        self.forget(sequence)
    }

    /// Notes the number of a write that is about to be acknowledged.
    pub fn note_last(&self, sequence: i64) {
        if let Some(lock) = &self.lock {
            lock.note(sequence);
        }
    }
}

/// What is in a spool that another process may have open, or in its copy where the spool is missing.
pub(super) fn inspect(path: &Path) -> Result<Content, SpoolError> {
    let copy = copy::of(path);
    let path = match path.exists() {
        true => path,
        false if copy.is_file() => &copy,
        false => return Err(SpoolError::NotFound { path: path.to_owned() }),
    };
    let wrong = |error: rusqlite::Error| SpoolError::sqlite(path, &error);
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(wrong)?;
    connection.busy_timeout(Duration::from_secs(2)).map_err(wrong)?;
    judge(path, &connection)?;
    read_all(&connection).map_err(wrong)
}

/// Adds a write under its number, or under the next one, and returns the number.
fn insert(
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

/// The file with the lock, for notes. Not the same handle, which would keep the lock.
pub(super) fn notes(path: &Path) -> Option<File> {
    OpenOptions::new().read(true).write(true).open(with_suffix(path, "-lock")).ok()
}

/// Takes the spool for this process. The lock goes with the process, however that ends.
fn lock(path: &Path) -> Result<Lock, SpoolError> {
    let name = with_suffix(path, "-lock");
    let wrong = |error: &std::io::Error| SpoolError::io(&name, error);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&name)
        .map_err(|error| wrong(&error))?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock(file)),
            Err(TryLockError::WouldBlock) if start.elapsed() < LOCK_WAIT => std::thread::sleep(LOCK_WAIT / 50),
            Err(TryLockError::WouldBlock) => return Err(SpoolError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(wrong(&error)),
        }
    }
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
fn judge(path: &Path, connection: &Connection) -> Result<(), SpoolError> {
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
