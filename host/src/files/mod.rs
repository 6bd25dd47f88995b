//! File names: validation, and whether two names are the same file; and files that several rooms read.
//!
//! - `slip`: leftovers in a text of a shell, an env file, a template or a person.
//! - `name`: [`FilePath`], a validated name. Every variable, option and SPEC that takes a file goes through it.
//! - `problem`: what is wrong with a name, in a sentence.
//! - `contents`: the kind of a file, from its first bytes.
//! - `identity`: [`Whereabouts`], the location of a name, whether the file exists or not; [`is_same`].
//! - `links`: files with several names, and files that are mounts of their own.
//! - `small`: passwords, tokens and certificates in files, read without waiting for long.
//! - `authorities`: certificates of authorities.

mod authorities;
mod contents;
mod identity;
mod links;
mod name;
mod problem;
pub(crate) mod slip;
mod small;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub(crate) use self::authorities::authorities;
#[cfg(feature = "snapshot")]
pub(crate) use self::contents::irreplaceable;
pub(crate) use self::contents::{SQLITE, head};
pub(crate) use self::identity::FileId;
pub use self::identity::{Whereabouts, is_same};
pub(crate) use self::links::{Hazard, hazard};
pub use self::name::{FilePath, FileUse};
pub use self::problem::FileNameError;
pub(crate) use self::small::Start;
pub use self::small::read_small;

/// A file beside another one.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The files that SQLite has for a database at this path: itself, and its logs, which lie beside what a link leads to.
pub fn of_sqlite(path: &Path) -> Vec<PathBuf> {
    let real = Whereabouts::of(path).path();
    ["", "-wal", "-shm", "-journal"].map(|suffix| with_suffix(&real, suffix)).into()
}

/// A name by which SQLite reads a file as one that nobody changes: without its log, without locks, and making neither.
pub fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(byte)),
            other => uri.push_str(&format!("%{other:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

/// The file of the marks that belong to a spool.
pub fn marks_beside(spool: &Path) -> PathBuf {
    with_suffix(spool, ".mirror")
}

/// The files of a spool at this path: itself, its copy, its lock, what is made while a damaged one is renewed, and the same of
/// the marks of a mirror.
pub(crate) fn of_spool(path: &Path) -> Vec<PathBuf> {
    let path = Whereabouts::of(path).path();
    let mut files = Vec::new();
    for spool in [marks_beside(&path), path] {
        files.push(with_suffix(&spool, "-lock"));
        for part in ["", "-copy", ".new", ".fresh", ".salvage"] {
            files.extend(of_sqlite(&with_suffix(&spool, part)));
        }
    }
    files
}
