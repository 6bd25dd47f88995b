//! What becomes of a spool that is damaged or missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::copy;
use super::entry::SpoolEntry;
use super::error::SpoolError;
use super::log;
use super::tables::{
    COLUMNS, Content, Damaged, PAGE, connect, create, entry, last_number, move_aside, read_rejected, remove,
};
use super::view::View;
use crate::files::with_suffix;

/// What a spool of one's own leaves behind: its log, or its copy.
pub(super) fn is_anything_left(path: &Path) -> bool {
    with_suffix(path, "-wal").is_file() || copy::of(path).is_file()
}

/// Puts what the spool and its copy hold into a new file, and keeps a damaged one beside it. `last` is the last number that
/// was acknowledged, as far as that is known.
pub(super) fn renew(path: &Path, last: i64) -> Result<(Connection, Content, Option<Damaged>), SpoolError> {
    let wrong = |error: std::io::Error| SpoolError::io(path, &error);
    let content = match copy::read_whole(path, last) {
        Some(content) => content,
        None => salvage(path, &with_suffix(path, ".salvage"), last)?,
    };
    // Whole before anything is moved: whoever is killed in between finds one of both.
    let new = new_of(path);
    remove(&new).map_err(wrong)?;
    let connection = create(&new, &content)?;
    // Without a log, so that it is one file.
    let closed = connection
        .query_row("PRAGMA journal_mode = DELETE", (), |_| Ok(()))
        .and_then(|()| connection.close().map_err(|(_, error)| error));
    closed.map_err(|error| SpoolError::sqlite(&new, &error))?;
    let kept = move_aside(path).map_err(wrong)?;
    finish_renewal(path)?;
    let connection = connect(path).map_err(|error| SpoolError::sqlite(path, &error))?;
    let (saved, unreadable) = (content.entries.len(), content.unreadable);
    match &kept {
        Some(kept) => tracing::error!(
            spool = %path.display(), kept = %kept.display(), saved, unreadable,
            "the spool was damaged: its readable writes were moved to a new file"
        ),
        None => tracing::error!(
            spool = %path.display(), saved, unreadable,
            "the spool was missing: it was restored from its copy"
        ),
    }
    let damaged = kept.or_else(|| (unreadable > 0).then(|| path.to_owned())).map(|kept| (kept, unreadable));
    Ok((connection, content, damaged))
}

/// Puts a new file into its place, of one who was killed just before that too.
pub(super) fn finish_renewal(path: &Path) -> Result<(), SpoolError> {
    let new = new_of(path);
    if path.exists() || !new.exists() || with_suffix(&new, "-journal").exists() || with_suffix(&new, "-wal").exists() {
        return Ok(());
    }
    std::fs::rename(new, path).map_err(|error| SpoolError::io(path, &error))
}

fn new_of(path: &Path) -> PathBuf {
    with_suffix(path, ".new")
}

/// Reads what can be read of damaged files, from copies of them that are made at `scratch`: with its own first page or a new one,
/// and with its log as SQLite reads it or with all that is whole of it. What one of them has is there; what has left the spool
/// since may be among it, of which the database keeps the newer row.
pub(super) fn salvage(path: &Path, scratch: &Path, last: i64) -> Result<Content, SpoolError> {
    let mut found = Salvaged::default();
    // As far as SQLite reads the logs: of what was accepted later, all that is not found may be lost.
    let mut believed = None;
    for damaged in [path, &copy::of(path)] {
        believed = believed.max(salvage_one(damaged, scratch, last, &mut found)?);
    }
    let Salvaged { entries, failed, rejected } = found;
    let believed = believed.unwrap_or_default();
    let failed = failed.range(..=believed).filter(|sequence| !entries.contains_key(sequence)).count();
    let forgotten = usize::try_from(last - believed).unwrap_or_default();
    let unreadable = (failed + forgotten.saturating_sub(entries.range(believed + 1..).count())) as u64;
    let last = last.max(believed).max(entries.keys().last().copied().unwrap_or_default());
    let mut view = View::default();
    entries.into_values().for_each(|entry| view.add(entry));
    // What is damaged has cost something, as far as anybody can tell.
    let rejected = rejected.into_values().collect();
    Ok(Content { entries: view.into_entries(), rejected, unreadable: unreadable.max(1), last })
}

/// Returns the greatest number up to which SQLite reads this file.
fn salvage_one(damaged: &Path, scratch: &Path, last: i64, found: &mut Salvaged) -> Result<Option<i64>, SpoolError> {
    let wrong = |error: std::io::Error| SpoolError::io(damaged, &error);
    let parts = ["", "-wal", "-shm"].map(|suffix| with_suffix(scratch, suffix));
    let mut believed = None;
    for (with_new_header, with_whole_log) in [(false, false), (true, false), (false, true), (true, true)] {
        for (part, suffix) in parts.iter().zip(["", "-wal", "-shm"]) {
            let _ = std::fs::remove_file(part);
            let from = with_suffix(damaged, suffix);
            if from.is_file() {
                std::fs::copy(&from, part).map_err(wrong)?;
            }
        }
        if !parts[0].exists() && !parts[1].exists() {
            break;
        }
        // Of a file that is missing the log may be there.
        OpenOptions::new().create(true).append(true).open(&parts[0]).map_err(wrong)?;
        if with_whole_log {
            if !parts[1].exists() {
                continue;
            }
            log::apply(&parts[1], scratch).map_err(wrong)?;
            std::fs::remove_file(&parts[1]).map_err(wrong)?;
        }
        if with_new_header {
            replace_first_page(scratch)?;
        }
        if let Ok(greatest) = read_one_by_one(scratch, last, found)
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
    rejected: BTreeMap<i64, (SpoolEntry, String)>,
}

/// Puts the first page of a new spool in place of a file's own. It holds the header, and where the tables begin, which is
/// the same in every spool, since all are made in the same way.
fn replace_first_page(path: &Path) -> Result<(), SpoolError> {
    let fresh = with_suffix(path, ".fresh");
    let wrong = |error: std::io::Error| SpoolError::io(path, &error);
    let _ = std::fs::remove_file(&fresh);
    drop(create(&fresh, &Content::default())?);
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
    let mut rejected = Vec::new();
    let _ = read_rejected(&connection, &mut rejected);
    found.rejected.extend(rejected.into_iter().map(|(entry, reason)| (entry.sequence, (entry, reason))));
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
