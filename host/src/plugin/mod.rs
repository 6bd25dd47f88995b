//! Runs components: knows wasmtime, and no database driver.
//!
//! - `inspect` reads a component's names and versions before anything is compiled.
//! - `component` compiles and links it, `cache` keeps the compiled code.
//! - `engine` holds the one constructor of the engine and the clock that interrupts guests.
//! - `state` is what an instance owns: WASI without grants, limits, its view of the database.
//! - `load` makes instances of a component and asks what it is.
//! - `instances` lends instances to operations and throws away those that failed, `idle` keeps them for the next call, and
//!   `account` counts what they cost, `failures` decides whether a plugin is paused, and whether it stands its trial.
//! - `last_good` keeps a copy of a component that worked.

mod account;
mod cache;
mod component;
mod engine;
mod error;
mod failures;
mod idle;
mod inspect;
mod instances;
pub(crate) mod last_good;
mod load;
mod output;
mod state;

pub use error::PluginError;
pub use inspect::{CONTRACT_VERSION, Inspection, inspect};

use std::sync::Arc;

use crate::clock::SystemClock;
pub use crate::config::{Embedded, Origin, PluginNotFound};
use crate::model::Description;
pub use crate::model::Limits;

/// Compiles a component and returns its description, without a database.
///
/// # Errors
///
/// As [`inspect`], or the component does not match the contract or fails.
pub fn describe(origin: impl Into<Origin>) -> Result<Description, PluginError> {
    let limits = Limits { instances: 1, ..Limits::standard() };
    let (clock, account) = (Arc::new(SystemClock), Arc::default());
    let setup = Setup { cache: None, limits, clock, account, pace: Pace::Alone, keep: false };
    let instances = Instances::load(Contents::read(origin.into())?, setup)?;
    Ok(Description::clone(instances.description()))
}

#[cfg(feature = "metrics")]
pub(crate) use component::loads;
pub(crate) use failures::{TRIAL, Verdict};
pub(crate) use inspect::Contents;
pub(crate) use instances::{Entry, Instances};
pub(crate) use load::{Pace, Setup};
