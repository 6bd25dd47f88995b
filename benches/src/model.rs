//! The values that the contestants of this package build; `shared` asks for them here.

pub use cofferdam::{MessageState, ThreadOwnership};
