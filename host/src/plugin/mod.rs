//! stub
mod limits;
mod inspect;
pub use inspect::{inspect, Inspection, PluginError};
pub use limits::Limits;
