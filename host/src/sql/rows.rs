use super::error::{ErrorKind, Result, SqlError};

/// What the cells of one column are. A column without any value is [`Integer`](Self::Integer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Signed integers of 64 bits.
    Integer,
    /// Floating-point numbers of 64 bits.
    Real,
    /// Text in UTF-8.
    Text,
    /// Bytes.
    Blob,
    /// Values of several kinds.
    Mixed,
}

/// The most that one result may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResultLimits {
    /// Rows.
    pub rows: u32,
    /// Bytes of all cells together.
    pub bytes: usize,
}

/// A result, column after column, packed end to end. The layout is that of `rows` in `wit/sql.wit`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// How many rows there are.
    pub count: u32,
    /// The kind of each column.
    pub columns: Vec<ColumnKind>,
    /// The cells of the integer columns.
    pub integers: Vec<i64>,
    /// The cells of the real columns.
    pub reals: Vec<f64>,
    /// For each text, blob and mixed column `count + 1` offsets, into `text` or `bytes`.
    pub offsets: Vec<u32>,
    /// The cells of the text columns.
    pub text: String,
    /// The cells of the blob and mixed columns.
    pub bytes: Vec<u8>,
    /// The null cells as `column * count + row`, ascending.
    pub nulls: Vec<u32>,
}

/// stub
pub struct RowsBuilder;
