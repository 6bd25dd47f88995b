//! Runs components: knows wasmtime, and no database driver.
//!
//! - `inspect` reads a component's names and versions before anything is compiled.
//! - `component` compiles and links it, `cache` keeps the compiled code.
//! - `engine` holds the one constructor of the engine and the clock that interrupts guests.
//! - `state` is what an instance owns: WASI without grants, limits, its view of the database.
//! - `instances` keeps instances for the next call and throws away those that failed.

mod cache;
mod component;
mod engine;
mod error;
mod inspect;
mod instances;
mod output;
mod state;

pub use error::PluginError;
pub use inspect::{CONTRACT_VERSION, Inspection, inspect};

pub use crate::config::{Embedded, Origin, PluginNotFound};
use crate::model::Description;
pub use crate::model::Limits;

/// Compiles a component and returns its description, without a database.
///
/// # Errors
///
/// As [`inspect`], or the component does not match the contract or fails.
pub fn describe(origin: impl Into<Origin>) -> Result<Description, PluginError> {
    let clock = std::sync::Arc::new(crate::clock::SystemClock);
    let limits = Limits { instances: 1, ..Limits::standard() };
    Instances::load(origin.into(), None, None, limits, clock).map(|instances| instances.description().clone())
}

pub(crate) use instances::{Entry, Instances};
