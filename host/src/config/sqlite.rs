//! What a SQLite file needs.

use std::path::PathBuf;

use super::{Claim, Place};
use crate::files::of_sqlite;

/// A SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteConfig {
    /// The file; its folder is created.
    pub path: PathBuf,
}

impl SqliteConfig {
    pub(super) fn place(&self) -> Place<'_> {
        Place::File(&self.path)
    }

    pub(super) fn claims(&self) -> Vec<Claim> {
        vec![Claim::written("DATABASE_PATH", of_sqlite(&self.path))]
    }

    /// A file is opened once anyway.
    pub(super) fn attempt_once(&mut self) {}
}
