//! The log of SQLite stays bounded.
