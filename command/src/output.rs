//! What goes to standard output.

use std::io::{ErrorKind, Write};

use cofferdam::plugin::Origin;
use cofferdam::{MessageState, ThreadOwnership, limit};
use comfy_table::{Cell, CellAlignment, Table, presets};
use jiff::Timestamp;
use rustix::fs::OFlags;
use serde_json::{Value, json};

use crate::failure::Failure;
pub use crate::terminal::{escaped, say};

/// Where a plugin comes from: its file, or that it is embedded.
pub fn origin(origin: &Origin) -> String {
    origin.path().map_or_else(|| "embedded".to_owned(), |path| path.display().to_string())
}

/// Refuses a standard output that nobody can have meant for data: in the place of one that was closed Rust has opened `/dev/null`, for
/// reading too, as a shell's `> /dev/null` is not and a parent's that wants no output may be.
pub fn somebody_reads() -> Result<(), Failure> {
    let stdout = std::io::stdout();
    let is_null = match (rustix::fs::fstat(&stdout), rustix::fs::stat("/dev/null")) {
        (Ok(stdout), Ok(null)) => stdout.st_rdev == null.st_rdev && stdout.st_ino == null.st_ino,
        _ => false,
    };
    match rustix::fs::fcntl_getfl(&stdout) {
        Ok(flags) if is_null && flags.contains(OFlags::RDWR) => Err(Failure::usage(
            "standard output is closed or /dev/null, so nobody would have what is written: redirect it, or name a file",
        )),
        _ => Ok(()),
    }
}

/// Prints a text and a newline. A reader that went away, such as `head`, is not a failure.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("standard output cannot be written: {}", limit::explain(&error))))
        }
        _ => Ok(()),
    }
}

/// Prints a JSON document.
pub fn print_json(value: &Value) -> Result<(), Failure> {
    print(&format!("{value:#}"))
}

/// Whole seconds since the Unix epoch as RFC 3339 in UTC; as the number where no calendar reaches.
pub fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// Reads what [`time`] writes, and a bare number of seconds.
pub fn parse_time(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    text.parse::<Timestamp>()
        .map(|time| time.as_duration().as_secs())
        .map_err(|_| "it must be a time such as 2026-01-31T12:00:00Z or seconds since 1970".into())
}

/// Now, in whole seconds since the Unix epoch.
pub fn now() -> i64 {
    Timestamp::now().as_second()
}

/// Columns without lines, numbers to the right.
pub struct Columns {
    table: Table,
    numeric: &'static [usize],
}

impl Columns {
    pub fn new(header: &[&str], numeric: &'static [usize]) -> Self {
        let mut columns = Self { table: Table::new(), numeric };
        columns.table.load_style(presets::NOTHING);
        if !header.is_empty() {
            let row = columns.row(header.iter().map(|text| (*text).to_owned()));
            columns.table.set_header(row);
        }
        columns
    }

    pub fn add(&mut self, cells: impl IntoIterator<Item = String>) {
        let row = self.row(cells);
        self.table.add_row(row);
    }

    fn row(&self, cells: impl IntoIterator<Item = String>) -> comfy_table::Row {
        cells
            .into_iter()
            .enumerate()
            .map(|(column, text)| {
                let right = self.numeric.contains(&column);
                Cell::new(text).set_alignment(if right { CellAlignment::Right } else { CellAlignment::Left })
            })
            .collect::<Vec<_>>()
            .into()
    }

    /// The lines, without the space around the outermost columns.
    pub fn text(&mut self) -> String {
        for column in self.table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        self.table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }
}

/// What the database keeps, as it is shown.
pub trait Row: Sized {
    /// What several of them are called.
    const PLURAL: &str;

    /// A table with a header.
    fn table(rows: &[Self]) -> String;

    fn json(&self) -> Value;
}

impl Row for MessageState {
    const PLURAL: &str = "states";

    fn table(states: &[Self]) -> String {
        let mut columns =
            Columns::new(&["CHANNEL", "THREAD", "LAST MESSAGE", "LAST SEEN", "CREATED", "UPDATED", "ID"], &[6]);
        for state in states {
            columns.add([
                escaped(&state.channel_id),
                state.thread_id.as_deref().map_or_else(|| "-".into(), escaped),
                escaped(&state.last_message_id),
                time(state.last_seen_timestamp),
                time(state.created_at),
                time(state.updated_at),
                state.id.to_string(),
            ]);
        }
        columns.text()
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "channel_id": self.channel_id,
            "thread_id": self.thread_id,
            "last_message_id": self.last_message_id,
            "last_seen_timestamp": self.last_seen_timestamp,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        })
    }
}

impl Row for ThreadOwnership {
    const PLURAL: &str = "ownerships";

    fn table(ownerships: &[Self]) -> String {
        let mut columns =
            Columns::new(&["THREAD", "ORIGINAL USER", "CREATED BY", "THREAD MADE", "CREATED", "UPDATED", "ID"], &[6]);
        for ownership in ownerships {
            columns.add([
                escaped(&ownership.thread_id),
                escaped(&ownership.original_user_id),
                escaped(&ownership.created_by),
                time(ownership.creation_time),
                time(ownership.created_at),
                time(ownership.updated_at),
                ownership.id.to_string(),
            ]);
        }
        columns.text()
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "thread_id": self.thread_id,
            "original_user_id": self.original_user_id,
            "created_by": self.created_by,
            "creation_time": self.creation_time,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        })
    }
}

/// Prints a row; `missing` says that there is none.
pub fn print_row<R: Row>(row: Option<R>, json: bool, missing: impl FnOnce() -> String) -> Result<(), Failure> {
    let row = row.ok_or_else(|| Failure::not_found(missing()))?;
    if json { print_json(&row.json()) } else { print(&R::table(&[row])) }
}

/// Prints the first rows, and says on standard error how many there are.
pub fn print_rows<R: Row>(rows: &[R], limit: Option<u64>, json: bool) -> Result<(), Failure> {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let shown = &rows[..rows.len().min(limit)];
    if json {
        return print_json(&Value::Array(shown.iter().map(Row::json).collect()));
    }
    if !shown.is_empty() {
        print(&R::table(shown))?;
    }
    say(&format!("{} of {} {}", shown.len(), rows.len(), R::PLURAL));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(i64::MAX), i64::MAX.to_string());
        for seconds in [0, -1, 1_700_000_000] {
            assert_eq!(parse_time(&time(seconds)), Ok(seconds));
            assert_eq!(parse_time(&seconds.to_string()), Ok(seconds));
        }
        assert_eq!(parse_time("1970-01-01T01:00:00+01:00"), Ok(0));
        for text in ["", "yesterday", "2026-01-31", "12:00"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn columns_are_aligned_and_do_not_end_in_spaces() {
        let mut columns = Columns::new(&["A", "NUMBER"], &[1]);
        columns.add(["\u{1f980}".into(), "7".into()]);
        columns.add(["longer".into(), "1234567".into()]);
        assert_eq!(columns.text(), "A        NUMBER\n\u{1f980}            7\nlonger  1234567");
    }
}
