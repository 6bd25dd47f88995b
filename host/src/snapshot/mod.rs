//! Snapshots: all rows of a storage in one file, as a backup and for other programs.
//!
//! A snapshot is NDJSON in UTF-8, one JSON object per line, optionally compressed with zstd:
//!
//! ```text
//! {"format":"cofferdam-snapshot","version":1,"created_at":1769860800,"tool":"cofferdam 0.1.0","backend":{"name":"sqlite","version":"0.1.0","schema_version":2}}
//! {"type":"message_state","channel_id":"1","thread_id":null,"last_message_id":"7","last_seen_timestamp":1769860700,"created_at":1769000000,"updated_at":1769860700}
//! {"type":"thread_ownership","thread_id":"2","original_user_id":"3","created_by":"4","creation_time":1769860000,"created_at":1769860000,"updated_at":1769860000}
//! {"type":"trailer","message_states":1,"thread_ownerships":1,"sha256":"<64 hexadecimal digits>"}
//! ```
//!
//! States come first, then ownerships, each in key order, as [`TransferService`] exports them. The trailer's SHA-256 covers
//! all bytes before its line, uncompressed. A snapshot has every value except the ids.
//!
//! [`export`] and [`Verified`] work page by page, so memory does not grow with the rows. [`Verified`] reads the whole file
//! before it writes the first row: a file that is damaged anywhere changes nothing. Both are idempotent and may be stopped
//! at any point.
//!
//! An export is not a transaction: it has rows that are written meanwhile as they were before or after. In an import the
//! greater `updated_at` wins, so importing a snapshot into the storage that it came from never sets a row back.
//!
//! [`TransferService`]: crate::TransferService

mod error;
mod export;
mod file;
mod format;
mod import;
mod progress;
mod read;
mod rules;
#[cfg(test)]
mod tests;
mod write;

pub use error::SnapshotError;
pub use export::{Exported, export, export_to_file};
pub use file::{open, spool};
pub use format::{FORMAT, Header, Origin};
pub use import::{Imported, Verified};
pub use progress::{Phase, Progress};
pub use read::{Contents, verify};
pub use rules::{BrokenRules, OnBrokenRule};
pub use write::Compression;

/// The newest version of the format that is read, and the one that is written.
pub const VERSION: u32 = 1;
