//! Cofferdam's plugins measured beside the bare drivers and beside sqlx.
//!
//! - [`shared`]: the rows, keys, statements and checks, which are the same for every contestant.
//! - [`contestant`]: what all contestants have in common.
//! - [`plugin`], [`driver`], [`sqlx`]: the three of them.
//! - [`arena`]: makes the databases, runs a contestant and looks at what it left.
//! - [`scratch`]: the databases themselves.

pub mod arena;
pub mod contestant;
pub mod driver;
pub mod model;
pub mod plugin;
pub mod scratch;
pub mod shared;
pub mod sqlx;
