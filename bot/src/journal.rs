//! What the bot must know after a crash and the storage does not: a small SQLite file of this process alone.
//!
//! It has the gateway's sessions, and the messages that are in hand: how often each was begun, its answer and how many parts
//! of that were sent. Both are in one file, since one says from where events are sent again and the other what came of them.
//! A message is removed once its state is in the storage. Losing the file costs the sessions and the attempts: the bot then
//! reads the history, and Discord's memory of nonces keeps answers single.

mod file;
mod messages;
mod sessions;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cofferdam::files::{Whereabouts, with_suffix};
use rusqlite::{Connection, ErrorCode};

use self::file::{Found, is_damage};
pub use self::messages::{Entry, Unrecorded};
pub use self::sessions::Saved;
use crate::clock;

/// In milliseconds: what is older was left behind by something that never ended.
const OLDEST_MS: i64 = 7 * 24 * 3600 * 1000;

/// While messages are in hand the journal is written more often than that.
const WARM: Duration = Duration::from_secs(2);

/// Why the journal is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another process works with these shards.
    #[error("{} is in use: another process runs these shards; stop it, or give each its own range with --shards", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else, and is left as it is.
    #[error("{} is not a journal ({reason}): name another file with --journal (BOT_JOURNAL)", path.display())]
    NotJournal {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        reason: &'static str,
    },
    /// The file cannot be made, read or written.
    #[error("the journal {}: {source}; BOT_JOURNAL names another place", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The open journal. Its calls take some microseconds, and wait for no disk but at a checkpoint.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// Whether another process wrote in it a moment before this one.
    is_warm: bool,
    connection: Mutex<Connection>,
    /// Why it cannot be written, and since when.
    trouble: Mutex<Option<(String, Instant)>>,
}

impl Journal {
    /// Opens the file, or makes it. A damaged one is set aside.
    ///
    /// # Errors
    ///
    /// [`JournalError::InUse`] if another process has it open, and [`JournalError::NotJournal`] for a file of something else.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        // The logs lie beside the file itself.
        let path = Whereabouts::of(path).path();
        let failed = |source| JournalError::File { path: path.clone(), source };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| failed(error.into()))?;
        }
        if let Found::Other(reason) = file::look_at(&path).map_err(|error| failed(error.into()))? {
            return Err(JournalError::NotJournal { path, reason });
        }
        let is_warm = is_recent(&path) || is_recent(&with_suffix(&path, "-wal"));
        let connection = match Self::connect(&path) {
            Err(error) if is_damage(&error) => {
                let aside = file::set_aside(&path).map_err(|error| failed(error.into()))?;
                tracing::warn!("{} is damaged, and kept as {}: {error}", path.display(), aside.display());
                Self::connect(&path)
            }
            connection => connection,
        };
        match connection {
            Ok(connection) => Ok(Self { path, is_warm, connection: Mutex::new(connection), trouble: Mutex::default() }),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                Err(JournalError::InUse { path })
            }
            Err(error) => Err(failed(error.into())),
        }
    }

    fn connect(path: &Path) -> rusqlite::Result<Connection> {
        let connection = file::connect(path)?;
        connection.execute("DELETE FROM messages WHERE begun < ?1", [clock::local_ms() - OLDEST_MS])?;
        connection.execute("DELETE FROM limits WHERE until < ?1", [clock::local_ms()])?;
        Ok(connection)
    }

    /// Whether another process worked a moment ago.
    pub fn is_warm(&self) -> bool {
        self.is_warm
    }

    /// Why it cannot be written, and for how long; `None` while it can. Whoever needs it tries again all the time.
    pub fn trouble(&self) -> Option<(String, Duration)> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.as_ref().map(|(why, since)| (why.clone(), since.elapsed()))
    }

    /// How long a request of this name must still wait, as far as another life has kept that.
    pub fn wait_of(&self, name: &str) -> Duration {
        let until = self.limit(name).ok().flatten().unwrap_or(0);
        Duration::from_millis(u64::try_from(until.saturating_sub(clock::local_ms())).unwrap_or(0))
    }

    /// Keeps for the next life that requests of this name must wait so long from now. That it cannot is told by
    /// [`trouble`](Self::trouble).
    pub fn keep_wait(&self, name: &str, time: Duration) {
        let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        if let Err(error) = self.keep_limit(name, clock::local_ms().saturating_add(time).saturating_add(1)) {
            tracing::debug!("{error}");
        }
    }

    /// Until when a request of this name must wait, in milliseconds since the Unix epoch: known since another life.
    fn limit(&self, name: &str) -> Result<Option<i64>, JournalError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached("SELECT until FROM limits WHERE name = ?1")?;
            select.query_map([name], |row| row.get(0))?.next().transpose()
        })
    }

    /// Keeps [`limit`](Self::limit) for the next life.
    fn keep_limit(&self, name: &str, until_ms: i64) -> Result<(), JournalError> {
        self.write("INSERT OR REPLACE INTO limits VALUES (?1, ?2)", (name, until_ms))
    }

    fn write(&self, statement: &str, values: impl rusqlite::Params) -> Result<(), JournalError> {
        self.change(|connection| connection.prepare_cached(statement)?.execute(values).map(drop))
    }

    /// Changes something. When that begins to fail it is told, and when it works again.
    fn change<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, JournalError> {
        // What finds nothing to change needs no room, and proves nothing.
        let changed = self.read(|connection| work(connection).map(|done| (done, connection.changes() > 0)));
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match (&changed, &mut *trouble) {
            (Ok(_), None) | (Ok((_, false)), _) => {}
            (Ok((_, true)), Some(_)) => {
                *trouble = None;
                tracing::info!("the journal is written again");
            }
            (Err(error), Some((why, _))) => *why = error.to_string(),
            (Err(error), None) => {
                tracing::error!("{error}; messages wait until it can be written, and none is lost");
                *trouble = Some((error.to_string(), Instant::now()));
            }
        }
        changed.map(|(done, _)| done)
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, JournalError> {
        let connection: MutexGuard<'_, _> = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        work(&connection).map_err(|error| JournalError::File { path: self.path.clone(), source: error.into() })
    }
}

fn is_recent(file: &Path) -> bool {
    let age = file.metadata().and_then(|metadata| metadata.modified()).map(|modified| modified.elapsed());
    // Of the future: the clock was set back.
    age.is_ok_and(|age| age.map_or(true, |age| age < WARM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/journal.db");
        let _journal = Journal::open(&path).unwrap();
        assert!(matches!(Journal::open(&path), Err(JournalError::InUse { .. })));
    }

    #[test]
    fn a_damaged_journal_is_set_aside_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let mut kept = Vec::new();
        for round in 0..3 {
            drop(Journal::open(&path).unwrap());
            let mut damaged = std::fs::read(&path).unwrap();
            damaged.truncate(5000 + round);
            std::fs::write(&path, &damaged).unwrap();
            kept.push(damaged);
            drop(Journal::open(&path).unwrap());
        }
        let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut aside: Vec<_> = files.filter(|file| *file != path).map(|file| std::fs::read(file).unwrap()).collect();
        aside.sort_by_key(Vec::len);
        assert!(aside == kept, "{} files are kept", aside.len());
        let notes = folder.path().join("notes");
        std::fs::write(&notes, "my important notes").unwrap();
        assert!(matches!(Journal::open(&notes), Err(JournalError::NotJournal { .. })));
        assert_eq!(std::fs::read(&notes).unwrap(), b"my important notes");
    }

    #[test]
    fn limits_are_kept_over_lives_until_they_have_passed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let soon = clock::local_ms() + 60_000;
        let journal = Journal::open(&path).unwrap();
        journal.keep_limit("a", soon).unwrap();
        journal.keep_limit("b", 1).unwrap();
        drop(journal);
        let journal = Journal::open(&path).unwrap();
        assert_eq!((journal.limit("a").unwrap(), journal.limit("b").unwrap()), (Some(soon), None));
    }
}
