//! The backend for MySQL as it is, with a clock that a test sets.

#[path = "../clocked/clock.rs"]
mod clock;
#[path = "../../../plugins/mysql/src/lib.rs"]
mod mysql;
