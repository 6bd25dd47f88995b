//! stub
mod limits;
mod locate;
mod inspect;
pub use inspect::{Inspection, PluginError, describe, inspect};
pub use limits::Limits;
pub use locate::PluginNotFound;
