//! Spools that somebody else has damaged, in every class of place.

use std::fs;
use std::path::{Path, PathBuf};

use super::journal::Journal;
use super::*;
use crate::config::SpoolConfig;
use crate::model::MessageState;

const WRITES: usize = 2_000;

fn config(folder: &Path) -> SpoolConfig {
    SpoolConfig { path: folder.join("spool"), limit: 10_000 }
}

fn state(number: usize) -> SpooledWrite {
    SpooledWrite::State(MessageState::new(format!("channel {number}"), None, format!("message {number}"), 1))
}

fn copy_of(config: &SpoolConfig) -> PathBuf {
    copy::of(&config.path)
}

/// Writes so many, from many tasks at once, and takes the copy away.
async fn fill(config: &SpoolConfig, writes: usize) {
    fill_with_copy(config, writes).await;
    fs::remove_file(copy_of(config)).unwrap();
}

async fn fill_with_copy(config: &SpoolConfig, writes: usize) {
    let journal = std::sync::Arc::new(Journal::open(config).unwrap());
    let tasks: Vec<_> = (0..writes)
        .map(|number| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.accept(state(number), 1).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    journal.close().await;
}

fn kept_files(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    // With its log, where that was left.
    let is_kept = |path: &PathBuf| {
        let name = path.to_string_lossy();
        name.contains("spool.damaged-") && !name.ends_with("-wal")
    };
    files.filter(is_kept).collect()
}

fn overwrite(path: &Path, from: usize, length: usize) {
    let mut bytes = fs::read(path).unwrap();
    let end = bytes.len().min(from.saturating_add(length));
    bytes[from..end].iter_mut().for_each(|byte| *byte = !*byte);
    fs::write(path, bytes).unwrap();
}

/// Opens a damaged spool and says how many of its writes are left, each as it was written.
fn salvaged(config: &SpoolConfig) -> usize {
    let journal = Journal::open(config).unwrap();
    assert!(journal.damaged().is_some());
    assert_eq!(kept_files(config.path.parent().unwrap()).len(), 1, "the damaged file is kept");
    let entries = journal.view().oldest_writes(usize::MAX);
    for entry in &entries {
        let SpooledWrite::State(state) = &entry.write else { panic!("{entry:?}") };
        assert_eq!(state.channel_id.replace("channel", "message"), state.last_message_id);
    }
    entries.len()
}

/// A disk may be slow for a moment, and the caller has a deadline.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_comes_after_one_that_was_given_up_on_its_way() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(&config(folder.path())).unwrap();
    let write = |message: &str| SpooledWrite::State(MessageState::new("c", None, message, 1));
    {
        // Its thread gets no further than to this.
        let _view = journal.view();
        let mut given_up = std::pin::pin!(journal.accept(write("first"), 1));
        assert!(given_up.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending());
    }
    assert!(journal.precedes(&write("second")), "it would go to the database, and the first one would then hide it");
    journal.accept(write("second"), 1).await.unwrap();
    assert_eq!(journal.view().state("c", None).unwrap().last_message_id, "second");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_there_when_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    fill(&config, WRITES).await;
    let journal = Journal::open(&config).unwrap();
    assert_eq!(journal.depth(), WRITES);
    assert!(journal.damaged().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_header_loses_nothing() {
    for (from, length) in [(0, 16), (16, 84), (0, 100), (0, 4096)] {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        fill(&config, WRITES).await;
        overwrite(&config.path, from, length);
        assert_eq!(salvaged(&config), WRITES, "{length} bytes from {from}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_in_the_middle_costs_the_writes_that_it_hit() {
    for length in [1, 100, 4096] {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        fill(&config, WRITES).await;
        let size = usize::try_from(fs::metadata(&config.path).unwrap().len()).unwrap();
        // In a page of rows, of which there are some 50.
        overwrite(&config.path, size / 2 / 4096 * 4096 + 1000, length);
        let left = salvaged(&config);
        assert!((WRITES - 200..=WRITES).contains(&left), "{left} left after {length} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_costs_what_was_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    fill(&config, WRITES).await;
    let size = fs::metadata(&config.path).unwrap().len();
    fs::OpenOptions::new().write(true).open(&config.path).unwrap().set_len(size - 3 * 4096 - 7).unwrap();
    let left = salvaged(&config);
    assert!((WRITES - 300..WRITES).contains(&left), "{left} left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_of_the_log_is_as_if_it_had_not_been_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let copy = self::config(&folder.path().join("copy"));
    fs::create_dir(folder.path().join("copy")).unwrap();
    let journal = Journal::open(&config).unwrap();
    for number in 0..50 {
        journal.accept(state(number), 1).await.unwrap();
    }
    // The files as a crash leaves them, the last commit half on the disk.
    let log = |path: &Path| PathBuf::from(format!("{}-wal", path.display()));
    fs::copy(&config.path, &copy.path).unwrap();
    fs::copy(log(&config.path), log(&copy.path)).unwrap();
    let size = fs::metadata(log(&copy.path)).unwrap().len();
    fs::OpenOptions::new().write(true).open(log(&copy.path)).unwrap().set_len(size - 100).unwrap();
    let journal = Journal::open(&copy).unwrap();
    assert_eq!(journal.depth(), 49);
    assert!(journal.damaged().is_none());
}

/// The files as the death of the process leaves them, after so many writes of as many rows, without the copy.
async fn killed(folder: &Path, writes: usize) -> SpoolConfig {
    let config = killed_with_copy(folder, writes).await;
    for suffix in ["", "-wal"] {
        fs::remove_file(format!("{}{suffix}", copy_of(&config).display())).unwrap();
    }
    config
}

async fn killed_with_copy(folder: &Path, writes: usize) -> SpoolConfig {
    let (config, copy) = (config(folder), config(&folder.join("copy")));
    fs::create_dir(folder.join("copy")).unwrap();
    let journal = Journal::open(&config).unwrap();
    for number in 0..writes {
        journal.accept(state(number), 1).await.unwrap();
    }
    for suffix in ["", "-wal", "-lock", "-copy", "-copy-wal"] {
        let of = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        fs::copy(of(&config.path), of(&copy.path)).unwrap();
    }
    copy
}

fn log_of(config: &SpoolConfig) -> PathBuf {
    PathBuf::from(format!("{}-wal", config.path.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_its_end_is_noticed_once_a_write_on_it_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let config = killed(folder.path(), 50).await;
    let size = fs::metadata(log_of(&config)).unwrap().len();
    fs::OpenOptions::new().write(true).open(log_of(&config)).unwrap().set_len(size - 100).unwrap();
    let journal = Journal::open(&config).unwrap();
    // The row's page may be whole, and what comes after it not.
    let depth = journal.depth();
    assert!((49..=50).contains(&depth) && journal.damaged().unwrap().1 == 1, "{depth}");
    journal.accept(state(100), 1).await.unwrap();
    journal.close().await;
    // It is in order now.
    let journal = Journal::open(&config).unwrap();
    assert_eq!((journal.depth(), journal.damaged()), (depth + 1, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_costs_no_more_than_the_writes_that_it_hit() {
    for eighth in 0..8 {
        let folder = tempfile::tempdir().unwrap();
        let config = killed(folder.path(), 200).await;
        let size = usize::try_from(fs::metadata(log_of(&config)).unwrap().len()).unwrap();
        // The log's header, then the headers of frames and their pages.
        let frame = (size - 32) / 4120 * eighth / 8;
        let place = if eighth == 0 { 17 } else { 32 + frame * 4120 + (eighth - 1) * 10 };
        overwrite(&log_of(&config), place, 1);
        let journal = Journal::open(&config).unwrap();
        let (_, unreadable) = journal.damaged().unwrap();
        let lost = 200 - journal.depth() as u64;
        assert!(lost <= *unreadable && lost < 10, "{lost} lost, {unreadable} reported, damage at {place}");
    }
}

/// What a disk can do to a file: its header, a byte, a page, all of it, its end, and to lose it.
fn damages() -> [fn(&Path); 6] {
    [
        |path| overwrite(path, 0, 100),
        |path| overwrite(path, 10 * 4096 + 1000, 1),
        |path| overwrite(path, 10 * 4096, 4096),
        |path| overwrite(path, 0, usize::MAX / 2),
        |path| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(20_000).unwrap(),
        |path| fs::remove_file(path).unwrap(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_to_the_spool_or_to_its_copy_loses_nothing() {
    for (number, damage) in damages().into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        fill_with_copy(&config, WRITES).await;
        // Each has to be whole again after the other was damaged.
        for (round, path) in [&config.path, &copy_of(&config), &config.path].into_iter().enumerate() {
            damage(path);
            let journal = Journal::open(&config).unwrap();
            assert_eq!(journal.depth(), WRITES + round, "damage {number} to {}", path.display());
            let is_told = *path == config.path && !kept_files(folder.path()).is_empty();
            assert!(journal.damaged().is_none_or(|(kept, unreadable)| is_told && kept.exists() && *unreadable == 0));
            journal.accept(state(WRITES + round), 1).await.unwrap();
            journal.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_to_both_costs_what_neither_has() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    fill_with_copy(&config, WRITES).await;
    overwrite(&config.path, 10 * 4096, 4096);
    overwrite(&config.path, 0, 100);
    overwrite(&copy_of(&config), 20 * 4096, 4096);
    assert_eq!(salvaged(&config), WRITES);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_killed_process_may_be_damaged_where_there_is_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let config = killed_with_copy(folder.path(), 200).await;
    fs::write(log_of(&config), b"nothing of a log").unwrap();
    assert_eq!(salvaged(&config), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_at_a_damaged_spool_shows_what_is_left_and_changes_nothing() {
    let cut = |path: &Path, length| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
    let damages: [&dyn Fn(&Path); 4] =
        [&|path| overwrite(path, 0, 100), &|path| overwrite(path, 0, usize::MAX / 2), &|path| cut(path, 0), &|path| {
            cut(path, 100)
        }];
    for (with_copy, damage) in [true, false].into_iter().flat_map(|copy| damages.map(|damage| (copy, damage))) {
        let folder = tempfile::tempdir().unwrap();
        let config = killed_with_copy(folder.path(), 200).await;
        if !with_copy {
            for file in ["", "-wal", "-shm"] {
                let _ = fs::remove_file(crate::files::with_suffix(&copy_of(&config), file));
            }
        }
        damage(&config.path);
        let files = || {
            let folder = fs::read_dir(config.path.parent().unwrap()).unwrap();
            let names = folder.map(|entry| entry.unwrap().path());
            // SQLite's index of a log comes and goes.
            let names = names.filter(|name| !name.to_string_lossy().ends_with("-shm"));
            names.map(|name| (fs::read(&name).unwrap(), name)).collect::<std::collections::BTreeSet<_>>()
        };
        let before = files();
        let shown = inspect(&config.path);
        assert!(before == files(), "something was changed");
        // The log has all of it.
        assert_eq!(shown.unwrap().entries.len(), 200);
        assert_eq!(Journal::open(&config).unwrap().depth(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_writes_are_in_the_copy_too() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let journal = Journal::open(&config).unwrap();
    let sequence = journal.accept(state(1), 1).await.unwrap();
    journal.accept(state(2), 1).await.unwrap();
    journal.reject(sequence, "too long".into()).await.unwrap();
    journal.close().await;
    overwrite(&config.path, 0, usize::MAX / 2);
    let journal = Journal::open(&config).unwrap();
    assert_eq!((journal.depth(), journal.rejected()), (1, 1));
    assert_eq!(inspect(&config.path).unwrap().rejected[0].1, "too long");
}

/// A spool that has only a write that was refused.
async fn refused(folder: &Path) -> SpoolConfig {
    let config = config(folder);
    let journal = Journal::open(&config).unwrap();
    let sequence = journal.accept(state(1), 1).await.unwrap();
    journal.reject(sequence, "too long".into()).await.unwrap();
    journal.close().await;
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_writes_outlive_a_spool_that_is_removed_or_damaged() {
    let damages: [fn(&SpoolConfig); 3] = [
        |config| fs::remove_file(&config.path).unwrap(),
        |config| {
            let bytes = fs::read(&config.path).unwrap();
            let place = bytes.windows(7).rposition(|bytes| bytes == b"message").unwrap();
            overwrite(&config.path, place, 1);
        },
        |config| {
            fs::remove_file(&config.path).unwrap();
            // Of the copy the header alone is damaged.
            overwrite(&copy_of(config), 0, 100);
        },
    ];
    for damage in damages {
        let folder = tempfile::tempdir().unwrap();
        let config = refused(folder.path()).await;
        damage(&config);
        for _ in 0..2 {
            assert_eq!(Journal::open(&config).unwrap().rejected(), 1);
            assert_eq!(inspect(&config.path).unwrap().rejected[0].1, "too long");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_is_missing_and_its_copy_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    fill_with_copy(&config, WRITES).await;
    fs::remove_file(&config.path).unwrap();
    overwrite(&copy_of(&config), 10 * 4096, 4096);
    assert_eq!(inspect(&config.path).unwrap_or_default().rejected.len(), 0);
    let journal = Journal::open(&config).unwrap();
    let (lost, (_, unreadable)) = ((WRITES - journal.depth()) as u64, journal.damaged().unwrap());
    assert!(lost > 0 && lost <= *unreadable && *unreadable < 200, "{lost} lost, {unreadable} reported");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_looks_like_a_later_format_or_no_spool_may_be_damage() {
    for statement in ["PRAGMA user_version = 9", "ALTER TABLE rejected_writes RENAME TO rejected_writfs"] {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        fill_with_copy(&config, 10).await;
        rusqlite::Connection::open(&config.path).unwrap().execute_batch(statement).unwrap();
        assert_eq!(salvaged(&config), 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_lies_where_the_copy_belongs_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    fill(&config, 10).await;
    // As somebody makes a backup, and goes on.
    fs::copy(&config.path, copy_of(&config)).unwrap();
    let journal = Journal::open(&config).unwrap();
    journal.accept(state(11), 1).await.unwrap();
    journal.close().await;
    let backup = fs::read(&config.path).unwrap();
    fs::remove_file(copy_of(&config)).unwrap();
    fs::write(copy_of(&config), b"somebody's notes").unwrap();
    drop(Journal::open(&config).unwrap());
    let kept = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let kept: Vec<_> = kept.filter(|path| path.to_string_lossy().contains("spool-copy.damaged-")).collect();
    assert_eq!(kept.iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>(), [b"somebody's notes"]);
    assert!(fs::read(&config.path).unwrap().len() == backup.len() && Journal::open(&config).unwrap().depth() == 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_works_where_its_copy_cannot_be_made() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    fs::create_dir(copy_of(&config)).unwrap();
    let journal = Journal::open(&config).unwrap();
    journal.accept(state(1), 1).await.unwrap();
    journal.close().await;
    assert_eq!(Journal::open(&config).unwrap().depth(), 1);
}

#[tokio::test]
async fn what_is_no_spool_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    for (content, reason) in [(&b"a text that is no database at all"[..], "not a database"), (&[0; 8192], "")] {
        fs::write(&config.path, content).unwrap();
        // The second start must not take it for a spool of the first.
        for _ in 0..2 {
            let error = Journal::open(&config).err().unwrap();
            assert!(matches!(error, SpoolError::NotSpool { .. }), "{error:?}");
            assert!(error.to_string().contains(reason), "{error}");
            assert_eq!(fs::read(&config.path).unwrap(), content);
        }
    }
    let other = rusqlite::Connection::open(folder.path().join("other")).unwrap();
    other.execute_batch("CREATE TABLE message_states (id)").unwrap();
    let error = Journal::open(&SpoolConfig { path: folder.path().join("other"), limit: 1 }).err().unwrap();
    assert!(error.to_string().contains("is not a spool (it is a database without its tables)"), "{error}");
}

#[tokio::test]
async fn a_later_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    fill(&config, 1).await;
    rusqlite::Connection::open(&config.path).unwrap().execute_batch("PRAGMA user_version = 2").unwrap();
    let error = Journal::open(&config).err().unwrap();
    assert!(error.to_string().ends_with("has format 2, but this host supports format 1: update the host"), "{error}");
}

#[tokio::test]
async fn two_names_of_one_spool_lead_to_one_lock() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let linked = SpoolConfig { path: folder.path().join("link"), ..config.clone() };
    std::os::unix::fs::symlink("spool", &linked.path).unwrap();
    // Also while there is none yet.
    let journal = Journal::open(&linked).unwrap();
    journal.accept(state(1), 1).await.unwrap();
    assert!(matches!(Journal::open(&config), Err(SpoolError::InUse { .. })));
    journal.close().await;
    assert_eq!(Journal::open(&config).unwrap().depth(), 1);
    assert!(!folder.path().join("link-lock").exists() && !folder.path().join("link-copy").exists());
}
