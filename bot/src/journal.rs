//! What the bot must know after a crash and the storage does not: a small SQLite file of this process alone.
//!
//! It has the gateway's sessions, and the messages that are in hand: how often each was begun, its answer and how many parts
//! of that were sent. Both are in one file, since one says from where events are sent again and the other what came of them.
//! A message is removed once its state is in the storage. Losing the file costs the sessions and the attempts: the bot then
//! reads the history, and Discord's memory of nonces keeps answers single.

mod messages;
mod sessions;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

pub use self::messages::{Entry, Unrecorded};
pub use self::sessions::Saved;
use crate::clock;

/// In milliseconds: what is older was left behind by something that never ended.
const OLDEST_MS: i64 = 7 * 24 * 3600 * 1000;

/// While messages are in hand the journal is written more often than that.
const WARM: Duration = Duration::from_secs(2);

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS sessions (
        shard INTEGER NOT NULL, shards INTEGER NOT NULL, session TEXT NOT NULL, sequence INTEGER NOT NULL,
        resume_url TEXT NOT NULL, PRIMARY KEY (shard, shards)) STRICT;
    CREATE TABLE IF NOT EXISTS messages (
        id INTEGER PRIMARY KEY, channel INTEGER NOT NULL, in_thread INTEGER NOT NULL, author INTEGER NOT NULL,
        begun INTEGER NOT NULL, attempts INTEGER NOT NULL, answer TEXT, thread INTEGER, sent INTEGER NOT NULL DEFAULT 0,
        ended INTEGER NOT NULL DEFAULT 0) STRICT;
    CREATE INDEX IF NOT EXISTS messages_by_channel ON messages (channel, id);
    CREATE TABLE IF NOT EXISTS limits (name TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT;";

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
    /// [`JournalError::InUse`] if another process has it open.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let failed = |source| JournalError::File { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| failed(error.into()))?;
        }
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let is_warm = is_recent(path) || is_recent(log.as_ref());
        let connection = match Self::connect(path) {
            Err(error) if is_damage(&error) => {
                let aside = path.with_extension("damaged");
                tracing::warn!("{} is damaged, and kept as {}: {error}", path.display(), aside.display());
                std::fs::rename(path, &aside).map_err(|error| failed(error.into()))?;
                Self::connect(path)
            }
            connection => connection,
        };
        match connection {
            Ok(connection) => Ok(Self {
                path: path.to_owned(),
                is_warm,
                connection: Mutex::new(connection),
                trouble: Mutex::default(),
            }),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                Err(JournalError::InUse { path: path.to_owned() })
            }
            Err(error) => Err(failed(error.into())),
        }
    }

    fn connect(path: &Path) -> rusqlite::Result<Connection> {
        let mut connection = Connection::open(path)?;
        // The lock is the process's, and gone with it: so two of them notice each other.
        connection.pragma_update(None, "locking_mode", "exclusive")?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        // Survives the process, as it must; a power loss may cost the last moments, and Discord's nonces make up for them.
        connection.pragma_update(None, "synchronous", "normal")?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(TABLES)?;
        transaction.execute("DELETE FROM messages WHERE begun < ?1", [clock::local_ms() - OLDEST_MS])?;
        transaction.execute("DELETE FROM limits WHERE until < ?1", [clock::local_ms()])?;
        transaction.commit()?;
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

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_refused_and_a_damaged_file_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/journal.db");
        let journal = Journal::open(&path).unwrap();
        assert!(matches!(Journal::open(&path), Err(JournalError::InUse { .. })));
        drop(journal);
        std::fs::write(&path, b"this is not a database, but longer than its header".repeat(10)).unwrap();
        Journal::open(&path).unwrap();
        assert!(path.with_extension("damaged").is_file());
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
