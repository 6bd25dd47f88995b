//! The backend for SQLite as it is, with a clock that a test sets.

#[path = "../clocked/clock.rs"]
mod clock;
#[path = "../../../plugins/sqlite/src/lib.rs"]
mod sqlite;
