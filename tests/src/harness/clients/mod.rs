//! The clients of `clients/`, driven over `cofferdam serve`.
//!
//! Each has a program in its language that reads a request a line, calls the client, and answers with a line. So one Rust test
//! tests them all, and the conformance suite runs over each.

mod language;
mod program;
mod rows;
mod storage;

pub use language::Language;
pub use program::{Program, Refusal};
pub use storage::{ClientHarness, is_of_clients};
