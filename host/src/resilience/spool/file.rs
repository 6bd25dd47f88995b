//! The spool's file: opening it for one process alone, and writing it.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::copy::{self, SpoolCopy};
use super::entry::SpooledWrite;
use super::error::SpoolError;
use super::salvage;
use super::tables::{
    COLUMNS, Content, Damaged, FORGET, REJECT, SCHEMA, create, insert, judge, keep_log, read, read_all,
};
use crate::files::{Whereabouts, with_suffix};

/// How long to wait for one who has the spool and is about to end, such as the bot before a restart.
const LOCK_WAIT: Duration = Duration::from_secs(1);

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
            tracing::warn!(%error, "the number of the last write in the spool cannot be recorded");
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

/// What is in a spool that another process may have open, or in its copy where the spool is missing or damaged, or what the next start
/// will save of both. Changes nothing.
pub(super) fn inspect(path: &Path) -> Result<Content, SpoolError> {
    let copy = copy::of(path);
    if !path.exists() {
        return if copy.is_file() { look(&copy) } else { Err(SpoolError::NotFound { path: path.to_owned() }) };
    }
    let damage = match look(path) {
        Err(error @ SpoolError::Unusable { kind: crate::ErrorKind::CorruptData, .. }) => error,
        found => return found,
    };
    let Some(lock) = notes(path).map(Lock).filter(Lock::is_of_spool) else { return Err(damage) };
    let last = lock.last();
    tracing::warn!(error = %damage, "what is shown is what the next start of the bot saves of the spool and its copy");
    match look(&copy) {
        Ok(content) if content.is_whole(last) => Ok(content),
        _ => salvage_elsewhere(path, last),
    }
}

/// Salvages in a folder of its own: a start that salvages the spool at this moment has its files beside it.
fn salvage_elsewhere(path: &Path, last: i64) -> Result<Content, SpoolError> {
    let private = Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new().prefix("cofferdam-spool-").permissions(private).tempdir();
    let folder = folder.map_err(|error| SpoolError::io(std::env::temp_dir(), &error))?;
    salvage::salvage(path, &folder.path().join("spool"), last)
}

/// Reads one file for [`inspect`].
fn look(path: &Path) -> Result<Content, SpoolError> {
    // SQLite takes the log of a file without content for a forgotten one and removes it, also where it only reads.
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0) {
        let (path, reason) = (path.to_owned(), "it is empty".to_owned());
        return Err(SpoolError::Unusable { path, kind: crate::ErrorKind::CorruptData, reason });
    }
    let wrong = |error: rusqlite::Error| SpoolError::sqlite(path, &error);
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(wrong)?;
    connection.busy_timeout(Duration::from_secs(2)).map_err(wrong)?;
    judge(path, &connection)?;
    read_all(&connection).map_err(wrong)
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
