//! What a SQLite file needs.

use std::path::{Path, PathBuf};

/// A SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteConfig {
    /// The file; its folder is created.
    pub path: PathBuf,
}

impl SqliteConfig {
    pub(super) fn file(&self) -> Option<&Path> {
        Some(&self.path)
    }

    /// A file is opened once anyway.
    pub(super) fn attempt_once(&mut self) {}
}
