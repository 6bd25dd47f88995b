//! A chat bot's state in SQLite or MySQL, through a storage backend that is a sandboxed WebAssembly component.
//!
//! A bot creates a [`ResilientStorage`] when it starts and works through [`StorageService`]: eleven asynchronous operations
//! with the same behaviour on every backend. Each operation has a deadline. Dropping its future cancels it. It fails with a
//! typed [`Error`] that says whether a retry can help. The environment ([`config::VARIABLES`]) chooses the backend and its
//! database. The backends for SQLite and MySQL are embedded (feature `backends`, on by default). A file takes precedence: you
//! replace a backend without rebuilding the bot ([`config::PluginSource`]).
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use cofferdam::{MessageState, ResilientStorage, StorageService, Written};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Read the environment (DATABASE_TYPE, DATABASE_PATH, MYSQL_HOST, ...) and load the backend for it.
//!     let storage: Arc<dyn StorageService> = Arc::new(ResilientStorage::from_env()?);
//!     // Connect, create missing tables, upgrade an older schema. If the database is unavailable, start without it.
//!     storage.initialize().await?;
//!
//!     let state = MessageState::new("channel", None, "message", 1_700_000_000);
//!     match storage.upsert_message_state(&state).await {
//!         // Acknowledged by the database.
//!         Ok(Written::Stored(())) => {}
//!         // With COFFERDAM_SPOOL: durable on the local disk, and replayed when the database is back.
//!         Ok(Written::Spooled) => {}
//!         // Upserts are idempotent, so a retry is safe.
//!         Err(error) if error.is_retryable() => eprintln!("retry later: {error}"),
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
//! The library needs a tokio runtime of either kind, with its timer enabled. On a multi-threaded runtime, blocking work on a
//! SQLite file runs in [`tokio::task::block_in_place`]. Do not use a storage inside a [`tokio::task::LocalSet`] there.
//!
//! # Modules
//!
//! - [`StorageService`] and [`TransferService`]: the operations, on [`MessageState`] and [`ThreadOwnership`].
//! - [`Error`] and [`ErrorKind`]: their errors.
//! - [`ResilientStorage`]: the storage for a bot. It starts without its database, retries, fails fast behind a circuit
//!   breaker, and keeps writes in a durable spool. [`resilience`] has its parts and its status.
//! - [`Storage`]: a loaded backend and its database, without resilience.
//! - [`config`]: the configuration, and the only reader of the environment.
//! - [`files`]: validation of file names, and whether two names are the same file.
//! - [`limit`] and [`threads`]: limits of the machine, and blocking work.
//! - `snapshot`: backups of all rows in one file; needs the feature of that name.
//! - [`latency`]: how long things took, as histograms.
//! - [`clock`]: the time that a backend sees; tests set it.
//! - `metrics` and `ops`: metrics for Prometheus, and a router with probes and a status page; features of these names.
//! - [`migrate`]: migration of all rows to another database, exact, resumable and with a rollback.
//! - [`plugin`]: components, their limits, and why one cannot be used.
//! - [`sql`]: the connection pools from which backends borrow.
//! - `traces`: spans of operations for a collector of OpenTelemetry's; needs the feature of that name.
//!
//! # Observability
//!
//! The library reports to [`tracing`](https://docs.rs/tracing). Each operation has a span `storage` at level debug, with its
//! name, backend, rows, outcome and duration in microseconds, and never with values or secrets. Those of a [`ResilientStorage`]
//! are in a span `operation`, with the names that OpenTelemetry gives what a client of a database does. Output of a backend is logged
//! at level info, its failures at warn and error.
#![warn(missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod clock;
pub mod config;
pub mod files;
pub mod limit;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod migrate;
#[cfg(feature = "ops")]
pub mod ops;
pub mod plugin;
#[cfg(feature = "snapshot")]
pub mod snapshot;
pub mod sql;
#[cfg(feature = "traces")]
pub mod traces;

mod engines;
mod error;
mod hexadecimal;
pub mod latency;
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
    Description, Discards, ImportOutcome, MAX_ID_CHARACTERS, MessageKey, MessageState, OnEqual, RowCounts,
    ThreadOwnership, Written,
};
pub use resilience::{ResilientStorage, ResilientStorageBuilder, SwapError, SwapReport, SwapRequest};
pub use service::{StorageService, TransferService};
pub use storage::{Integrity, PluginPause, StartError, Storage, StorageBuilder, StorageStatus};
