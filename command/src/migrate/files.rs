//! What a run writes beside: a line of JSON for each row that was merged away or cannot be moved.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use cofferdam::config::Claim;
use cofferdam::migrate::{Left, Reject, Table};
use cofferdam::{MessageKey, MessageState};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::open;

/// A file of lines, which is made with its first line.
pub struct Lines {
    argument: &'static str,
    path: PathBuf,
    file: Option<BufWriter<File>>,
    count: u64,
}

impl Lines {
    /// Takes the file that `argument` names, if it can be meant and what is there is a list of an earlier run: nothing else is
    /// moved or shortened. `claims` are files that others have.
    pub fn new(argument: &'static str, name: &Path, claims: &[Claim]) -> Result<Self, Failure> {
        let path = open::named_for_output(argument, name, claims)?;
        for path in [&path, &old(&path)] {
            open::named_for_output(argument, path, claims)?;
            if !is_list(path) {
                return Err(Failure::usage(format!(
                    "{argument}: {path:?} exists, and is not a list that `cofferdam migrate` wrote: name another file"
                )));
            }
        }
        Ok(Self { argument, path, file: None, count: 0 })
    }

    /// The same error, with the file that it is about and what to do.
    fn named(argument: &str, path: &Path) -> impl Fn(io::Error) -> io::Error {
        move |error| {
            let text = format!(
                "{argument}: {path:?} cannot be written: {error}; name a file that can be, and run the same again, which goes on \
                 where it was"
            );
            io::Error::new(error.kind(), text)
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lines that were written and still count.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Keeps the first `lines` of a file that is there: what follows was written for a page that was not. Where nothing
    /// is to be kept, what is there belongs to another run, and gets the ending `.old`.
    pub fn keep(&mut self, lines: u64) -> io::Result<()> {
        self.count = lines;
        let named = Self::named(self.argument, &self.path);
        let file = match OpenOptions::new().read(true).write(true).open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file.map_err(&named)?,
        };
        if lines == 0 {
            drop(file);
            return std::fs::rename(&self.path, old(&self.path)).map_err(&named);
        }
        let (mut reader, mut length) = (BufReader::new(&file), 0);
        for _ in 0..lines {
            length += reader.skip_until(b'\n').map_err(&named)? as u64;
        }
        file.set_len(length).map_err(&named)
    }

    /// Adds lines, and hands them to the system before it returns.
    pub fn push(&mut self, lines: impl Iterator<Item = Value>) -> io::Result<()> {
        let named = Self::named(self.argument, &self.path);
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let file = OpenOptions::new().append(true).create(true).open(&self.path).map_err(&named)?;
                none.insert(BufWriter::new(file))
            }
        };
        for line in lines {
            writeln!(file, "{line}").map_err(&named)?;
            self.count += 1;
        }
        file.flush().map_err(&named)
    }
}

/// What is kept of an earlier run.
fn old(path: &Path) -> PathBuf {
    let mut old = path.as_os_str().to_owned();
    old.push(".old");
    old.into()
}

/// Whether a file is missing, empty, or begins with a line of [`Lines`].
fn is_list(path: &Path) -> bool {
    // As long as any such line may be.
    const MOST: u64 = 1 << 20;
    let Ok(file) = File::open(path) else { return !path.exists() };
    let mut line = Vec::new();
    match BufReader::new(file.take(MOST)).read_until(b'\n', &mut line) {
        Ok(0) => true,
        Ok(_) => serde_json::from_slice(&line).is_ok_and(|line: Value| line["table"].is_string()),
        Err(_) => false,
    }
}

/// A row that gave way to another one.
pub fn merged(state: &MessageState) -> Value {
    json!({
        "table": Table::MessageStates.name(),
        "what": "merged: a newer row of the same channel was moved",
        "row": {
            "id": state.id, "channel_id": state.channel_id, "thread_id": state.thread_id,
            "last_message_id": state.last_message_id, "last_seen_timestamp": state.last_seen_timestamp,
            "created_at": state.created_at, "updated_at": state.updated_at,
        },
    })
}

/// A row that cannot be moved.
pub fn rejected(reject: &Reject) -> Value {
    let mut row = Map::new();
    row.insert("id".into(), reject.id.into());
    for (name, value) in reject.table.columns().iter().zip(&reject.values) {
        row.insert((*name).into(), value.clone().into());
    }
    json!({ "table": reject.table.name(), "reason": reject.reason, "row": row })
}

/// A row that a rollback did not touch.
pub fn left(left: &Left) -> Value {
    let what = if left.is_gone { "deleted since" } else { "changed since" };
    json!({ "table": left.table.name(), "what": what, "key": key(left.table, &left.key) })
}

/// A key by the names of its columns.
pub fn key(table: Table, key: &MessageKey) -> Value {
    match table {
        Table::MessageStates => json!({ "channel_id": key.channel_id, "thread_id": key.thread_id }),
        Table::ThreadOwnerships => json!({ "thread_id": key.channel_id }),
    }
}
