#![doc = include_str!("../README.md")]
//!
//! # The rooms
//!
//! - [`Harness`] and [`Subject`]: storages to be tested, each with an empty database and a clock of its own.
//! - [`run_all`] and [`Report`]: every case at once, or [`run_some`] of them; [`cases`] and [`Case`]: one by one, for a test runner
//!   of your own.
//! - [`MemoryStorage`]: the reference, which says what the operations mean in the plainest way.
#![warn(missing_docs)]

mod cases;
mod harness;
mod memory;
mod report;

pub use async_trait::async_trait;

pub use self::cases::{Case, cases};
pub use self::harness::{BoxError, Harness, NOW, Service, Subject};
pub use self::memory::{MemoryHarness, MemoryStorage};
pub use self::report::{Failed, Failure, Report, run_all, run_some};
