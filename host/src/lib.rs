//! A chat bot's state in SQLite or MySQL, through a storage backend that is a sandboxed WebAssembly component.
//!
//! A bot loads a [`ResilientStorage`] when it starts and works through [`StorageService`]: eleven asynchronous operations that
//! mean the same on every backend, each with a deadline, each cancelled by dropping its future, each failing with a
//! typed [`Error`] that says whether another try can help. Which backend it is, and where its database is, comes from
//! the environment ([`config::VARIABLES`]); the backend is a file that can be replaced without rebuilding the bot.
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use cofferdam::{MessageState, ResilientStorage, StorageService, Written};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Reads DATABASE_TYPE and its friends, and loads sqlite.wasm or mysql.wasm.
//!     let storage: Arc<dyn StorageService> = Arc::new(ResilientStorage::from_env()?);
//!     // Connects, creates what is missing, upgrades what is old. Where the database is away, it goes on without.
//!     storage.initialize().await?;
//!
//!     let state = MessageState::new("channel", None, "message", 1_700_000_000);
//!     match storage.upsert_message_state(&state).await {
//!         Ok(Written::Stored(())) => {}
//!         // With COFFERDAM_SPOOL: safe on the local disk, and on its way to the database.
//!         Ok(Written::Spooled) => {}
//!         Err(error) if error.is_retryable() => eprintln!("try again later: {error}"),
//!         Err(error) => return Err(error.into()),
//!     }
//!     for state in storage.get_message_states_within_window(Duration::from_secs(300)).await? {
//!         println!("{} was last seen at {}", state.channel_id, state.last_seen_timestamp);
//!     }
//!     storage.close().await?;
//!     Ok(())
//! }
//! ```
//!
//! It needs a tokio runtime with its timer enabled, of either kind. On a multi-threaded one what
//! blocks on SQLite's file runs in [`tokio::task::block_in_place`], so a [`tokio::task::LocalSet`] there is no place for a
//! storage.
//!
//! # The rooms
//!
//! - [`StorageService`] and [`TransferService`]: the operations, on [`MessageState`] and [`ThreadOwnership`].
//! - [`Error`] and [`ErrorKind`]: how they fail.
//! - [`ResilientStorage`]: what a bot works with. It starts without its database, repeats what can be mended, answers at
//!   once while the database is away, and keeps writes in a spool. [`resilience`] has its parts and its status.
//! - [`Storage`]: a loaded backend and its database, without any of that.
//! - [`config`]: what can be set, and the one place that reads the environment.
//! - [`files`]: which names of files can be meant, and whether two of them lead to one file.
//! - [`limit`] and [`threads`]: what a small machine lacks, and work that blocks.
//! - `snapshot`: all rows of a storage as a file, with the feature of that name.
//! - [`clock`]: what "now" is to a backend; tests set it.
//! - [`migrate`]: everything from one database to another, exactly, resumable and with a way back.
//! - [`plugin`]: components: what they are, their limits, why one cannot be used.
//! - [`sql`]: the pools of connections that are lent to backends.
//!
//! What happens is told to [`tracing`](https://docs.rs/tracing): a span `storage` at level debug for each operation, with
//! its name, backend, rows, outcome and duration in microseconds, and never with values or secrets; what a backend prints
//! at level info; what goes wrong in backends at warn and error.
#![warn(missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

pub mod clock;
pub mod config;
pub mod files;
pub mod limit;
pub mod migrate;
pub mod plugin;
#[cfg(feature = "snapshot")]
pub mod snapshot;
pub mod sql;

mod engines;
mod error;
mod hexadecimal;
mod model;
pub mod resilience;
mod service;
mod storage;
mod text;
pub mod threads;
mod wall;

pub use config::Config;
pub use error::{Error, ErrorKind, Result};
pub use model::{
    Description, ImportOutcome, MAX_ID_CHARACTERS, MessageKey, MessageState, OnEqual, RowCounts, ThreadOwnership,
    Written,
};
pub use resilience::{ResilientStorage, ResilientStorageBuilder};
pub use service::{StorageService, TransferService};
pub use storage::{Integrity, StartError, Storage, StorageBuilder, StorageStatus};
