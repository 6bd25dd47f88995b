//! stub
mod inspect;
mod limits;
pub use inspect::{Inspection, PluginError, inspect};
pub use limits::Limits;
