//! Reading packed results, column after column.

use crate::bindings::cofferdam::storage::sql::Rows;
use crate::bindings::cofferdam::storage::types::{ErrorKind, MessageStates, TextColumn, ThreadOwnerships};
use crate::error::{Failure, Result};

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

/// Reads a result's columns in order.
pub(crate) struct Reader<'a> {
    count: usize,
    table: &'a str,
    /// The kinds of the columns to come, and what is packed of them.
    kinds: &'a [u8],
    packed: &'a [u8],
    text: &'a str,
    /// The rows' ids, once they were read, for errors.
    ids: Option<Ids<'a>>,
}

/// One column, of which `name` is for errors.
pub(crate) struct Column<'a> {
    count: usize,
    cells: Cells<'a>,
    /// A bit for each row, but none where no cell is null, nor in a mixed column.
    nulls: &'a [u8],
    table: &'a str,
    name: &'a str,
    ids: Option<Ids<'a>>,
}

/// The cells of the column `id`, and its nulls.
#[derive(Clone, Copy)]
struct Ids<'a>(Cells<'a>, &'a [u8]);

#[derive(Clone, Copy)]
enum Cells<'a> {
    Integer(&'a [[u8; 8]]),
    Text(Offsets<'a>, &'a str),
    Blob(Offsets<'a>, &'a [u8]),
    Mixed(Offsets<'a>, &'a [u8]),
    Other,
}

/// One more than there are cells.
#[derive(Clone, Copy)]
struct Offsets<'a>(&'a [[u8; 4]]);

impl Offsets<'_> {
    fn at(self, row: usize) -> usize {
        u32::from_le_bytes(self.0[row]) as usize
    }

    fn of(self, row: usize) -> std::ops::Range<usize> {
        self.at(row)..self.at(row + 1)
    }
}

/// A cell of a mixed column. What is neither null nor one of the two kinds that the schema knows is `Other`.
enum Cell<'a> {
    Null,
    Integer(i64),
    Text(&'a str),
    Blob(&'a [u8]),
    Other,
}

impl Cell<'_> {
    /// What it is, for people. Never its value.
    fn words(&self) -> &'static str {
        match self {
            Self::Null => "a null",
            Self::Integer(_) => "an integer",
            Self::Text(_) => "a text",
            Self::Blob(_) => "a blob, or text that is not UTF-8,",
            Self::Other => "a real number",
        }
    }
}

impl<'a> Reader<'a> {
    pub fn new(table: &'a str, rows: &'a Rows) -> Self {
        // Where there are fewer bytes than columns, the first column is missing.
        let (kinds, packed) = rows.packed.split_at_checked(rows.columns as usize).unwrap_or_default();
        Self { count: rows.count as usize, table, kinds, packed, text: &rows.text, ids: None }
    }

    pub fn next(&mut self, name: &'a str) -> Result<Column<'a>> {
        self.take(name).ok_or_else(|| {
            Failure::new(ErrorKind::Internal, format!("the host's result is cut short at column {name}"))
        })
    }

    fn take(&mut self, name: &'a str) -> Option<Column<'a>> {
        let count = self.count;
        let (kind, kinds) = self.kinds.split_first()?;
        self.kinds = kinds;
        let nulls = if kind & kind::NULLS == 0 { &[] } else { self.bytes(count.div_ceil(8))? };
        let cells = match kind & !kind::NULLS {
            kind::INTEGER => Cells::Integer(self.bytes(count.checked_mul(8)?)?.as_chunks().0),
            kind::REAL => {
                self.bytes(count.checked_mul(8)?)?;
                Cells::Other
            }
            kind::TEXT => {
                let offsets = self.offsets()?;
                let (text, rest) = self.text.split_at_checked(offsets.at(count))?;
                self.text = rest;
                Cells::Text(offsets, text)
            }
            kind::BLOB => {
                let offsets = self.offsets()?;
                Cells::Blob(offsets, self.bytes(offsets.at(count))?)
            }
            kind::MIXED => {
                let offsets = self.offsets()?;
                Cells::Mixed(offsets, self.bytes(offsets.at(count))?)
            }
            _ => return None,
        };
        if name == "id" {
            self.ids = Some(Ids(cells, nulls));
        }
        Some(Column { count, cells, nulls, table: self.table, name, ids: self.ids })
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.packed.split_at_checked(length)?;
        self.packed = rest;
        Some(taken)
    }

    fn offsets(&mut self) -> Option<Offsets<'a>> {
        Some(Offsets(self.bytes(self.count.checked_add(1)?.checked_mul(4)?)?.as_chunks().0))
    }
}

impl<'a> Column<'a> {
    /// A cell that is not what the schema says.
    fn corrupt(&self, row: usize, wanted: &str) -> Failure {
        let Self { table, name, .. } = self;
        let found = self.cell(row).map_or("what cannot be read", |cell| cell.words());
        let (place, cure) = match self.ids {
            None => (String::new(), "correct it".to_owned()),
            Some(_) => match self.id_of(row) {
                Some(id) => {
                    (format!(" in the row with id {id}"), format!("correct or delete that row (WHERE id = {id})"))
                }
                None => (" in a row without an integer id".to_owned(), "give that row an id".to_owned()),
            },
        };
        let message = format!(
            "column {name} of {table} contains {found} where {wanted} belongs{place}: {cure}, or restore a backup"
        );
        Failure::new(ErrorKind::CorruptData, message)
    }

    /// The id of a row, as far as it can be told.
    fn id_of(&self, row: usize) -> Option<i64> {
        let Ids(cells, nulls) = self.ids?;
        match (Column { cells, nulls, ids: None, ..*self }).cell(row) {
            Ok(Cell::Integer(id)) => Some(id),
            _ => None,
        }
    }

    fn malformed(&self) -> Failure {
        Failure::new(ErrorKind::Internal, format!("the host's result is packed wrongly at column {}", self.name))
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.get(row / 8).is_some_and(|byte| byte >> (row % 8) & 1 == 1)
    }

    /// One cell of a mixed column.
    fn mixed(&self, offsets: Offsets<'_>, bytes: &'a [u8], row: usize) -> Result<Cell<'a>> {
        let cell = bytes.get(offsets.of(row)).ok_or_else(|| self.malformed())?;
        match cell {
            [0, ..] => Ok(Cell::Null),
            [1, content @ ..] => {
                let content = content.try_into().map_err(|_| self.malformed())?;
                Ok(Cell::Integer(i64::from_le_bytes(content)))
            }
            [3, content @ ..] => Ok(Cell::Text(std::str::from_utf8(content).map_err(|_| self.malformed())?)),
            [4, content @ ..] => Ok(Cell::Blob(content)),
            [_, ..] => Ok(Cell::Other),
            [] => Err(self.malformed()),
        }
    }

    fn cell(&self, row: usize) -> Result<Cell<'a>> {
        if row >= self.count {
            return Err(self.malformed());
        }
        if self.is_null(row) {
            return Ok(Cell::Null);
        }
        match self.cells {
            Cells::Integer(integers) => Ok(Cell::Integer(i64::from_le_bytes(integers[row]))),
            Cells::Text(offsets, text) => Ok(Cell::Text(text.get(offsets.of(row)).ok_or_else(|| self.malformed())?)),
            Cells::Mixed(offsets, bytes) => self.mixed(offsets, bytes, row),
            Cells::Blob(offsets, bytes) => Ok(Cell::Blob(bytes.get(offsets.of(row)).ok_or_else(|| self.malformed())?)),
            Cells::Other => Ok(Cell::Other),
        }
    }

    fn null_rows(&self) -> impl Iterator<Item = u32> {
        (0..self.count).filter(|row| self.is_null(*row)).map(|row| row as u32)
    }

    /// What it is called.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The integer of one row.
    pub fn integer(&self, row: usize) -> Result<i64> {
        self.optional_integer(row)?.ok_or_else(|| self.corrupt(row, "an integer"))
    }

    /// The integer or null of one row.
    pub fn optional_integer(&self, row: usize) -> Result<Option<i64>> {
        match self.cell(row)? {
            Cell::Null => Ok(None),
            Cell::Integer(integer) => Ok(Some(integer)),
            Cell::Text(_) | Cell::Blob(_) | Cell::Other => Err(self.corrupt(row, "an integer")),
        }
    }

    /// The text of one row.
    pub fn text(&self, row: usize) -> Result<&'a str> {
        self.optional_text(row)?.ok_or_else(|| self.corrupt(row, "a text"))
    }

    /// The text or null of one row.
    pub fn optional_text(&self, row: usize) -> Result<Option<&'a str>> {
        match self.cell(row)? {
            Cell::Null => Ok(None),
            Cell::Text(text) => Ok(Some(text)),
            Cell::Integer(_) | Cell::Blob(_) | Cell::Other => Err(self.corrupt(row, "a text")),
        }
    }

    /// The bytes of one row.
    pub fn blob(&self, row: usize) -> Result<&'a [u8]> {
        let bytes = match self.cells {
            Cells::Blob(offsets, bytes) if row < self.count && !self.is_null(row) => bytes.get(offsets.of(row)),
            _ => return Err(self.corrupt(row, "a blob")),
        };
        bytes.ok_or_else(|| self.malformed())
    }

    /// What one row holds, for people: `None` for null.
    pub fn shown(&self, row: usize) -> Option<String> {
        match self.cell(row) {
            Ok(Cell::Null) => None,
            Ok(Cell::Integer(integer)) => Some(integer.to_string()),
            Ok(Cell::Text(text)) => Some(text.to_owned()),
            Ok(Cell::Blob(bytes)) => Some(as_literal(bytes)),
            Ok(Cell::Other) | Err(_) => Some("(neither text nor integer)".to_owned()),
        }
    }

    /// The integers of all rows.
    pub fn integers(&self) -> Result<Vec<i64>> {
        match self.cells {
            Cells::Integer(integers) if self.nulls.is_empty() => {
                Ok(integers.iter().map(|integer| i64::from_le_bytes(*integer)).collect())
            }
            _ => (0..self.count).map(|row| self.integer(row)).collect(),
        }
    }

    /// The texts of all rows.
    pub fn texts(&self) -> Result<TextColumn> {
        let (texts, nulls) = self.optional_texts()?;
        match nulls.first() {
            None => Ok(texts),
            Some(row) => Err(self.corrupt(*row as usize, "a text")),
        }
    }

    /// The texts of all rows, and the rows that are null, whose text is empty.
    pub fn optional_texts(&self) -> Result<(TextColumn, Vec<u32>)> {
        if let Cells::Text(offsets, text) = self.cells {
            let offsets = offsets.0.iter().map(|offset| u32::from_le_bytes(*offset)).collect();
            let nulls = if self.nulls.is_empty() { Vec::new() } else { self.null_rows().collect() };
            return Ok((TextColumn { offsets, text: text.to_owned() }, nulls));
        }
        let mut column = TextColumn { offsets: Vec::with_capacity(self.count + 1), text: String::new() };
        let mut nulls = Vec::new();
        column.offsets.push(0);
        for row in 0..self.count {
            match self.optional_text(row)? {
                Some(text) => column.text.push_str(text),
                None => nulls.push(u32::try_from(row).map_err(|_| self.malformed())?),
            }
            column.offsets.push(u32::try_from(column.text.len()).map_err(|_| self.malformed())?);
        }
        Ok((column, nulls))
    }
}

/// Bytes as SQL writes them, such as `x'61ff'`. Of many the first.
fn as_literal(bytes: &[u8]) -> String {
    const MOST: usize = 1024;
    let (bytes, rest) = bytes.split_at(bytes.len().min(MOST));
    let mut text = String::with_capacity(2 * bytes.len() + 3);
    text.push_str("x'");
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
    text.push_str(if rest.is_empty() { "'" } else { "...'" });
    text
}

/// States in the column order of [`Statements`](crate::Statements).
pub(crate) fn message_states(rows: &Rows) -> Result<MessageStates> {
    let mut reader = Reader::new("message_states", rows);
    let ids = reader.next("id")?.integers()?;
    let channel_ids = reader.next("channel_id")?.texts()?;
    let (thread_ids, threadless) = reader.next("thread_id")?.optional_texts()?;
    Ok(MessageStates {
        ids,
        channel_ids,
        thread_ids,
        threadless,
        last_message_ids: reader.next("last_message_id")?.texts()?,
        last_seen_timestamps: reader.next("last_seen_timestamp")?.integers()?,
        created_ats: reader.next("created_at")?.integers()?,
        updated_ats: reader.next("updated_at")?.integers()?,
    })
}

/// Ownerships in the column order of [`Statements`](crate::Statements).
pub(crate) fn thread_ownerships(rows: &Rows) -> Result<ThreadOwnerships> {
    let mut reader = Reader::new("thread_ownerships", rows);
    Ok(ThreadOwnerships {
        ids: reader.next("id")?.integers()?,
        thread_ids: reader.next("thread_id")?.texts()?,
        original_user_ids: reader.next("original_user_id")?.texts()?,
        created_bys: reader.next("created_by")?.texts()?,
        creation_times: reader.next("creation_time")?.integers()?,
        created_ats: reader.next("created_at")?.integers()?,
        updated_ats: reader.next("updated_at")?.integers()?,
    })
}

#[cfg(test)]
mod tests;
