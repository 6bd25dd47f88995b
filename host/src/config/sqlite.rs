//! What a SQLite file needs.

use std::path::{Path, PathBuf};

use super::Claim;
use crate::files::of_sqlite;

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

    pub(super) fn claims(&self) -> Vec<Claim> {
        vec![Claim::written("DATABASE_PATH", of_sqlite(&self.path))]
    }

    /// A file is opened once anyway.
    pub(super) fn attempt_once(&mut self) {}
}
