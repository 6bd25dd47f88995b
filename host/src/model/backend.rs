//! The description of a backend, and its limits.

use std::time::Duration;

use crate::engines::Engine;

/// The description of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// A short name, such as `sqlite`.
    pub name: String,
    /// The backend's own version.
    pub version: String,
    /// The database it needs.
    pub engine: Engine,
    /// The newest schema version that it supports.
    pub schema_version: u32,
}

/// Instances of a backend that were discarded after an operation, by cause. The next operation gets a fresh one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discards {
    /// The operation's deadline passed, or its future was dropped.
    pub given_up: u64,
    /// The backend trapped.
    pub trapped: u64,
    /// It ran into a limit on memory, tables, computing time or statements.
    pub at_limit: u64,
    /// It kept a connection or left a transaction open.
    pub left_behind: u64,
}

impl Discards {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.given_up + self.trapped + self.at_limit + self.left_behind
    }
}

/// The resource limits of a backend. There is no `Default`, so that nobody builds an unlimited store by accident: start
/// from [`Limits::standard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory of one instance.
    pub memory: usize,
    /// Elements of one table.
    pub table_elements: usize,
    /// Time spent computing in one operation, not counting what the host does for it; enforced to about 10
    /// milliseconds.
    pub compute: Duration,
    /// Rows of one result, of a statement or of an operation.
    pub result_rows: u32,
    /// Bytes of one result, of a statement or of an operation.
    pub result_bytes: usize,
    /// Bytes of text and blobs among the parameters of one statement.
    pub parameter_bytes: usize,
    /// Connections that one operation may lease at the same time.
    pub connections: usize,
    /// Statements that one instance may have declared at the same time.
    pub statements: usize,
    /// Resources of WASI that one instance may hold at the same time.
    pub resources: usize,
    /// Bytes of output that reach the log in one operation; the rest is dropped.
    pub output: usize,
    /// Instances of the component that may exist, which is the number of operations that can run at a time.
    pub instances: usize,
}

impl Limits {
    /// Generous for a correct backend: a list of a million rows fits, and one operation computes for a few milliseconds at
    /// most.
    pub const fn standard() -> Self {
        Self {
            memory: 512 << 20,
            table_elements: 20_000,
            compute: Duration::from_secs(5),
            result_rows: 4_000_000,
            result_bytes: 256 << 20,
            parameter_bytes: 16 << 20,
            connections: 2,
            statements: 256,
            resources: 512,
            output: 16 << 10,
            instances: 64,
        }
    }
}
