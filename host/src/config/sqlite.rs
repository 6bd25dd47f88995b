//! What a SQLite file needs.

use std::path::PathBuf;

/// A SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteConfig {
    /// The file; its folder is created.
    pub path: PathBuf,
}
