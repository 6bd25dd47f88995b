//! The crate for authors of storage backends.
//!
//! A backend is a type that implements [`Backend`]: its SQL, its schema steps and the queries that describe existing
//! tables. This crate has everything that SQL backends share: validation, packed rows, transactions, schema upgrades,
//! migrations and error mapping. [`export_backend!`] turns the type into the exports of a component for the target
//! `wasm32-wasip2`. `README.md` beside this crate builds one from scratch.
//!
//! - [`dialect`]: the description of an engine, in texts and constants.
//! - [`bindings`]: the contract as generated types.
//! - `operations`, `transfer`, `migration`: the exports, over the texts of a dialect.
//! - `schema`: reads existing tables, compares them with the expected ones, runs missing steps.
//! - `session`: a lease of a connection and its prepared statements; `error`: the mapping from the database's errors to the
//!   contract's.
//! - `remarks`: remarks on the tables for an operator.
//! - `table`: a common view of the two tables and their packed rows.
//! - `apart`: rows for which the ordinary statement has no id.
//! - `rows`, `packed`: packed results and arguments, with a few copies for any number of cells.
//! - `merge`, `order`, `validate`, `time`, `script`: the rules, without a database.
#![warn(missing_docs)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod bindings;
pub mod dialect;

mod apart;
mod error;
mod merge;
mod migration;
mod operations;
mod order;
mod packed;
mod remarks;
mod rows;
mod schema;
mod script;
mod session;
mod table;
mod time;
mod transfer;
mod validate;

use std::marker::PhantomData;

pub use bindings::cofferdam::storage::sql::{Engine, Server};
pub use dialect::{
    Backend, Grade, INSERT_MESSAGE_STATES, INSERT_THREAD_OWNERSHIPS, LeftOutIndex, Look, Mend, Migration,
    RecordVersion, Repeated, RowLock, Scan, Statements, Upgrade,
};

/// The component of a [`Backend`]. Used by [`export_backend!`] only.
pub struct Component<B>(PhantomData<B>);

/// Exports a type that implements [`Backend`] as the component. Call it once in a component.
///
/// ```text
/// struct Sqlite;
/// impl cofferdam_guest::Backend for Sqlite { /* ... */ }
/// cofferdam_guest::export_backend!(Sqlite);
/// ```
#[macro_export]
macro_rules! export_backend {
    ($backend:ty) => {
        const _: () = {
            type Exported = $crate::Component<$backend>;
    $crate::bindings::export_component!(Exported with_types_in $crate::bindings);
        };
    };
}
