//! A folder with a SQLite file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// A folder of one test, which goes when this is dropped.
#[derive(Debug)]
pub struct SqliteFolder {
    folder: TempDir,
}

impl SqliteFolder {
    /// A new, empty folder.
    ///
    /// # Errors
    ///
    /// The folder for temporary files cannot be written.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("cofferdam-sqlite-").tempdir()?;
        Ok(Self { folder })
    }

    /// A new, empty folder in another one, such as a small disk.
    ///
    /// # Errors
    ///
    /// That cannot be written.
    pub fn inside(folder: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("cofferdam-sqlite-").tempdir_in(folder)?;
        Ok(Self { folder })
    }

    /// A new folder whose database is a copy of `original`.
    ///
    /// # Errors
    ///
    /// `original` cannot be copied.
    pub fn with_copy_of(original: &Path) -> Result<Self> {
        let folder = Self::new()?;
        std::fs::copy(original, folder.database()).with_context(|| format!("cannot copy {}", original.display()))?;
        Ok(folder)
    }

    /// Where the database is, or will be.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("bot_state.db")
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}
