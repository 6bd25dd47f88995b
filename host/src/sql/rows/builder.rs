use super::{ResultLimits, Rows, kind, tag};
use crate::sql::error::{ErrorKind, Result, SqlError};

/// What every cell costs towards [`ResultLimits::bytes`], so that nulls and empty texts are bounded too.
const CELL_BYTES: usize = 8;

#[derive(Clone, Copy)]
enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    /// Where its bytes begin in `data`, and how many there are.
    Text(u32, u32),
    Blob(u32, u32),
}

/// The most memory that [`Buffers`] keep between two results, in bytes.
const KEPT: usize = 8 << 20;

/// The memory that a connection builds its results in, kept from one to the next: a large result would otherwise
/// spend a good part of its time on pages that the system hands out anew.
#[derive(Default)]
pub(in crate::sql) struct Buffers {
    cells: Vec<Cell>,
    data: Vec<u8>,
    /// For each column the tags of its cells, as bits.
    seen: Vec<u8>,
}

/// Packs the cells that a database returns row by row, and refuses the first one beyond the limits.
///
/// Cells lie in one list in row order until [`finish`](Self::finish) turns them: that takes the same few
/// allocations for a single row as for many.
pub struct RowsBuilder {
    limits: ResultLimits,
    buffers: Buffers,
    next: usize,
    count: u32,
    bytes: usize,
}

impl RowsBuilder {
    /// An empty result with so many columns.
    pub fn new(columns: usize, limits: ResultLimits) -> Self {
        Self::reusing(Buffers::default(), columns, limits)
    }

    /// An empty result in the memory of an earlier one.
    pub(in crate::sql) fn reusing(mut buffers: Buffers, columns: usize, limits: ResultLimits) -> Self {
        buffers.cells.clear();
        buffers.data.clear();
        buffers.seen.clear();
        buffers.seen.resize(columns, 0);
        Self {
            limits: ResultLimits { rows: limits.rows, bytes: limits.bytes.min(1 << 31) },
            buffers,
            next: 0,
            count: 0,
            bytes: 0,
        }
    }

    /// The memory, for the next result.
    pub(in crate::sql) fn into_buffers(self) -> Buffers {
        let Buffers { cells, data, .. } = &self.buffers;
        let kept = cells.capacity() * size_of::<Cell>() + data.capacity();
        if kept > KEPT { Buffers::default() } else { self.buffers }
    }

    /// The next cell is NULL. As with the other kinds, a row's cells come in the order of its columns, and its
    /// first one begins the row.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Other`] where the row or the cell goes beyond the limits, as with the other kinds.
    pub fn null(&mut self) -> Result<()> {
        self.push(Cell::Null, 0, 0)
    }

    /// The next cell is an integer.
    pub fn integer(&mut self, value: i64) -> Result<()> {
        self.push(Cell::Integer(value), tag::INTEGER, 0)
    }

    /// The next cell is a floating-point number.
    pub fn real(&mut self, value: f64) -> Result<()> {
        self.push(Cell::Real(value), tag::REAL, 0)
    }

    /// The next cell is text, or a blob where [`finish`](Self::finish) finds that it is not UTF-8.
    pub fn text(&mut self, value: &[u8]) -> Result<()> {
        self.bytes(value, tag::TEXT, Cell::Text)
    }

    /// The next cell is bytes.
    pub fn blob(&mut self, value: &[u8]) -> Result<()> {
        self.bytes(value, tag::BLOB, Cell::Blob)
    }

    fn bytes(&mut self, value: &[u8], tag: u8, cell: fn(u32, u32) -> Cell) -> Result<()> {
        // Both fit: `push` refuses what is longer than the limit, which is at most 2 GiB.
        self.push(cell(self.buffers.data.len() as u32, value.len() as u32), tag, value.len())?;
        self.buffers.data.extend_from_slice(value);
        Ok(())
    }

    fn push(&mut self, cell: Cell, tag: u8, length: usize) -> Result<()> {
        if self.next == 0 {
            if self.count == self.limits.rows {
                return Err(SqlError::new(
                    ErrorKind::Other,
                    format!("the result has more than the {} rows that one result may have", self.limits.rows),
                ));
            }
            self.count += 1;
        }
        self.bytes = self.bytes.saturating_add(length).saturating_add(CELL_BYTES);
        if self.bytes > self.limits.bytes {
            return Err(SqlError::new(
                ErrorKind::Other,
                format!("the result has more than the {} bytes that one result may have", self.limits.bytes),
            ));
        }
        let Some(seen) = self.buffers.seen.get_mut(self.next) else {
            return Err(SqlError::new(ErrorKind::Other, "the database returned a cell beyond the last column"));
        };
        *seen |= 1 << tag;
        self.buffers.cells.push(cell);
        self.next = if self.next + 1 == self.buffers.seen.len() { 0 } else { self.next + 1 };
        Ok(())
    }

    /// The packed result.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CorruptData`] where text stays unreadable.
    pub fn finish(&mut self) -> Result<Rows> {
        if let Some(rows) = self.pack() {
            return Ok(rows);
        }
        for (place, cell) in self.buffers.cells.iter_mut().enumerate() {
            if let Cell::Text(start, length) = *cell {
                let content = &self.buffers.data[start as usize..start as usize + length as usize];
                if std::str::from_utf8(content).is_err() {
                    *cell = Cell::Blob(start, length);
                    let columns = self.buffers.seen.len();
                    self.buffers.seen[place % columns] |= 1 << tag::BLOB;
                }
            }
        }
        self.pack().ok_or_else(|| SqlError::new(ErrorKind::CorruptData, "a text of the result is not UTF-8"))
    }

    /// `None` where a text is not UTF-8.
    fn pack(&self) -> Option<Rows> {
        let (rows, columns) = (self.count as usize, self.buffers.seen.len());
        // Enough but for blobs: 8 bytes a number, 4 bytes an offset, and one more of those than there are rows.
        let mut packed = Vec::with_capacity(columns * (1 + rows.div_ceil(8) + 8 * rows + 4));
        packed.extend(self.buffers.seen.iter().map(|seen| kind_of(*seen)));
        let mut text = Vec::with_capacity(if self.has_text() { self.buffers.data.len() } else { 0 });
        for column in 0..columns {
            let kind = packed[column];
            if kind & kind::NULLS != 0 {
                self.pack_nulls(column, &mut packed);
            }
            match kind & !kind::NULLS {
                kind::INTEGER => self.pack_numbers(column, &mut packed, |cell| match cell {
                    Cell::Integer(value) => value.to_le_bytes(),
                    _ => [0; 8],
                }),
                kind::REAL => self.pack_numbers(column, &mut packed, |cell| match cell {
                    Cell::Real(value) => value.to_le_bytes(),
                    _ => [0; 8],
                }),
                kind::TEXT => self.pack_text(column, &mut packed, &mut text),
                _ => self.pack_bytes(column, &mut packed, kind == kind::MIXED)?,
            }
        }
        let text = self.check_text(text)?;
        // `seen` has a place for each column of a statement, which are few.
        Some(Rows { count: self.count, columns: columns as u32, packed, text })
    }

    fn is_text(&self, column: usize) -> bool {
        kind_of(self.buffers.seen[column]) & !kind::NULLS == kind::TEXT
    }

    fn has_text(&self) -> bool {
        (0..self.buffers.seen.len()).any(|column| self.is_text(column))
    }

    fn column(&self, column: usize) -> impl Iterator<Item = &Cell> {
        self.buffers.cells.iter().skip(column).step_by(self.buffers.seen.len().max(1))
    }

    fn slice(&self, start: u32, length: u32) -> &[u8] {
        &self.buffers.data[start as usize..start as usize + length as usize]
    }

    fn pack_nulls(&self, column: usize, packed: &mut Vec<u8>) {
        let start = packed.len();
        packed.resize(start + (self.count as usize).div_ceil(8), 0);
        for (row, cell) in self.column(column).enumerate() {
            packed[start + row / 8] |= u8::from(matches!(cell, Cell::Null)) << (row % 8);
        }
    }

    fn pack_numbers(&self, column: usize, packed: &mut Vec<u8>, number: impl Fn(&Cell) -> [u8; 8]) {
        let start = packed.len();
        packed.resize(start + 8 * self.count as usize, 0);
        for (place, cell) in packed[start..].chunks_exact_mut(8).zip(self.column(column)) {
            place.copy_from_slice(&number(cell));
        }
    }

    fn pack_text(&self, column: usize, packed: &mut Vec<u8>, text: &mut Vec<u8>) {
        let (start, before) = (packed.len(), text.len());
        packed.resize(start + 4 * (self.count as usize + 1), 0);
        for (place, cell) in packed[start + 4..].chunks_exact_mut(4).zip(self.column(column)) {
            if let Cell::Text(start, length) = *cell {
                text.extend_from_slice(self.slice(start, length));
            }
            place.copy_from_slice(&((text.len() - before) as u32).to_le_bytes());
        }
    }

    /// The cells of a column of blobs, or with their tags those of a mixed one.
    fn pack_bytes(&self, column: usize, packed: &mut Vec<u8>, is_mixed: bool) -> Option<()> {
        let start = packed.len();
        let bytes = start + 4 * (self.count as usize + 1);
        packed.resize(bytes, 0);
        for (row, cell) in self.column(column).enumerate() {
            if is_mixed {
                packed.push(cell.tag());
            }
            match *cell {
                Cell::Null => {}
                Cell::Integer(value) => packed.extend_from_slice(&value.to_le_bytes()),
                Cell::Real(value) => packed.extend_from_slice(&value.to_le_bytes()),
                Cell::Text(start, length) => {
                    let content = self.slice(start, length);
                    std::str::from_utf8(content).ok()?;
                    packed.extend_from_slice(content);
                }
                Cell::Blob(start, length) => packed.extend_from_slice(self.slice(start, length)),
            }
            let end = ((packed.len() - bytes) as u32).to_le_bytes();
            packed[start + 4 * (row + 1)..][..4].copy_from_slice(&end);
        }
        Some(())
    }

    /// One pass over all texts is several times as fast as one for each. What it cannot see is a character whose
    /// bytes lie in two cells, hence the look at the boundaries.
    fn check_text(&self, text: Vec<u8>) -> Option<String> {
        let text = String::from_utf8(text).ok()?;
        if text.is_ascii() {
            return Some(text);
        }
        let mut end = 0;
        for column in (0..self.buffers.seen.len()).filter(|column| self.is_text(*column)) {
            for cell in self.column(column) {
                if let Cell::Text(_, length) = *cell {
                    end += length as usize;
                    if !text.is_char_boundary(end) {
                        return None;
                    }
                }
            }
        }
        Some(text)
    }
}

/// What a column is whose cells have these tags.
fn kind_of(seen: u8) -> u8 {
    let nulls = if seen & 1 == 0 { 0 } else { kind::NULLS };
    let values = seen & !1;
    match values.trailing_zeros() as u8 {
        _ if values.count_ones() > 1 => kind::MIXED,
        tag::REAL => kind::REAL | nulls,
        tag::TEXT => kind::TEXT | nulls,
        tag::BLOB => kind::BLOB | nulls,
        _ => kind::INTEGER | nulls,
    }
}

impl Cell {
    fn tag(&self) -> u8 {
        match self {
            Self::Null => tag::NULL,
            Self::Integer(_) => tag::INTEGER,
            Self::Real(_) => tag::REAL,
            Self::Text(..) => tag::TEXT,
            Self::Blob(..) => tag::BLOB,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Value;

    const LIMITS: ResultLimits = ResultLimits { rows: 10, bytes: 1000 };

    /// Numbers as they lie in a packed result.
    fn bytes(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    fn offsets(all: &[u32]) -> Vec<u8> {
        all.iter().flat_map(|offset| offset.to_le_bytes()).collect()
    }

    #[test]
    fn columns_are_packed_end_to_end() {
        let mut builder = RowsBuilder::new(5, LIMITS);
        for (integer, text) in [(1, "é"), (2, "")] {
            builder.integer(integer).unwrap();
            builder.text(text.as_bytes()).unwrap();
            builder.real(0.5).unwrap();
            builder.blob(&[7]).unwrap();
            builder.null().unwrap();
        }
        for _ in 0..5 {
            builder.null().unwrap();
        }
        let rows = builder.finish().unwrap();
        let expected = bytes(&[
            &[128, 130, 129, 131, 128],
            &[0b100],
            &1_i64.to_le_bytes(),
            &2_i64.to_le_bytes(),
            &[0; 8],
            &[0b100],
            &offsets(&[0, 2, 2, 2]),
            &[0b100],
            &0.5_f64.to_le_bytes(),
            &0.5_f64.to_le_bytes(),
            &[0; 8],
            &[0b100],
            &offsets(&[0, 1, 2, 2]),
            &[7, 7],
            &[0b111],
            &[0; 24],
        ]);
        assert_eq!(rows, Rows { count: 3, columns: 5, packed: expected, text: "é".into() });
    }

    #[test]
    fn a_column_of_several_kinds_carries_tags() {
        let mut builder = RowsBuilder::new(1, LIMITS);
        builder.null().unwrap();
        builder.integer(-1).unwrap();
        builder.real(1.0).unwrap();
        builder.text(b"a").unwrap();
        builder.blob(b"b").unwrap();
        let expected = bytes(&[
            &[4],
            &offsets(&[0, 1, 10, 19, 21, 23]),
            &[0, 1],
            &(-1_i64).to_le_bytes(),
            &[2],
            &1.0_f64.to_le_bytes(),
            &[3, b'a', 4, b'b'],
        ]);
        assert_eq!(builder.finish().unwrap(), Rows { count: 5, columns: 1, packed: expected, text: String::new() });
    }

    #[test]
    fn nine_rows_have_two_bytes_of_nulls() {
        let mut builder = RowsBuilder::new(1, LIMITS);
        for row in 0..9 {
            if row % 8 == 0 { builder.null().unwrap() } else { builder.integer(row).unwrap() }
        }
        assert_eq!(builder.finish().unwrap().packed[..3], [128, 1, 1]);
    }

    #[test]
    fn an_empty_result_keeps_its_columns() {
        let rows = RowsBuilder::new(2, LIMITS).finish().unwrap();
        assert_eq!((rows.count, rows.columns, rows.packed), (0, 2, vec![0, 0]));
    }

    #[test]
    fn what_is_packed_can_be_read() {
        let mut builder = RowsBuilder::new(3, LIMITS);
        let all = [
            [Value::Integer(-1), Value::Text("é".into()), Value::Null],
            [Value::Null, Value::Null, Value::Real(0.5)],
            [Value::Integer(i64::MAX), Value::Text(String::new()), Value::Blob(vec![0])],
        ];
        for value in all.as_flattened() {
            match value {
                Value::Null => builder.null(),
                Value::Integer(value) => builder.integer(*value),
                Value::Real(value) => builder.real(*value),
                Value::Text(value) => builder.text(value.as_bytes()),
                Value::Blob(value) => builder.blob(value),
            }
            .unwrap();
        }
        assert_eq!(builder.finish().unwrap().values(), all);
    }

    #[test]
    fn one_row_or_byte_too_many_is_refused_by_name() {
        let mut builder = RowsBuilder::new(1, ResultLimits { rows: 1, bytes: 100 });
        builder.null().unwrap();
        let error = builder.null().unwrap_err();
        assert_eq!((error.kind, error.message.contains("1 rows")), (ErrorKind::Other, true), "{error}");

        let mut builder = RowsBuilder::new(1, ResultLimits { rows: 9, bytes: 10 });
        builder.text(b"ab").unwrap();
        let error = builder.null().unwrap_err();
        assert_eq!((error.kind, error.message.contains("10 bytes")), (ErrorKind::Other, true), "{error}");
        assert!(RowsBuilder::new(1, ResultLimits { rows: 9, bytes: 10 }).text(b"abc").is_err());
    }

    #[test]
    fn text_that_is_not_utf8_is_a_blob() {
        for (first, second) in [(&b"a\xff"[..], &b"b"[..]), (b"\xc3", b"\xa9")] {
            let mut builder = RowsBuilder::new(2, LIMITS);
            for value in [first, second, "\u{e9}".as_bytes()] {
                builder.integer(1).unwrap();
                builder.text(value).unwrap();
            }
            let found: Vec<_> = builder.finish().unwrap().values().into_iter().map(|mut row| row.remove(1)).collect();
            let expected = |value: &[u8]| match std::str::from_utf8(value) {
                Ok(text) => Value::Text(text.to_owned()),
                Err(_) => Value::Blob(value.to_vec()),
            };
            assert_eq!(found, [expected(first), expected(second), Value::Text("\u{e9}".into())]);
        }
    }

    #[test]
    fn text_of_a_mixed_column_is_looked_at_too() {
        let mut builder = RowsBuilder::new(1, LIMITS);
        builder.integer(1).unwrap();
        builder.text(b"\xff").unwrap();
        assert_eq!(builder.finish().unwrap().values(), [[Value::Integer(1)], [Value::Blob(vec![0xff])]]);
    }
}
