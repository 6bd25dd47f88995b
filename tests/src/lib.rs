//! What Cofferdam's tests share, beside the suite in `conformance/`.
//!
//! [`faults`] is what a storage must survive, and [`harness`] starts the real servers, files, components and commands on
//! which the tests in `tests/` run.
#![warn(missing_docs)]

use cofferdam::Result;

pub mod faults;
pub mod harness;

/// The kind of the error that an operation ended with; `None` where it succeeded.
pub fn error_kind<T>(result: &Result<T>) -> Option<cofferdam::ErrorKind> {
    result.as_ref().err().map(cofferdam::Error::kind)
}
