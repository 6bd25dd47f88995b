//! The bare drivers, used as well as they can be.

pub mod mysql;
pub mod sqlite;
