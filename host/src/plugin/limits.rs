use std::time::Duration;

/// What one instance of a backend may use. There is no `Default`: take [`Limits::standard`] and change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory.
    pub memory: usize,
    /// Elements of its tables together.
    pub table_elements: usize,
    /// Time spent computing in one operation, not counting what the host does for it.
    pub compute: Duration,
    /// Rows of one result, of a statement or an operation.
    pub result_rows: u32,
    /// Bytes of one result, of a statement or an operation.
    pub result_bytes: usize,
    /// Connections leased at the same time.
    pub connections: usize,
    /// Statements declared at the same time.
    pub statements: usize,
    /// Bytes of output that reach the log in one operation.
    pub output: usize,
    /// Instances of the component that may exist, which is the number of operations that can run at a time.
    pub instances: usize,
}

impl Limits {
    /// Generous for a backend that behaves: 64 MiB, 10,000 table elements, 2 seconds of computing, 5 million
    /// rows and 512 MiB of results...
    pub const fn standard() -> Self {
        Self {
            memory: 256 << 20,
            table_elements: 10_000,
            compute: Duration::from_secs(5),
            result_rows: 4_000_000,
            result_bytes: 128 << 20,
            connections: 4,
            statements: 64,
            output: 16 << 10,
            instances: 64,
        }
    }
}
