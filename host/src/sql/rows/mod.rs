//! Results, packed column after column.

mod builder;

pub(super) use builder::Buffers;
pub use builder::RowsBuilder;

use super::Value;

/// The most that one result may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResultLimits {
    /// Rows.
    pub rows: u32,
    /// Bytes of all cells together: 8 for each cell, and the length of a text or blob. No more than 2 GiB count,
    /// so that offsets fit into 32 bits.
    pub bytes: usize,
}

/// A result, column after column, packed end to end. The layout is that of `rows` in `wit/sql.wit`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// How many rows there are.
    pub count: u32,
    /// How many columns there are.
    pub columns: u32,
    /// What the columns are, and all cells but text.
    pub packed: Vec<u8>,
    /// The cells of the text columns.
    pub text: String,
}

impl Rows {
    /// The rows, cell by cell, for those who do not mind an allocation for each.
    pub fn values(&self) -> Vec<Vec<Value>> {
        let (count, columns) = (self.count as usize, self.columns as usize);
        let mut rows: Vec<Vec<Value>> = (0..count).map(|_| Vec::with_capacity(columns)).collect();
        let (kinds, mut rest) = self.packed.split_at(columns);
        let mut text = self.text.as_str();
        for kind in kinds {
            let nulls = if kind & kind::NULLS == 0 { &[] } else { split(&mut rest, count.div_ceil(8)) };
            let is_null = |row: usize| nulls.get(row / 8).is_some_and(|byte| byte >> (row % 8) & 1 == 1);
            let width =
                if matches!(kind & !kind::NULLS, kind::INTEGER | kind::REAL) { 8 * count } else { 4 * count + 4 };
            let fixed = split(&mut rest, width);
            let offset = |row: usize| u32::from_le_bytes(chunk(fixed, row)) as usize;
            let content = match kind & !kind::NULLS {
                kind::BLOB | kind::MIXED => split(&mut rest, offset(count)),
                _ => &[],
            };
            for (row, cells) in rows.iter_mut().enumerate() {
                cells.push(match kind & !kind::NULLS {
                    _ if is_null(row) => Value::Null,
                    kind::INTEGER => Value::Integer(i64::from_le_bytes(chunk(fixed, row))),
                    kind::REAL => Value::Real(f64::from_le_bytes(chunk(fixed, row))),
                    kind::TEXT => Value::Text(text[offset(row)..offset(row + 1)].to_owned()),
                    kind::BLOB => Value::Blob(content[offset(row)..offset(row + 1)].to_vec()),
                    _ => tagged(&content[offset(row)..offset(row + 1)]),
                });
            }
            if kind & !kind::NULLS == kind::TEXT {
                text = &text[offset(count)..];
            }
        }
        rows
    }
}

fn split<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (head, tail) = rest.split_at(length);
    *rest = tail;
    head
}

fn chunk<const N: usize>(bytes: &[u8], index: usize) -> [u8; N] {
    std::array::from_fn(|byte| bytes[index * N + byte])
}

/// A cell of a mixed column.
fn tagged(cell: &[u8]) -> Value {
    match (cell[0], &cell[1..]) {
        (tag::INTEGER, content) => Value::Integer(i64::from_le_bytes(chunk(content, 0))),
        (tag::REAL, content) => Value::Real(f64::from_le_bytes(chunk(content, 0))),
        (tag::TEXT, content) => Value::Text(String::from_utf8_lossy(content).into_owned()),
        (tag::BLOB, content) => Value::Blob(content.to_vec()),
        _ => Value::Null,
    }
}

/// What a column's cells are, from `wit/sql.wit`.
mod kind {
    pub const INTEGER: u8 = 0;
    pub const REAL: u8 = 1;
    pub const TEXT: u8 = 2;
    pub const BLOB: u8 = 3;
    pub const MIXED: u8 = 4;
    /// Added where a map of the nulls follows.
    pub const NULLS: u8 = 128;
}

/// The tags of a mixed column's cells, from `wit/sql.wit`.
mod tag {
    pub const NULL: u8 = 0;
    pub const INTEGER: u8 = 1;
    pub const REAL: u8 = 2;
    pub const TEXT: u8 = 3;
    pub const BLOB: u8 = 4;
}
