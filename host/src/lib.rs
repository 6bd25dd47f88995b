//! Cofferdam: a chat bot's state in SQLite or MySQL, through a storage backend that is a sandboxed
//! WebAssembly component.
#![warn(missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

pub mod clock;
pub mod config;
pub mod plugin;
pub mod sql;

mod bridge;
mod error;
mod model;
mod service;
mod storage;

pub use config::Config;
pub use error::{Error, ErrorKind, Result};
pub use model::{ImportOutcome, MAX_ID_CHARACTERS, MessageKey, MessageState, ThreadOwnership};
pub use service::{StorageService, TransferService};
pub use storage::{Description, StartError, Storage, StorageBuilder, StorageStatus};
