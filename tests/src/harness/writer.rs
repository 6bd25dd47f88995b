//! `cofferdam-test-writer`: another process on the same database.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::plugins;

/// Where it is. Cargo builds it for the tests of this crate.
///
/// # Errors
///
/// It is not built.
pub fn path() -> Result<PathBuf> {
    let path: PathBuf = [plugins::TARGET_DIR, plugins::PROFILE, "cofferdam-test-writer"].iter().collect();
    ensure!(path.is_file(), "{} is not there: cargo build --bin cofferdam-test-writer", path.display());
    Ok(path)
}

/// Another process that has a SQLite file locked for writing, or reads it without ending, until this is dropped.
pub struct Locker(Child);

impl Locker {
    /// Locks the file, waiting for its turn.
    ///
    /// # Errors
    ///
    /// The file cannot be locked.
    pub fn start(file: &Path) -> Result<Self> {
        Self::holding("lock", "locked\n", file)
    }

    /// Begins to read the file, as it is now.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn reading(file: &Path) -> Result<Self> {
        Self::holding("read", "reading\n", file)
    }

    /// The number of the process.
    pub fn process(&self) -> u32 {
        self.0.id()
    }

    fn holding(how: &str, held: &str, file: &Path) -> Result<Self> {
        let mut command = Command::new(path()?);
        let mut process = command.arg(how).arg(file).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("output")?).read_line(&mut line)?;
        let locker = Self(process);
        ensure!(line == held, "the file was not held; the error is above");
        Ok(locker)
    }

    /// Unlocks it, and waits until that is done.
    ///
    /// # Errors
    ///
    /// The process failed.
    pub fn unlock(mut self) -> Result<()> {
        drop(self.0.stdin.take());
        let status = self.0.wait()?;
        ensure!(status.success(), "the process that locked the file ended with {status}");
        Ok(())
    }
}

impl Drop for Locker {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Another process that reads rows of a SQLite file, and has metrics that nobody reads. It ends when this is dropped.
pub struct Worker {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Worker {
    /// Opens the file.
    ///
    /// # Errors
    ///
    /// The process does not start.
    pub fn start(file: &Path) -> Result<Self> {
        let mut command = Command::new(path()?);
        command.args(["count", "sqlite"]).arg(file);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(process.stdout.take().context("output")?);
        Ok(Self { process, output })
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Has it read so often, and says how many operations its metrics have counted since the start.
    ///
    /// # Errors
    ///
    /// An operation fails; the error is above.
    pub fn work(&mut self, times: u64) -> Result<u64> {
        writeln!(self.process.stdin.as_mut().context("input")?, "{times}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        line.trim().parse().context("the process ended; the error is above")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
