//! The journal's file: whether it is one, and what becomes of a damaged one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cofferdam::files::{immutable_uri, with_suffix};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Result};

/// Marks a file as a journal, in its `application_id`.
const APPLICATION: i32 = 0x636f_626a;

/// Where SQLite has that in a file, in bytes.
const APPLICATION_AT: u64 = 68;

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

/// Each table with its columns, and whatever else somebody has made.
const SCHEMA: &str = "
    SELECT name || (SELECT group_concat(name || ' ' || type || \"notnull\" || pk) FROM pragma_table_xinfo(found.name))
    FROM sqlite_schema AS found WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A journal, perhaps a damaged one, or nothing at all.
    Journal,
    /// Something else, which is left as it is.
    Other(&'static str),
}

/// Looks at what is there, and changes nothing.
pub fn look_at(path: &Path) -> io::Result<Found> {
    match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Journal),
        Err(error) => return Err(error),
        Ok(there) if there.is_dir() => return Ok(Found::Other("it is a folder")),
        Ok(there) if !there.is_file() => return Ok(Found::Other("it is a pipe or a device")),
        Ok(there) if there.len() == 0 => return Ok(Found::Journal),
        Ok(_) => {}
    }
    match is_journal(path) {
        Ok(true) => Ok(Found::Journal),
        Ok(false) => Ok(Found::Other("it is the database of something else")),
        Err(error) if is_damage(&error) => Ok(match has_mark(path)? {
            true => Found::Journal,
            false if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
                Found::Other("it is no SQLite database")
            }
            false => Found::Other("it is a damaged database, and nothing in it says that it was a journal"),
        }),
        // Who has it open says more when the file is opened in earnest.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(Found::Journal),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Opens a journal for this process alone, and makes its tables where they are missing.
pub fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    // The lock is the process's, and gone with it: so two of them notice each other.
    connection.pragma_update(None, "locking_mode", "exclusive")?;
    if application(&connection)? != APPLICATION {
        // Before there is a log, so that it is in the file itself.
        connection.pragma_update(None, "application_id", APPLICATION)?;
    }
    connection.pragma_update(None, "journal_mode", "wal")?;
    // Survives the process, as it must; a power loss may cost the last moments, and Discord's nonces make up for them.
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {TABLES}; COMMIT"))?;
    Ok(connection)
}

/// Keeps a damaged file with its logs under a name that nothing has, which is returned.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    const PARTS: [&str; 3] = ["-wal", "-journal", ""];
    let second = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut aside = with_suffix(path, &format!(".damaged-{second}"));
    let is_taken = |aside: &Path| PARTS.iter().any(|part| with_suffix(aside, part).symlink_metadata().is_ok());
    for number in 2.. {
        if !is_taken(&aside) {
            break;
        }
        aside = with_suffix(path, &format!(".damaged-{second}-{number}"));
    }
    for part in PARTS {
        match std::fs::rename(with_suffix(path, part), with_suffix(&aside, part)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

pub fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn is_journal(path: &Path) -> Result<bool> {
    // Of an immutable file SQLite reads neither log nor lock, and makes none. By SQLite, since a file that is closed otherwise takes
    // the locks with it that this process may have.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let file = Connection::open_with_flags(immutable_uri(path), flags)?;
    if let Some(is_journal) = judge(&file)? {
        return Ok(is_journal);
    }
    drop(file);
    // All of it is in the log, or there is nothing.
    let with_log = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    with_log.busy_timeout(Duration::ZERO)?;
    with_log.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    with_log.pragma_update(None, "locking_mode", "exclusive")?;
    Ok(judge(&with_log)?.unwrap_or(true))
}

/// Whether this is a journal; `None` if there is nothing in it.
fn judge(connection: &Connection) -> Result<Option<bool>> {
    match application(connection)? {
        APPLICATION => return Ok(Some(true)),
        0 => {}
        _ => return Ok(Some(false)),
    }
    // Journals had no mark at first.
    let found = tables(connection)?;
    if found.is_empty() {
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        return Ok((version != 0).then_some(false));
    }
    let ours = Connection::open_in_memory()?;
    ours.execute_batch(TABLES)?;
    Ok(Some(found == tables(&ours)?))
}

fn application(connection: &Connection) -> Result<i32> {
    connection.pragma_query_value(None, "application_id", |row| row.get(0))
}

fn tables(connection: &Connection) -> Result<Vec<Option<String>>> {
    connection.prepare(SCHEMA)?.query_map((), |row| row.get(0))?.collect()
}

/// Whether a file that SQLite cannot read was a journal.
fn has_mark(path: &Path) -> io::Result<bool> {
    let mut mark = [0; 4];
    let read = File::open(path)?.read_exact_at(&mut mark, APPLICATION_AT);
    Ok(read.is_ok() && i32::from_be_bytes(mark) == APPLICATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every file in a folder with its content.
    fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let read = |path: &Path| if path.is_file() { std::fs::read(path).unwrap() } else { Vec::new() };
        let mut files: Vec<_> = entries.map(|path| (path.clone(), read(&path))).collect();
        files.sort();
        files
    }

    /// A database that was not closed, as a process leaves it that is killed.
    fn killed(path: &Path, mode: &str, statements: &str) {
        let made = path.with_extension("made");
        let connection = Connection::open(&made).unwrap();
        connection.pragma_update(None, "journal_mode", mode).unwrap();
        connection.execute_batch(statements).unwrap();
        for part in ["", "-wal"] {
            let _ = std::fs::copy(with_suffix(&made, part), with_suffix(path, part));
        }
        drop(connection);
        std::fs::remove_file(&made).unwrap();
    }

    #[test]
    fn what_is_no_journal_is_found_out_and_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("notes"), "my important notes").unwrap();
        std::fs::write(at("long"), "my important notes\n".repeat(1000)).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        let alike = "CREATE TABLE limits (name TEXT, until INTEGER); CREATE TABLE messages (id INTEGER, begun INTEGER);
            INSERT INTO limits VALUES ('mine', 5); INSERT INTO messages VALUES (1, 5);";
        for mode in ["wal", "delete"] {
            killed(&at(&format!("alike {mode}")), mode, alike);
            killed(&at(&format!("more % {mode}")), mode, &format!("{TABLES} CREATE TABLE mine (id INTEGER);"));
            killed(&at(&format!("view ?# {mode}")), mode, &format!("{TABLES} CREATE VIEW mine AS SELECT 1;"));
            killed(&at(&format!("id {mode}")), mode, &format!("PRAGMA application_id = 7; {TABLES}"));
            killed(&at(&format!("version {mode}")), mode, "PRAGMA user_version = 7;");
        }
        killed(&at("cut"), "delete", alike);
        File::options().write(true).open(at("cut")).unwrap().set_len(5000).unwrap();
        let before = content(folder.path());
        for (path, _) in before.iter().filter(|(path, _)| !path.to_str().unwrap().ends_with("-wal")) {
            assert!(matches!(look_at(path).unwrap(), Found::Other(_)), "{path:?}");
        }
        assert!(
            content(folder.path()) == before,
            "{:?}",
            std::fs::read_dir(folder.path()).unwrap().collect::<Vec<_>>()
        );
    }

    #[test]
    fn journals_are_known_also_before_they_had_a_mark_and_when_they_are_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("empty"), "").unwrap();
        killed(&at("nothing"), "wal", "PRAGMA user_version = 0");
        killed(&at("log"), "wal", TABLES);
        killed(&at("file"), "delete", TABLES);
        for name in ["empty", "nothing", "log", "file", "missing"] {
            assert_eq!(look_at(&at(name)).unwrap(), Found::Journal, "{name}");
            let journal = connect(&at(name)).unwrap();
            assert_eq!(look_at(&at(name)).unwrap(), Found::Journal, "{name}");
            drop(journal);
            // The mark is in the file itself, whatever becomes of the rest.
            let file = File::options().write(true).open(at(name)).unwrap();
            file.write_all_at(&[7; 16], 0).unwrap();
            file.set_len(100).unwrap();
            assert_eq!(look_at(&at(name)).unwrap(), Found::Journal, "{name}");
        }
    }
}
