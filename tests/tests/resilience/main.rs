//! A storage outlives its database: real servers that are stopped and started, real files that are locked and damaged.

mod breaker;
mod command;
mod rig;
mod shutdown;
mod spool;
mod start;
