//! Faults of a SQLite file.
//!
//! What is done to the file is done by other processes: closing a file that this one has open elsewhere would drop the
//! locks that SQLite has on it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam::ErrorKind;
use cofferdam::config::{Config, PluginSource};
use cofferdam::resilience::Readiness;
use tokio::time::{Instant, sleep};

use super::Run;
use super::load::{Load, LoadOptions};
use super::look;
use super::opened::{Opened, spool_of};
use super::scene::{DEADLINE, Scene};
use super::strictness::unhurried;
use super::verdict::{Expected, Verdict};
use crate::harness::plugins;
use crate::harness::sqlite::SqliteFolder;
use crate::harness::storage::sqlite_config;
use crate::harness::tmpfs::Tmpfs;
use crate::harness::wait::until;
use crate::harness::writer::{self, Locker};

/// How long a fault lasts: beyond an operation's deadline where that is measured.
const LASTING: Duration = Duration::from_millis(1500);

/// The longest that a fault may take to be felt, so that a test ends.
const FELT: Duration = Duration::from_secs(60);

const MEBIBYTE: u64 = 1 << 20;

/// What callers see of a file that is gone or failing.
const AWAY: Expected = Expected::errors(&[ErrorKind::Unavailable]);

/// As [`AWAY`], where the file may be opened anew before a write meets it, or the write be repeated.
const UNNOTICED: Expected = Expected { is_felt: false, ..AWAY };

/// A file, and a storage on it.
struct Stage {
    file: PathBuf,
    opened: Opened,
    deadline: Duration,
}

impl Stage {
    async fn set(run: Run, file: PathBuf) -> Result<Self> {
        Self::with(run, file, plugins::SQLITE, unhurried()).await
    }

    /// With another backend than the usual one, or another deadline of operations.
    async fn with(run: Run, file: PathBuf, plugin: &str, deadline: Duration) -> Result<Self> {
        let config = Config { plugin: PluginSource::File(plugin.into()), ..sqlite_config(&file) };
        let opened = Opened::within(deadline, config, spool_of(run.guard)?).await?;
        Ok(Self { file, opened, deadline })
    }

    fn callers(&self) -> LoadOptions {
        LoadOptions::new(self.deadline)
    }

    /// Each write makes a row, so that the file grows.
    fn growing(&self) -> LoadOptions {
        LoadOptions { writes_per_row: 1, prefix: "x".repeat(200), ..self.callers() }
    }

    /// Another file beside it.
    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.file.clone().into_os_string();
        name.push(suffix);
        name.into()
    }

    /// Provokes a fault, closes the storage, and compares.
    async fn play(
        &self,
        fault: &str,
        expected: Expected,
        load: LoadOptions,
        provoke: impl AsyncFnOnce(&Load) -> Result<()>,
    ) -> Result<Verdict> {
        let scene = Scene { fault, expected, opened: &self.opened, load };
        let played = scene.play(provoke).await?;
        self.opened.service.close().await?;
        Ok(played.judge(&look::sqlite(&self.file)?))
    }
}

/// Runs a program to its end.
fn command(program: &str, arguments: &[&OsStr]) -> Result<()> {
    let mut process = Command::new(program);
    let output = process.args(arguments).stdin(Stdio::null()).output().with_context(|| format!("no {program}"))?;
    ensure!(output.status.success(), "{process:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

pub(super) async fn disk_full(name: &'static str, run: Run) -> Result<Verdict> {
    let mut disk = Tmpfs::mount(64 * MEBIBYTE)?;
    let stage = Stage::set(run, disk.path().join("bot_state.db")).await?;
    let expected = Expected::errors(&[ErrorKind::StorageFull, ErrorKind::Unavailable]);
    let verdict = stage
        .play(name, expected, stage.growing(), async |load| {
            let _filler = disk.fill()?;
            until("the disk is full", FELT, async || load.ledger().is_felt()).await?;
            sleep(LASTING).await;
            disk.resize(128 * MEBIBYTE)
        })
        .await?;
    drop(stage);
    Ok(verdict)
}

/// The backend traps in one operation of fifty, before its work or after.
pub(super) async fn traps(name: &'static str, run: Run) -> Result<Verdict> {
    let folder = SqliteFolder::new()?;
    let stage = Stage::with(run, folder.database(), plugins::guests::TRAPS_AT_RANDOM, unhurried()).await?;
    let expected = Expected::errors(&[ErrorKind::Internal, ErrorKind::Unavailable]);
    let lasting = if run.full { 10 * LASTING } else { LASTING };
    let mut verdict = stage
        .play(name, expected, stage.callers(), async |_| {
            sleep(lasting).await;
            Ok(())
        })
        .await?;
    let restarts = stage.opened.storage.status().storage.discards.total();
    verdict.notes.push(format!("{restarts} instances were thrown away"));
    Ok(verdict)
}

pub(super) async fn locked_briefly(name: &'static str, run: Run) -> Result<Verdict> {
    lock(run, name, Expected::NONE, unhurried(), DEADLINE / 2).await
}

pub(super) async fn locked(name: &'static str, run: Run) -> Result<Verdict> {
    // A caller whose turn comes at its deadline only may still get the lock in time to be late.
    let expected = Expected::errors(&[ErrorKind::Conflict, ErrorKind::Timeout]);
    lock(run, name, expected, DEADLINE, 2 * DEADLINE + DEADLINE / 2).await
}

async fn lock(run: Run, name: &str, expected: Expected, deadline: Duration, lasting: Duration) -> Result<Verdict> {
    let folder = SqliteFolder::new()?;
    let stage = Stage::with(run, folder.database(), plugins::SQLITE, deadline).await?;
    let mut verdict = stage
        .play(name, expected, stage.callers(), async |_| {
            let locker = Locker::start(&stage.file)?;
            sleep(lasting).await;
            locker.unlock()
        })
        .await?;
    // Or writes would be refused although the file is free again.
    let opened = stage.opened.storage.status().breaker.opened;
    if opened > 0 {
        verdict.broken.push(format!("a lock was taken for an unreachable database {opened} times"));
    }
    Ok(verdict)
}

/// The most that the log may have while nobody reads for long, with all that one group of writes may add.
const LOG: u64 = 68 * MEBIBYTE;

/// The log grows while somebody reads what was before, nobody waits for him longer than agreed, and it is short afterwards.
pub(super) async fn long_reader(name: &'static str, run: Run) -> Result<Verdict> {
    let folder = SqliteFolder::new()?;
    // Writers wait for him for a second at most.
    let deadline = unhurried().min(3 * DEADLINE);
    let stage = Stage::with(run, folder.database(), plugins::SQLITE, deadline).await?;
    let log = || std::fs::metadata(stage.beside("-wal")).map_or(0, |file| file.len());
    let largest = std::cell::Cell::new((0, 0));
    let mut verdict = stage
        .play(name, Expected::NONE, stage.growing(), async |_| {
            let reader = Locker::reading(&stage.file)?;
            until("the log has grown", FELT, async || log() > 2 * LOG).await?;
            let while_read = log();
            reader.unlock()?;
            until("the log is short again", FELT, async || log() <= LOG).await?;
            let mut afterwards = 0;
            let end = Instant::now() + if run.full { 10 * LASTING } else { LASTING };
            while Instant::now() < end {
                afterwards = log().max(afterwards);
                sleep(Duration::from_millis(5)).await;
            }
            largest.set((while_read, afterwards));
            Ok(())
        })
        .await?;
    let (while_read, afterwards) = largest.get();
    verdict.notes.push(format!(
        "the log had {} MiB, and {} MiB at most afterwards",
        while_read >> 20,
        afterwards >> 20
    ));
    if afterwards > LOG {
        verdict.broken.push("the log grew although nobody read for long".to_owned());
    }
    Ok(verdict)
}

/// The file has another name meanwhile, by which it is put back.
pub(super) async fn removed(name: &'static str, run: Run) -> Result<Verdict> {
    let folder = SqliteFolder::new()?;
    let stage = Stage::set(run, folder.database()).await?;
    let kept = stage.beside(".kept");
    stage
        .play(name, AWAY, stage.callers(), async |load| {
            std::fs::hard_link(&stage.file, &kept)?;
            std::fs::remove_file(&stage.file)?;
            until("the file is missed", FELT, async || load.ledger().is_felt()).await?;
            // What was committed before may still be on its way to its caller.
            sleep(LASTING / 2).await;
            let stored = || {
                let tally = load.ledger().tally();
                tally.acknowledged - tally.spooled
            };
            let before = stored();
            sleep(LASTING / 2).await;
            ensure!(stored() == before, "a write was acknowledged as stored without a file");
            ensure!(!stage.file.exists(), "the storage made a new file in place of the one that was removed");
            std::fs::rename(&kept, &stage.file)?;
            Ok(())
        })
        .await
}

/// What was written to it before must be in the file: SQLite has it open, and copies it there.
pub(super) async fn log_removed(name: &'static str, run: Run) -> Result<Verdict> {
    let folder = SqliteFolder::new()?;
    let stage = Stage::set(run, folder.database()).await?;
    stage
        .play(name, UNNOTICED, stage.callers(), async |_| {
            std::fs::remove_file(stage.beside("-wal"))?;
            until("there is a log again", FELT, async || stage.beside("-wal").exists()).await
        })
        .await
}

/// The copy is made while nobody writes, so that nothing that was acknowledged is missing in it.
pub(super) async fn replaced(name: &'static str, run: Run) -> Result<Verdict> {
    let folder = SqliteFolder::new()?;
    let stage = Stage::set(run, folder.database()).await?;
    let copy = stage.beside(".copy");
    stage
        .play(name, UNNOTICED, stage.callers(), async |load| {
            let paused = load.pause().await;
            let original = rusqlite::Connection::open(&stage.file)?;
            original.execute("VACUUM INTO ?", (copy.to_string_lossy(),))?;
            drop(original);
            std::fs::rename(&copy, &stage.file)?;
            drop(paused);
            // Readers look every 100 milliseconds, writers at once.
            sleep(LASTING / 3).await;
            Ok(())
        })
        .await
}

/// A disk that is read-only when the storage starts: nobody can make it so while a file is open for writing.
pub(super) async fn read_only_at_start(name: &'static str, run: Run) -> Result<Verdict> {
    let mut disk = Tmpfs::mount(64 * MEBIBYTE)?;
    let stage = Stage::set(run, disk.path().join("bot_state.db")).await?;
    let (mut answer, mut readiness) = (None, None);
    let mut verdict = stage
        .play(name, Expected::NONE, stage.callers(), async |load| {
            let _paused = load.pause().await;
            stage.opened.service.close().await?;
            disk.set_read_only(true)?;
            answer = Some(stage.opened.service.initialize().await);
            readiness = Some(stage.opened.storage.status().readiness);
            disk.set_read_only(false)?;
            // Where it did not start without its database.
            Ok(stage.opened.service.initialize().await?)
        })
        .await?;
    match answer {
        Some(Err(error)) if error.kind() == ErrorKind::PermissionDenied => {}
        Some(Ok(())) if readiness == Some(Readiness::Degraded) => {}
        answer => verdict.broken.push(format!("a start on a read-only disk was answered with {answer:?}")),
    }
    drop(stage);
    Ok(verdict)
}

/// As a disk that the system made read-only after an error: what is open for writing fails from then on.
pub(super) async fn read_only(name: &'static str, run: Run) -> Result<Verdict> {
    let folder = SqliteFolder::new()?;
    let stage = Stage::set(run, folder.database()).await?;
    let files = [stage.file.clone(), stage.beside("-wal")];
    let change = |how: &str| {
        let arguments: Vec<_> =
            [OsStr::new(how)].into_iter().chain(files.iter().map(|file| file.as_os_str())).collect();
        command("chattr", &arguments).context(
            "files cannot be made immutable: this needs root, and a folder for temporary files (TMPDIR) on ext4, xfs or \
             btrfs",
        )
    };
    let expected = Expected::errors(&[ErrorKind::PermissionDenied, ErrorKind::Unavailable]);
    let verdict = stage
        .play(name, expected, stage.callers(), async |load| {
            change("+i")?;
            let felt = until("the file is read-only", FELT, async || load.ledger().is_felt()).await;
            sleep(LASTING).await;
            change("-i")?;
            felt
        })
        .await;
    // Else the folder could not be removed.
    let _ = change("-i");
    verdict
}

pub(super) async fn corrupt(name: &'static str, run: Run) -> Result<Verdict> {
    damage(run, name, Pages::Middle).await
}

pub(super) async fn corrupt_header(name: &'static str, run: Run) -> Result<Verdict> {
    damage(run, name, Pages::First).await
}

/// Overwrites part of the file, and restores what the storage has not written anew meanwhile.
///
/// The log is empty then, and what connections remember is out of date, so that all is read from the file. The rows are
/// too many to be remembered.
async fn damage(run: Run, name: &str, pages: Pages) -> Result<Verdict> {
    let folder = SqliteFolder::new()?;
    let stage = Stage::set(run, folder.database()).await?;
    let copy = stage.beside(".copy");
    let mut lists = Vec::new();
    let expected = Expected::errors(&[ErrorKind::CorruptData]);
    let mut verdict = stage
        .play(name, expected, stage.growing(), async |load| {
            until("there are rows", FELT, async || load.ledger().tally().acknowledged > ROWS).await?;
            let paused = load.pause().await;
            checkpoint(&stage.file)?;
            command("cp", &[stage.file.as_os_str(), copy.as_os_str()])?;
            overwrite(&stage.file, pages)?;
            drop(paused);
            let end = Instant::now() + LASTING;
            while Instant::now() < end {
                lists.push(stage.opened.service.get_all_message_states().await.map(|states| states.len()));
                sleep(Duration::from_millis(50)).await;
            }
            let _paused = load.pause().await;
            restore(&stage.file, &copy)
        })
        .await?;
    for list in lists {
        match list {
            Err(error) if error.kind() == ErrorKind::CorruptData => {}
            list => verdict.broken.push(format!("a list of a damaged file was answered with {list:?}")),
        }
    }
    Ok(verdict)
}

/// A file that was damaged while nobody had it open is refused, and works once it is restored.
pub(super) async fn corrupt_at_start(name: &'static str, run: Run) -> Result<Verdict> {
    let folder = SqliteFolder::new()?;
    let stage = Stage::set(run, folder.database()).await?;
    let copy = stage.beside(".copy");
    let mut refusals = Vec::new();
    let mut verdict = stage
        .play(name, Expected::NONE, stage.growing(), async |load| {
            until("there are rows", FELT, async || load.ledger().tally().acknowledged > ROWS).await?;
            let _paused = load.pause().await;
            stage.opened.service.close().await?;
            command("cp", &[stage.file.as_os_str(), copy.as_os_str()])?;
            for pages in [Pages::Middle, Pages::First] {
                overwrite(&stage.file, pages)?;
                let refused = match stage.opened.service.initialize().await {
                    Ok(()) => stage.opened.service.get_all_message_states().await.map(|states| states.len()),
                    Err(error) => Err(error),
                };
                refusals.push(refused);
                stage.opened.service.close().await?;
                command("cp", &[copy.as_os_str(), stage.file.as_os_str()])?;
            }
            Ok(stage.opened.service.initialize().await?)
        })
        .await?;
    for refusal in refusals {
        match refusal {
            Err(error) if error.kind() == ErrorKind::CorruptData => {}
            answer => verdict.broken.push(format!("a damaged file was answered with {answer:?}")),
        }
    }
    Ok(verdict)
}

/// So many rows take more pages than a connection remembers.
const ROWS: u64 = 12_000;

/// SQLite's page size.
const PAGE: usize = 4096;

/// What damaged pages hold.
const GARBAGE: &str = "\\245";

/// Which pages are damaged.
#[derive(Clone, Copy)]
enum Pages {
    First,
    /// The middle half.
    Middle,
}

/// Has SQLite copy the whole log into the file.
fn checkpoint(file: &Path) -> Result<()> {
    let connection = rusqlite::Connection::open(file)?;
    connection.busy_timeout(FELT)?;
    // The storage may be at it already, and SQLite does not wait for that.
    let end = Instant::now() + FELT;
    while connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get::<_, i64>(0))? != 0 {
        ensure!(Instant::now() < end, "the log could not be copied into the file");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Has another process damage pages.
fn overwrite(file: &Path, pages: Pages) -> Result<()> {
    let total = usize::try_from(std::fs::metadata(file)?.len())? / PAGE;
    let (first, count) = match pages {
        Pages::First => (0, 1),
        Pages::Middle => (total / 4, total / 2),
    };
    let script = format!(
        "head -c {} /dev/zero | tr '\\0' '{GARBAGE}' | dd of=\"$1\" bs={PAGE} seek={first} conv=notrunc status=none",
        count * PAGE
    );
    command("sh", &["-c".as_ref(), script.as_ref(), "sh".as_ref(), file.as_os_str()])
}

/// Has another process restore the pages that are still damaged: the others were written anew, and are newer than the
/// copy.
fn restore(file: &Path, copy: &Path) -> Result<()> {
    command(writer::path()?.to_string_lossy().as_ref(), &["restore".as_ref(), file.as_os_str(), copy.as_os_str()])
}
