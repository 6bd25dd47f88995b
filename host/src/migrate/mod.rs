//! Moving data between storages, and keeping it outside of them.

#[cfg(feature = "snapshot")]
pub mod snapshot;
