//! Reading packed results, column after column.

use crate::bindings::cofferdam::storage::sql::{ColumnKind, Rows};
use crate::bindings::cofferdam::storage::types::{ErrorKind, MessageStates, TextColumn, ThreadOwnerships};
use crate::error::{Failure, Result};

/// Reads a result's columns in order.
pub(crate) struct Reader<'a> {
    rows: &'a Rows,
    table: &'a str,
    column: usize,
    integers: usize,
    reals: usize,
    offsets: usize,
    nulls: usize,
}

/// One column, of which `name` is for errors.
pub(crate) struct Column<'a> {
    count: usize,
    cells: Cells<'a>,
    /// Null cells as `base + row`, but those of a mixed column.
    nulls: &'a [u32],
    base: u32,
    table: &'a str,
    name: &'a str,
}

enum Cells<'a> {
    Integer(&'a [i64]),
    Text(&'a [u32], &'a str),
    Mixed(&'a [u32], &'a [u8]),
    Other,
}

/// A cell of a mixed column. What is neither null nor one of the two kinds that the schema knows is `Other`.
enum Cell<'a> {
    Null,
    Integer(i64),
    Text(&'a str),
    Other,
}

impl<'a> Reader<'a> {
    pub fn new(table: &'a str, rows: &'a Rows) -> Self {
        Self { rows, table, column: 0, integers: 0, reals: 0, offsets: 0, nulls: 0 }
    }

    pub fn next(&mut self, name: &'a str) -> Result<Column<'a>> {
        self.take(name).ok_or_else(|| {
            Failure::new(ErrorKind::Internal, format!("the host's result is cut short at column {name}"))
        })
    }

    fn take(&mut self, name: &'a str) -> Option<Column<'a>> {
        let rows = self.rows;
        let count = rows.count as usize;
        let cells = match rows.columns.get(self.column)? {
            ColumnKind::Integer => Cells::Integer(take(&rows.integers, &mut self.integers, count)?),
            ColumnKind::Real => {
                take(&rows.reals, &mut self.reals, count)?;
                Cells::Other
            }
            ColumnKind::Text => Cells::Text(take(&rows.offsets, &mut self.offsets, count + 1)?, &rows.text),
            ColumnKind::Blob => {
                take(&rows.offsets, &mut self.offsets, count + 1)?;
                Cells::Other
            }
            ColumnKind::Mixed => Cells::Mixed(take(&rows.offsets, &mut self.offsets, count + 1)?, &rows.bytes),
        };
        let base = u32::try_from(self.column * count).ok()?;
        let rest = rows.nulls.get(self.nulls..)?;
        let nulls = &rest[..rest.partition_point(|null| u64::from(*null) < u64::from(base) + count as u64)];
        self.nulls += nulls.len();
        self.column += 1;
        Some(Column { count, cells, nulls, base, table: self.table, name })
    }
}

fn take<'a, T>(all: &'a [T], from: &mut usize, count: usize) -> Option<&'a [T]> {
    let taken = all.get(*from..from.checked_add(count)?)?;
    *from += count;
    Some(taken)
}

impl<'a> Column<'a> {
    fn corrupt(&self, problem: &str) -> Failure {
        let message = format!("column {} of {} {problem}: repair the row, or restore a backup", self.name, self.table);
        Failure::new(ErrorKind::CorruptData, message)
    }

    fn malformed(&self) -> Failure {
        Failure::new(ErrorKind::Internal, format!("the host's result is packed wrongly at column {}", self.name))
    }

    fn unexpected_null(&self) -> Failure {
        self.corrupt("contains a null")
    }

    fn is_null(&self, row: usize) -> bool {
        u32::try_from(row).is_ok_and(|row| self.nulls.binary_search(&(self.base + row)).is_ok())
    }

    /// One cell of a mixed column.
    fn mixed(&self, offsets: &[u32], bytes: &'a [u8], row: usize) -> Result<Cell<'a>> {
        let cell = bytes.get(offsets[row] as usize..offsets[row + 1] as usize).ok_or_else(|| self.malformed())?;
        match cell {
            [0, ..] => Ok(Cell::Null),
            [1, content @ ..] => {
                let content = content.try_into().map_err(|_| self.malformed())?;
                Ok(Cell::Integer(i64::from_le_bytes(content)))
            }
            [3, content @ ..] => Ok(Cell::Text(std::str::from_utf8(content).map_err(|_| self.malformed())?)),
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
            Cells::Integer(integers) => Ok(Cell::Integer(integers[row])),
            Cells::Text(offsets, text) => {
                let text = text.get(offsets[row] as usize..offsets[row + 1] as usize);
                Ok(Cell::Text(text.ok_or_else(|| self.malformed())?))
            }
            Cells::Mixed(offsets, bytes) => self.mixed(offsets, bytes, row),
            Cells::Other => Ok(Cell::Other),
        }
    }

    /// The integer of one row.
    pub fn integer(&self, row: usize) -> Result<i64> {
        self.optional_integer(row)?.ok_or_else(|| self.unexpected_null())
    }

    /// The integer or null of one row.
    pub fn optional_integer(&self, row: usize) -> Result<Option<i64>> {
        match self.cell(row)? {
            Cell::Null => Ok(None),
            Cell::Integer(integer) => Ok(Some(integer)),
            Cell::Text(_) | Cell::Other => Err(self.corrupt("contains a value that is no integer")),
        }
    }

    /// The text of one row.
    pub fn text(&self, row: usize) -> Result<&'a str> {
        self.optional_text(row)?.ok_or_else(|| self.unexpected_null())
    }

    /// The text or null of one row.
    pub fn optional_text(&self, row: usize) -> Result<Option<&'a str>> {
        match self.cell(row)? {
            Cell::Null => Ok(None),
            Cell::Text(text) => Ok(Some(text)),
            Cell::Integer(_) | Cell::Other => Err(self.corrupt("contains a value that is no text")),
        }
    }

    /// The integers of all rows.
    pub fn integers(&self) -> Result<Vec<i64>> {
        match self.cells {
            Cells::Integer(integers) if self.nulls.is_empty() => Ok(integers.to_vec()),
            _ => (0..self.count).map(|row| self.integer(row)).collect(),
        }
    }

    /// The texts of all rows.
    pub fn texts(&self) -> Result<TextColumn> {
        let (texts, nulls) = self.optional_texts()?;
        if nulls.is_empty() { Ok(texts) } else { Err(self.unexpected_null()) }
    }

    /// The texts of all rows, and the rows that are null, whose text is empty.
    pub fn optional_texts(&self) -> Result<(TextColumn, Vec<u32>)> {
        if let Cells::Text(offsets, text) = self.cells {
            let (start, end) = (offsets[0], offsets[self.count]);
            let text = text.get(start as usize..end as usize).ok_or_else(|| self.malformed())?;
            let rebased = offsets.iter().map(|offset| offset.wrapping_sub(start)).collect();
            let nulls = self.nulls.iter().map(|null| null - self.base).collect();
            return Ok((TextColumn { offsets: rebased, text: text.to_owned() }, nulls));
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
mod tests {
    use ColumnKind::{Blob, Integer, Mixed, Real, Text};

    use super::*;

    /// Three states, the second without a thread.
    fn three_states() -> Rows {
        Rows {
            count: 3,
            columns: vec![Integer, Text, Text, Text, Integer, Integer, Integer],
            integers: (1..=12).collect(),
            reals: Vec::new(),
            offsets: vec![0, 1, 3, 6, 6, 7, 7, 9, 9, 10, 11, 12],
            text: "abbcccxzzé".replace('é', "123"),
            bytes: Vec::new(),
            nulls: vec![7],
        }
    }

    fn failure<T: std::fmt::Debug>(result: Result<T>) -> (ErrorKind, String) {
        match result {
            Err(Failure::Own(error)) => (error.kind, error.message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn columns_are_split_and_their_offsets_begin_at_0() {
        let states = message_states(&three_states()).unwrap();
        assert_eq!(states.ids, [1, 2, 3]);
        assert_eq!(
            (states.channel_ids.offsets.as_slice(), states.channel_ids.text.as_str()),
            (&[0, 1, 3, 6][..], "abbccc")
        );
        assert_eq!((states.thread_ids.offsets.as_slice(), states.thread_ids.text.as_str()), (&[0, 1, 1, 3][..], "xzz"));
        assert_eq!(states.threadless, [1]);
        assert_eq!(states.last_message_ids.text, "123");
        assert_eq!(states.last_seen_timestamps, [4, 5, 6]);
        assert_eq!(states.created_ats, [7, 8, 9]);
        assert_eq!(states.updated_ats, [10, 11, 12]);
    }

    #[test]
    fn no_rows_are_no_states_though_every_column_is_an_integer_one() {
        let rows = Rows {
            count: 0,
            integers: vec![],
            offsets: vec![],
            text: String::new(),
            nulls: vec![],
            columns: vec![Integer; 7],
            ..three_states()
        };
        let states = message_states(&rows).unwrap();
        assert!(states.ids.is_empty() && states.threadless.is_empty());
        assert_eq!(states.channel_ids.offsets, [0]);
        assert_eq!(states.thread_ids.offsets, [0]);
    }

    #[test]
    fn threads_that_are_all_none_are_an_integer_column() {
        let mut rows = three_states();
        rows.columns[2] = Integer;
        rows.integers.splice(3..3, [0, 0, 0]);
        rows.offsets = vec![0, 1, 3, 6, 9, 10, 11, 12];
        rows.nulls = vec![6, 7, 8];
        let states = message_states(&rows).unwrap();
        assert_eq!(states.threadless, [0, 1, 2]);
        assert_eq!((states.thread_ids.offsets.as_slice(), states.thread_ids.text.as_str()), (&[0, 0, 0, 0][..], ""));
        assert_eq!(states.last_seen_timestamps, [4, 5, 6]);
    }

    #[test]
    fn a_null_in_another_column_is_corrupt() {
        let mut rows = three_states();
        rows.nulls = vec![4];
        let (kind, message) = failure(message_states(&rows));
        assert_eq!(kind, ErrorKind::CorruptData);
        assert!(message.starts_with("column channel_id of message_states contains a null"), "{message}");
        rows.nulls = vec![20];
        let (kind, message) = failure(message_states(&rows));
        assert_eq!(kind, ErrorKind::CorruptData);
        assert!(message.starts_with("column updated_at of message_states contains a null"), "{message}");
    }

    #[test]
    fn a_column_of_another_kind_is_corrupt() {
        for kind in [Real, Blob] {
            let mut rows = three_states();
            rows.columns[0] = kind;
            rows.reals = vec![1.0, 2.0, 3.0];
            rows.bytes = vec![0; 12];
            assert_eq!(failure(Reader::new("t", &rows).next("id").unwrap().integers()).0, ErrorKind::CorruptData);
        }
        let mut rows = three_states();
        rows.columns[1] = Integer;
        let (kind, message) = failure(message_states(&rows));
        assert_eq!((kind, message.contains("channel_id")), (ErrorKind::CorruptData, true));
    }

    fn mixed(cells: &[&[u8]]) -> Rows {
        let mut offsets = vec![0];
        for cell in cells {
            offsets.push(offsets.last().unwrap() + u32::try_from(cell.len()).unwrap());
        }
        Rows {
            count: u32::try_from(cells.len()).unwrap(),
            columns: vec![Mixed],
            integers: vec![],
            reals: vec![],
            offsets,
            text: String::new(),
            bytes: cells.concat(),
            nulls: vec![],
        }
    }

    #[test]
    fn a_mixed_column_is_read_cell_by_cell() {
        let seven = [1, 7, 0, 0, 0, 0, 0, 0, 0];
        let rows = mixed(&[b"\x03ab", &[0], b"\x03"]);
        let (texts, nulls) = Reader::new("t", &rows).next("c").unwrap().optional_texts().unwrap();
        assert_eq!((texts.text.as_str(), texts.offsets, nulls), ("ab", vec![0, 2, 2, 2], vec![1]));
        assert_eq!(Reader::new("t", &mixed(&[&seven])).next("c").unwrap().integers().unwrap(), [7]);
        let rows = mixed(&[&seven, b"\x03seven"]);
        let (kind, message) = failure(Reader::new("t", &rows).next("c").unwrap().integers());
        assert_eq!((kind, message.contains("column c of t")), (ErrorKind::CorruptData, true));
        assert_eq!(failure(Reader::new("t", &rows).next("c").unwrap().texts()).0, ErrorKind::CorruptData);
    }

    #[test]
    fn a_result_that_is_too_short_is_the_hosts_mistake() {
        let mut rows = three_states();
        rows.integers.pop();
        assert_eq!(failure(message_states(&rows)).0, ErrorKind::Internal);
        let mut rows = three_states();
        rows.text.pop();
        assert_eq!(failure(message_states(&rows)).0, ErrorKind::Internal);
    }

    #[test]
    fn one_cell_is_read_by_its_row() {
        let rows = three_states();
        let mut reader = Reader::new("message_states", &rows);
        assert_eq!(reader.next("id").unwrap().integer(2).unwrap(), 3);
        assert_eq!(reader.next("channel_id").unwrap().text(1).unwrap(), "bb");
        let threads = reader.next("thread_id").unwrap();
        assert_eq!([threads.optional_text(0).unwrap(), threads.optional_text(1).unwrap()], [Some("x"), None]);
        assert!(threads.text(1).is_err() && threads.text(3).is_err());
    }
}
