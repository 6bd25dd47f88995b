//! What every contestant shares, whatever package it is in: the rows, the order of the keys, the texts of the
//! statements, the checks of the answers and the way in which callers are run.
//!
//! This folder is compiled into two packages. Each has a module `model` with a `MessageState` and a `ThreadOwnership`.

pub mod callers;
pub mod operation;
pub mod rows;
pub mod statements;
