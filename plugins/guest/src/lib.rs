//! What the author of a storage backend imports.
//!
//! A backend is a type that implements [`Backend`]: its SQL, its schema steps and the two queries that describe the
//! tables it finds. Everything that backends share is here, and [`export_backend!`] turns the type into the component's
//! exports. `README.md` beside this crate shows one from nothing.
//!
//! - [`dialect`]: what a backend says of its engine, all of it texts and constants.
//! - [`bindings`]: the contract as generated types.
//! - `operations`, `transfer`, `migration`: the exports, over the texts of a dialect.
//! - `schema`: reads the tables that are there, compares them with what they should be, runs the missing steps.
//! - `session`: a lease of a connection and the statements that are kept prepared; `error`: the one place that turns
//!   the database's errors into the contract's.
//! - `remarks`: what an operator should know of the tables.
//! - `table`: the two tables and packed rows of them, seen alike.
//! - `apart`: rows whose ordinary statement finds no id for them.
//! - `rows`, `packed`: packed results and arguments, a few copies however many cells they have.
//! - `merge`, `order`, `validate`, `time`, `script`: the rules, without a database.
#![warn(missing_docs)]

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

/// The component that a [`Backend`] makes. Named by [`export_backend!`] only.
pub struct Component<B>(PhantomData<B>);

/// Makes a type that implements [`Backend`] the component's exports. Once in a component.
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
