//! The spool's file: opening it for one process alone, and what becomes of a damaged one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};

use super::copy::{self, Copy};
use super::entry::{Columns, SpoolEntry, SpooledWrite};
use super::error::SpoolError;
use super::log;
use super::view::View;

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

const COLUMNS: &str = "sequence, kind, key, thread, first, second, time, created_at, updated_at, accepted_at, checksum";

const REJECT: &str = "INSERT OR REPLACE INTO rejected_writes SELECT *, ? FROM spooled_writes WHERE sequence = ?";

const INSERT: &str = "
INSERT INTO spooled_writes
    (sequence, kind, key, thread, first, second, time, created_at, updated_at, accepted_at, checksum)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Writes that the database refused for good, each with its reason.
pub(super) type Rejected = Vec<(SpoolEntry, String)>;

/// What was found in a file.
#[derive(Default)]
pub(super) struct Content {
    pub entries: Vec<SpoolEntry>,
    /// Rows that are not what was written.
    pub unreadable: u64,
    /// The greatest number that was ever given.
    pub last: i64,
}

/// A spool that this process alone has.
pub(super) struct SpoolFile {
    pub connection: Connection,
    copy: Copy,
    /// Where a damaged file was put, and how many of its writes could not be read.
    pub damaged: Option<(PathBuf, u64)>,
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
        Ok(Self { connection, copy: Copy::none(), damaged: None, lock: None })
    }

    /// Opens the file, and makes it where it is missing. What is left of a damaged one is moved to a new one, and the
    /// damaged one kept beside it.
    pub fn open(path: &Path) -> Result<(Self, Content), SpoolError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| SpoolError::io(folder, &error))?;
        }
        let lock = lock(path)?;
        let last = lock.last();
        let wrong = |error: rusqlite::Error| SpoolError::sqlite(path, &error);
        let mut damaged = None;
        let whole = match read(path) {
            Ok(Some((connection, content))) if content.unreadable == 0 && content.last >= last => {
                keep_log(&connection, false).map_err(wrong)?;
                Some((connection, content))
            }
            Ok(Some(_)) => None,
            Ok(None) => Some(begin_anew(path)?),
            Err(SpoolError::Unusable { kind: crate::ErrorKind::CorruptData, reason, .. }) => {
                if !lock.is_of_spool() {
                    return Err(SpoolError::NotSpool { path: path.to_owned(), reason });
                }
                None
            }
            Err(error) => return Err(error),
        };
        let (connection, content) = match whole {
            Some(whole) => whole,
            None => {
                let (connection, content, kept) = renew(path, last)?;
                let unreadable = content.unreadable;
                tracing::error!(
                    spool = %path.display(), kept = %kept.display(), saved = content.entries.len(), unreadable,
                    "the spool was damaged: what could be read goes on in a new one"
                );
                damaged = Some((kept, unreadable));
                (connection, content)
            }
        };
        lock.note(content.last);
        let copy = Copy::beside(path, &connection, &content);
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

    /// Notes the number of a write that is about to be acknowledged.
    pub fn note_last(&self, sequence: i64) {
        if let Some(lock) = &self.lock {
            lock.note(sequence);
        }
    }
}

/// What is in a spool that another process may have open, with the writes that the database refused and why.
pub(super) fn inspect(path: &Path) -> Result<(Content, Rejected), SpoolError> {
    if !path.exists() {
        return Err(SpoolError::NotFound { path: path.to_owned() });
    }
    let wrong = |error: rusqlite::Error| SpoolError::sqlite(path, &error);
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(wrong)?;
    connection.busy_timeout(Duration::from_secs(2)).map_err(wrong)?;
    judge(path, &connection)?;
    let content = read_all(&connection).map_err(wrong)?;
    let rejected = read_rejected(&connection).map_err(wrong)?;
    Ok((content, rejected))
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

/// How many writes the database refused.
pub(super) fn count_rejected(connection: &Connection) -> rusqlite::Result<usize> {
    let count: i64 = connection.query_row("SELECT count(*) FROM rejected_writes", (), |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or_default())
}

pub(super) fn read_rejected(connection: &Connection) -> rusqlite::Result<Rejected> {
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS}, reason FROM rejected_writes ORDER BY sequence"))?;
    let mut rows = statement.query(())?;
    let mut rejected = Vec::new();
    while let Some(row) = rows.next()? {
        if let Some(entry) = entry(row)? {
            rejected.push((entry, row.get(11)?));
        }
    }
    Ok(rejected)
}

/// A file beside another one.
pub(in crate::resilience) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
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
fn connect(path: &Path) -> rusqlite::Result<Connection> {
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

pub(super) fn create(path: &Path) -> Result<Connection, SpoolError> {
    let make = || {
        let connection = connect(path)?;
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} COMMIT"))?;
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
        content.add(row);
    }
    content.last = last_number(connection)?.unwrap_or_default();
    Ok(content)
}

/// The greatest number that was ever given; `None` for none.
fn last_number(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection
        .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'spooled_writes'", (), |row| row.get(0))
        .optional()
}

impl Content {
    fn add(&mut self, row: &Row<'_>) {
        match entry(row) {
            Ok(Some(entry)) => self.entries.push(entry),
            Ok(None) | Err(_) => self.unreadable += 1,
        }
    }
}

/// `None` where the row is not what was written.
fn entry(row: &Row<'_>) -> rusqlite::Result<Option<SpoolEntry>> {
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

/// Makes the file where there is none, with what its copy holds.
fn begin_anew(path: &Path) -> Result<(Connection, Content), SpoolError> {
    let found = copy::read_whole(path, 0)?.filter(|(content, _)| !content.entries.is_empty());
    let connection = create(path)?;
    let Some((content, rejected)) = found else { return Ok((connection, Content::default())) };
    put_into(&connection, &content, &rejected).map_err(|error| SpoolError::sqlite(path, &error))?;
    let saved = content.entries.len();
    tracing::error!(spool = %path.display(), saved, "the spool was missing: what its copy holds goes on in a new one");
    Ok((connection, content))
}

/// Moves a damaged spool aside and puts what it and its copy hold into a new one. `last` is the last number that was
/// acknowledged, as far as that is known.
fn renew(path: &Path, last: i64) -> Result<(Connection, Content, PathBuf), SpoolError> {
    let wrong = |error: std::io::Error| SpoolError::io(path, &error);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let damaged = with_suffix(path, &format!(".damaged-{}", now.as_millis()));
    for suffix in ["-wal", ""] {
        let from = with_suffix(path, suffix);
        if from.exists() {
            std::fs::rename(&from, with_suffix(&damaged, suffix)).map_err(wrong)?;
        }
    }
    // An index of the log that no longer belongs to it.
    let _ = std::fs::remove_file(with_suffix(path, "-shm"));
    let (content, rejected) = match copy::read_whole(path, last)? {
        Some(whole) => whole,
        None => (salvage(path, &[&damaged, &copy::of(path)], last)?, Vec::new()),
    };
    let connection = create(path)?;
    put_into(&connection, &content, &rejected).map_err(|error| SpoolError::sqlite(path, &error))?;
    Ok((connection, content, damaged))
}

/// Puts all of this into a new file.
pub(super) fn put_into(
    connection: &Connection,
    content: &Content,
    rejected: &[(SpoolEntry, String)],
) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    for (SpoolEntry { sequence, accepted_at, write }, reason) in rejected {
        insert(connection, Some(*sequence), write, *accepted_at)?;
        connection.prepare_cached(REJECT)?.execute((reason, sequence))?;
    }
    connection.execute("DELETE FROM spooled_writes", ())?;
    for SpoolEntry { sequence, accepted_at, write } in &content.entries {
        insert(connection, Some(*sequence), write, *accepted_at)?;
    }
    // Numbers are never used again.
    connection.execute("DELETE FROM sqlite_sequence WHERE name = 'spooled_writes'", ())?;
    connection.execute("INSERT INTO sqlite_sequence VALUES ('spooled_writes', ?)", [content.last])?;
    connection.execute_batch("COMMIT")
}

/// Reads what can be read of damaged files, from copies of them: with its own first page or a new one, and with its log as
/// SQLite reads it or with all that is whole of it. What one of them has is there; what has left the spool since may be among
/// it, of which the database keeps the newer row.
fn salvage(path: &Path, damaged: &[&Path], last: i64) -> Result<Content, SpoolError> {
    let mut found = Salvaged::default();
    // As far as SQLite reads the logs: of what was accepted later, all that is not found may be lost.
    let mut believed = None;
    for damaged in damaged {
        believed = believed.max(salvage_one(path, damaged, last, &mut found)?);
    }
    let Salvaged { entries, failed } = found;
    let believed = believed.unwrap_or_default();
    let failed = failed.range(..=believed).filter(|sequence| !entries.contains_key(sequence)).count();
    let forgotten = usize::try_from(last - believed).unwrap_or_default();
    let unreadable = (failed + forgotten.saturating_sub(entries.range(believed + 1..).count())) as u64;
    let last = last.max(believed).max(entries.keys().last().copied().unwrap_or_default());
    let mut view = View::default();
    entries.into_values().for_each(|entry| view.add(entry));
    // What is damaged has cost something, as far as anybody can tell.
    Ok(Content { entries: view.into_entries(), unreadable: unreadable.max(1), last })
}

/// Returns the greatest number up to which SQLite reads this file.
fn salvage_one(path: &Path, damaged: &Path, last: i64, found: &mut Salvaged) -> Result<Option<i64>, SpoolError> {
    let wrong = |error: std::io::Error| SpoolError::io(path, &error);
    let copy = with_suffix(path, ".salvage");
    let parts = ["", "-wal", "-shm"].map(|suffix| with_suffix(&copy, suffix));
    let mut believed = None;
    for (with_new_header, with_whole_log) in [(false, false), (true, false), (false, true), (true, true)] {
        for (part, suffix) in parts.iter().zip(["", "-wal", "-shm"]) {
            let _ = std::fs::remove_file(part);
            let from = with_suffix(damaged, suffix);
            if from.exists() {
                std::fs::copy(&from, part).map_err(wrong)?;
            }
        }
        if !parts[0].exists() {
            break;
        }
        if with_whole_log {
            if !parts[1].exists() {
                continue;
            }
            log::apply(&parts[1], &copy).map_err(wrong)?;
            std::fs::remove_file(&parts[1]).map_err(wrong)?;
        }
        if with_new_header {
            replace_first_page(&copy)?;
        }
        if let Ok(greatest) = read_one_by_one(&copy, last, found)
            && !with_whole_log
        {
            believed = believed.max(greatest);
        }
    }
    parts.iter().for_each(|part| drop(std::fs::remove_file(part)));
    Ok(believed)
}

/// What was read of copies of a damaged file.
#[derive(Default)]
struct Salvaged {
    entries: BTreeMap<i64, SpoolEntry>,
    /// The numbers of rows that could not be read in one copy or another.
    failed: BTreeSet<i64>,
}

/// Puts the first page of a new spool in place of a file's own. It holds the header, and where the tables begin, which is
/// the same in every spool, since all are made in the same way.
fn replace_first_page(path: &Path) -> Result<(), SpoolError> {
    let fresh = with_suffix(path, ".fresh");
    let wrong = |error: std::io::Error| SpoolError::io(path, &error);
    let _ = std::fs::remove_file(&fresh);
    drop(create(&fresh)?);
    let mut page = std::fs::read(&fresh).map_err(wrong)?;
    let _ = std::fs::remove_file(&fresh);
    page.truncate(PAGE);
    if let Some(size) = page.get_mut(28..32) {
        // Unknown: SQLite takes the size of the file.
        size.fill(0);
    }
    let mut file = OpenOptions::new().write(true).open(path).map_err(wrong)?;
    file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&page)).map_err(wrong)
}

/// Looks for each row by its number, so that a damaged page costs the rows on it and no others. Returns the greatest number that
/// the file knows of. `last` is a number that was given, if it is not 0.
fn read_one_by_one(path: &Path, last: i64, found: &mut Salvaged) -> rusqlite::Result<Option<i64>> {
    let connection = Connection::open(path)?;
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM spooled_writes WHERE sequence = ?"))?;
    let outermost = |text| connection.query_row(text, (), |row| row.get::<_, Option<i64>>(0)).ok().flatten();
    let given = last_number(&connection).ok().flatten();
    let greatest = given.max(outermost("SELECT max(sequence) FROM spooled_writes"));
    let least = outermost("SELECT min(sequence) FROM spooled_writes").unwrap_or(1);
    // Where the last number is lost, as many as a spool of the usual size can have used.
    let end = greatest.unwrap_or(if last > 0 { last } else { 1_000_000 }).max(last);
    for sequence in least..=end {
        let row = (|| {
            let mut rows = statement.query([sequence])?;
            match rows.next()? {
                Some(row) => entry(row).map(Some),
                None => Ok(None),
            }
        })();
        match row {
            Ok(None) => {}
            Ok(Some(Some(entry))) => drop(found.entries.insert(sequence, entry)),
            Ok(Some(None)) | Err(_) => drop(found.failed.insert(sequence)),
        }
    }
    Ok(greatest)
}
