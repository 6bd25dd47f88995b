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
    /// Bytes of all cells together: 8 for each cell, and the length of a text or blob. No more than 2 GiB count,
    /// so that offsets fit into 32 bits.
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

/// What every cell costs towards [`ResultLimits::bytes`], so that nulls and empty texts are bounded too.
const CELL_BYTES: usize = 8;

/// The tags of a mixed column's cells, from `wit/sql.wit`.
mod tag {
    pub const NULL: u8 = 0;
    pub const INTEGER: u8 = 1;
    pub const REAL: u8 = 2;
    pub const TEXT: u8 = 3;
    pub const BLOB: u8 = 4;
}

#[derive(Clone, Copy)]
enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    /// Where its bytes begin in `data`, and how many there are.
    Text(u32, u32),
    Blob(u32, u32),
}

/// Packs the cells that a database returns row by row, and refuses the first one beyond the limits.
///
/// Cells lie in one list in row order until [`finish`](Self::finish) turns them: that takes the same few
/// allocations for a single row as for many.
pub struct RowsBuilder {
    limits: ResultLimits,
    cells: Vec<Cell>,
    data: Vec<u8>,
    /// For each column the tags of its values, as bits.
    seen: Vec<u8>,
    next: usize,
    count: u32,
    bytes: usize,
}

impl RowsBuilder {
    /// An empty result with so many columns.
    pub fn new(columns: usize, limits: ResultLimits) -> Self {
        Self {
            limits: ResultLimits { rows: limits.rows, bytes: limits.bytes.min(1 << 31) },
            cells: Vec::with_capacity(columns),
            data: Vec::new(),
            seen: vec![0; columns],
            next: 0,
            count: 0,
            bytes: 0,
        }
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

    /// The next cell is text, which [`finish`](Self::finish) checks to be UTF-8.
    pub fn text(&mut self, value: &[u8]) -> Result<()> {
        self.bytes(value, tag::TEXT, Cell::Text)
    }

    /// The next cell is bytes.
    pub fn blob(&mut self, value: &[u8]) -> Result<()> {
        self.bytes(value, tag::BLOB, Cell::Blob)
    }

    fn bytes(&mut self, value: &[u8], tag: u8, cell: fn(u32, u32) -> Cell) -> Result<()> {
        // Both fit: `push` refuses what is longer than the limit, which is at most 2 GiB.
        self.push(cell(self.data.len() as u32, value.len() as u32), tag, value.len())?;
        self.data.extend_from_slice(value);
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
        let Some(seen) = self.seen.get_mut(self.next) else {
            return Err(SqlError::new(ErrorKind::Other, "the database returned a cell beyond the last column"));
        };
        if tag != tag::NULL {
            *seen |= 1 << tag;
        }
        self.cells.push(cell);
        self.next = if self.next + 1 == self.seen.len() { 0 } else { self.next + 1 };
        Ok(())
    }

    /// The packed result.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CorruptData`] where a text is not UTF-8.
    pub fn finish(self) -> Result<Rows> {
        let mut rows = Rows { count: self.count, columns: self.kinds(), ..Rows::default() };
        let mut text = Vec::with_capacity(self.text_bytes(&rows.columns));
        rows.offsets.reserve_exact(self.offsets(&rows.columns));
        for (column, kind) in rows.columns.iter().enumerate() {
            let cells = self.column(column);
            match kind {
                ColumnKind::Integer => rows.integers.extend(cells.map(|cell| match cell {
                    Cell::Integer(value) => *value,
                    _ => 0,
                })),
                ColumnKind::Real => rows.reals.extend(cells.map(|cell| match cell {
                    Cell::Real(value) => *value,
                    _ => 0.0,
                })),
                ColumnKind::Text => self.pack(column, &mut text, &mut rows.offsets),
                ColumnKind::Blob => self.pack(column, &mut rows.bytes, &mut rows.offsets),
                ColumnKind::Mixed => self.pack_mixed(column, &mut rows.bytes, &mut rows.offsets)?,
            }
            if *kind != ColumnKind::Mixed {
                let first = column as u32 * self.count;
                let nulls = (first..).zip(self.column(column)).filter(|(_, cell)| matches!(cell, Cell::Null));
                rows.nulls.extend(nulls.map(|(index, _)| index));
            }
        }
        rows.text = self.check_text(text, &rows.columns)?;
        Ok(rows)
    }

    fn kinds(&self) -> Vec<ColumnKind> {
        let kind = |seen: &u8| match seen.trailing_zeros() as u8 {
            _ if seen.count_ones() > 1 => ColumnKind::Mixed,
            tag::REAL => ColumnKind::Real,
            tag::TEXT => ColumnKind::Text,
            tag::BLOB => ColumnKind::Blob,
            _ => ColumnKind::Integer,
        };
        self.seen.iter().map(kind).collect()
    }

    fn text_bytes(&self, kinds: &[ColumnKind]) -> usize {
        if kinds.contains(&ColumnKind::Text) { self.data.len() } else { 0 }
    }

    fn offsets(&self, kinds: &[ColumnKind]) -> usize {
        let packed = kinds.iter().filter(|kind| !matches!(kind, ColumnKind::Integer | ColumnKind::Real)).count();
        packed * (self.count as usize + 1)
    }

    fn column(&self, column: usize) -> impl Iterator<Item = &Cell> {
        self.cells.iter().skip(column).step_by(self.seen.len().max(1))
    }

    fn slice(&self, start: u32, length: u32) -> &[u8] {
        &self.data[start as usize..start as usize + length as usize]
    }

    fn pack(&self, column: usize, into: &mut Vec<u8>, offsets: &mut Vec<u32>) {
        offsets.push(into.len() as u32);
        for cell in self.column(column) {
            if let Cell::Text(start, length) | Cell::Blob(start, length) = *cell {
                into.extend_from_slice(self.slice(start, length));
            }
            offsets.push(into.len() as u32);
        }
    }

    fn pack_mixed(&self, column: usize, into: &mut Vec<u8>, offsets: &mut Vec<u32>) -> Result<()> {
        offsets.push(into.len() as u32);
        for cell in self.column(column) {
            match *cell {
                Cell::Null => into.push(tag::NULL),
                Cell::Integer(value) => {
                    into.push(tag::INTEGER);
                    into.extend_from_slice(&value.to_le_bytes());
                }
                Cell::Real(value) => {
                    into.push(tag::REAL);
                    into.extend_from_slice(&value.to_le_bytes());
                }
                Cell::Text(start, length) => {
                    let content = self.slice(start, length);
                    std::str::from_utf8(content).map_err(|_| not_utf8(column))?;
                    into.push(tag::TEXT);
                    into.extend_from_slice(content);
                }
                Cell::Blob(start, length) => {
                    into.push(tag::BLOB);
                    into.extend_from_slice(self.slice(start, length));
                }
            }
            offsets.push(into.len() as u32);
        }
        Ok(())
    }

    /// One pass over all texts is several times as fast as one for each. What it cannot see is a character whose
    /// bytes lie in two cells, hence the look at the boundaries.
    fn check_text(&self, text: Vec<u8>, kinds: &[ColumnKind]) -> Result<String> {
        let is_text = |column: &usize| kinds[*column] == ColumnKind::Text;
        let first_broken = || {
            (0..kinds.len()).filter(is_text).find(|&column| {
                self.column(column).any(|cell| match *cell {
                    Cell::Text(start, length) => std::str::from_utf8(self.slice(start, length)).is_err(),
                    _ => false,
                })
            })
        };
        let Ok(text) = String::from_utf8(text) else {
            return Err(not_utf8(first_broken().unwrap_or_default()));
        };
        let mut end = 0;
        for column in (0..kinds.len()).filter(is_text) {
            for cell in self.column(column) {
                if let Cell::Text(_, length) = *cell {
                    end += length as usize;
                    if !text.is_char_boundary(end) {
                        return Err(not_utf8(column));
                    }
                }
            }
        }
        Ok(text)
    }
}

fn not_utf8(column: usize) -> SqlError {
    SqlError::new(ErrorKind::CorruptData, format!("a text in column {} of the result is not UTF-8", column + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ResultLimits = ResultLimits { rows: 10, bytes: 1000 };

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
        builder.null().unwrap();
        builder.null().unwrap();
        builder.null().unwrap();
        builder.null().unwrap();
        builder.null().unwrap();
        let rows = builder.finish().unwrap();
        use ColumnKind::*;
        assert_eq!(rows.columns, [Integer, Text, Real, Blob, Integer]);
        assert_eq!(rows.integers, [1, 2, 0, 0, 0, 0]);
        assert_eq!(rows.reals, [0.5, 0.5, 0.0]);
        assert_eq!(rows.offsets, [0, 2, 2, 2, 0, 1, 2, 2]);
        assert_eq!((rows.text.as_str(), rows.bytes.as_slice()), ("é", &[7, 7][..]));
        assert_eq!(rows.nulls, [2, 5, 8, 11, 12, 13, 14]);
    }

    #[test]
    fn a_column_of_several_kinds_carries_tags() {
        let mut builder = RowsBuilder::new(1, LIMITS);
        builder.null().unwrap();
        builder.integer(-1).unwrap();
        builder.real(1.0).unwrap();
        builder.text(b"a").unwrap();
        builder.blob(b"b").unwrap();
        let rows = builder.finish().unwrap();
        assert_eq!(rows.columns, [ColumnKind::Mixed]);
        assert_eq!(rows.offsets, [0, 1, 10, 19, 21, 23]);
        assert_eq!(rows.bytes[19..], [3, b'a', 4, b'b']);
        assert!(rows.nulls.is_empty());
    }

    #[test]
    fn an_empty_result_keeps_its_columns() {
        let rows = RowsBuilder::new(2, LIMITS).finish().unwrap();
        assert_eq!((rows.count, rows.columns.len(), rows.offsets.len()), (0, 2, 0));
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
    fn text_that_is_not_utf8_is_reported_with_its_column() {
        for (first, second) in [(&b"a\xff"[..], &b"b"[..]), (b"\xc3", b"\xa9")] {
            let mut builder = RowsBuilder::new(2, LIMITS);
            for value in [first, second] {
                builder.integer(1).unwrap();
                builder.text(value).unwrap();
            }
            let error = builder.finish().unwrap_err();
            assert_eq!((error.kind, error.message.contains("column 2")), (ErrorKind::CorruptData, true), "{error}");
        }
    }

    #[test]
    fn text_of_a_mixed_column_is_checked_too() {
        let mut builder = RowsBuilder::new(1, LIMITS);
        builder.integer(1).unwrap();
        builder.text(b"\xff").unwrap();
        assert_eq!(builder.finish().unwrap_err().kind, ErrorKind::CorruptData);
    }
}
