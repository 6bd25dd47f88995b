//! What crosses the wall between components and the host: knows wasmtime's types and the traits of `sql`, no engine and no driver.
//!
//! - `bindings` are generated from the contract; `convert` and `migration` translate between its types and the model's.
//! - `bridge` has the host functions of `wit/sql.wit`: the one place where components and databases meet.
//! - `limits` and `meter` are what a guest may use, and how that is measured.

pub(crate) mod bindings;
pub(crate) mod bridge;
pub(crate) mod convert;
pub(crate) mod limits;
pub(crate) mod meter;
mod migration;
