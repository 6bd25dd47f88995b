use crate::storage::Description;
use std::path::{Path, PathBuf};

/// What a component's file says of itself, read without running or compiling it.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// The version of `cofferdam:storage` that it speaks, such as `0.1.0`.
    pub contract: String,
    /// The names of what it imports, such as `cofferdam:storage/sql@0.1.0`.
    pub imports: Vec<String>,
    /// The names of what it exports.
    pub exports: Vec<String>,
}

/// Why a component cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("stub")]
pub struct PluginError;

/// Reads a component's file, without compiling it, and checks that this host can use it.
pub fn inspect(_path: &Path) -> Result<Inspection, PluginError> {
    unimplemented!()
}

/// Compiles a component and asks it, without a database, what it is.
pub fn describe(_path: &Path) -> Result<Description, PluginError> {
    unimplemented!()
}
