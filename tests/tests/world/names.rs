//! A name that nobody meant opens nothing.
