//! What the lines say. Version 1 of the format.

use serde::{Deserialize, Deserializer, Serialize};

use super::VERSION;
use super::error::SnapshotError;
use crate::model::{MessageState, ThreadOwnership};

/// The name of the format, with which every snapshot begins.
pub const FORMAT: &str = "cofferdam-snapshot";

/// The longest line that is read, in bytes: a hundred times what a row within the rules needs.
pub(super) const MAX_LINE: usize = 1 << 20;

/// How every first line begins that this version wrote.
pub(super) const HEADER_PREFIX: &[u8] = b"{\"format\":\"cofferdam-snapshot\"";

const STATE_PREFIX: &[u8] = b"{\"type\":\"message_state\",";
const OWNERSHIP_PREFIX: &[u8] = b"{\"type\":\"thread_ownership\",";

/// What a snapshot says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// When the export began, in seconds since the Unix epoch, UTC.
    pub created_at: i64,
    /// The program that exported it, such as `cofferdam 0.1.0`.
    pub tool: String,
    /// Where the rows come from.
    pub backend: Origin,
}

/// The backend that a snapshot comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Its name, such as `sqlite`.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// The version of the database's schema.
    pub schema_version: u32,
}

/// A row of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Row {
    State(MessageState),
    Ownership(ThreadOwnership),
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trailer {
    #[serde(rename = "type")]
    kind: Kind,
    pub message_states: u64,
    pub thread_ownerships: u64,
    pub sha256: String,
}

impl Trailer {
    pub fn new(message_states: u64, thread_ownerships: u64, sha256: String) -> Self {
        Self { kind: Kind::Trailer, message_states, thread_ownerships, sha256 }
    }
}

/// A line after the first.
pub(super) enum Line {
    Row(Row),
    Trailer(Trailer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    MessageState,
    ThreadOwnership,
    Trailer,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine {
    format: String,
    version: u32,
    created_at: i64,
    tool: String,
    backend: Origin,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateLine<S> {
    #[serde(rename = "type")]
    kind: Kind,
    channel_id: S,
    // Without this, serde would take a line without the field for one without a thread.
    #[serde(deserialize_with = "present", bound(deserialize = "S: Deserialize<'de>"))]
    thread_id: Option<S>,
    last_message_id: S,
    last_seen_timestamp: i64,
    created_at: i64,
    updated_at: i64,
}

fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnershipLine<S> {
    #[serde(rename = "type")]
    kind: Kind,
    thread_id: S,
    original_user_id: S,
    created_by: S,
    creation_time: i64,
    created_at: i64,
    updated_at: i64,
}

/// Adds a line, with its end.
fn write_line(line: &impl Serialize, out: &mut Vec<u8>) {
    // Writing these types to memory cannot fail.
    let _ = serde_json::to_writer(&mut *out, line);
    out.push(b'\n');
}

pub(super) fn write_header(header: &Header, out: &mut Vec<u8>) {
    let Header { created_at, tool, backend } = header.clone();
    write_line(&HeaderLine { format: FORMAT.to_owned(), version: VERSION, created_at, tool, backend }, out);
}

pub(super) fn write_row(row: &Row, out: &mut Vec<u8>) {
    match row {
        Row::State(state) => write_line(
            &StateLine {
                kind: Kind::MessageState,
                channel_id: &*state.channel_id,
                thread_id: state.thread_id.as_deref(),
                last_message_id: &*state.last_message_id,
                last_seen_timestamp: state.last_seen_timestamp,
                created_at: state.created_at,
                updated_at: state.updated_at,
            },
            out,
        ),
        Row::Ownership(ownership) => write_line(
            &OwnershipLine {
                kind: Kind::ThreadOwnership,
                thread_id: &*ownership.thread_id,
                original_user_id: &*ownership.original_user_id,
                created_by: &*ownership.created_by,
                creation_time: ownership.creation_time,
                created_at: ownership.created_at,
                updated_at: ownership.updated_at,
            },
            out,
        ),
    }
}

pub(super) fn write_trailer(trailer: &Trailer, out: &mut Vec<u8>) {
    write_line(trailer, out);
}

/// Reads the first line.
pub(super) fn read_header(line: &[u8]) -> Result<Header, SnapshotError> {
    // What every version of the format has in common.
    #[derive(Deserialize)]
    struct Any {
        format: String,
        version: u64,
    }
    let not_snapshot = |reason: &str| SnapshotError::NotSnapshot { reason: reason.into() };
    let corrupted = |reason: String| SnapshotError::Corrupted { line: 1, reason };
    let any: Any = match serde_json::from_slice(line) {
        Ok(any) => any,
        Err(error) if line.starts_with(HEADER_PREFIX) => return Err(corrupted(reason(&error))),
        Err(_) => return Err(not_snapshot("its first line is not a snapshot's")),
    };
    if any.format != FORMAT {
        return Err(not_snapshot("its first line names another format"));
    }
    match any.version {
        0 => return Err(corrupted("there is no format version 0".into())),
        version if version > u64::from(VERSION) => return Err(SnapshotError::NewerVersion { version }),
        _ => {}
    }
    let HeaderLine { created_at, tool, backend, .. } =
        serde_json::from_slice(line).map_err(|error| corrupted(reason(&error)))?;
    Ok(Header { created_at, tool, backend })
}

/// Reads a line after the first; an error says what is wrong with it.
pub(super) fn read_line(line: &[u8]) -> Result<Line, String> {
    fn parse<'de, T: Deserialize<'de>>(line: &'de [u8]) -> Result<T, String> {
        serde_json::from_slice(line).map_err(|error| reason(&error))
    }
    match kind(line)? {
        Kind::MessageState => parse(line).map(|line: StateLine<String>| {
            Line::Row(Row::State(MessageState {
                id: 0,
                channel_id: line.channel_id,
                thread_id: line.thread_id,
                last_message_id: line.last_message_id,
                last_seen_timestamp: line.last_seen_timestamp,
                created_at: line.created_at,
                updated_at: line.updated_at,
            }))
        }),
        Kind::ThreadOwnership => parse(line).map(|line: OwnershipLine<String>| {
            Line::Row(Row::Ownership(ThreadOwnership {
                id: 0,
                thread_id: line.thread_id,
                original_user_id: line.original_user_id,
                created_by: line.created_by,
                creation_time: line.creation_time,
                created_at: line.created_at,
                updated_at: line.updated_at,
            }))
        }),
        Kind::Trailer => parse(line).map(Line::Trailer),
    }
}

fn kind(line: &[u8]) -> Result<Kind, String> {
    #[derive(Deserialize)]
    struct Any {
        #[serde(rename = "type")]
        kind: Kind,
    }
    // As this version writes it, which saves reading the line twice.
    if line.starts_with(STATE_PREFIX) {
        Ok(Kind::MessageState)
    } else if line.starts_with(OWNERSHIP_PREFIX) {
        Ok(Kind::ThreadOwnership)
    } else {
        serde_json::from_slice(line).map(|Any { kind }| kind).map_err(|error| reason(&error))
    }
}

/// What serde says, without the place in what is always one line, and without the values, of which it shows some.
fn reason(error: &serde_json::Error) -> String {
    let column = error.column();
    match error.classify() {
        serde_json::error::Category::Data => {
            let text = error.to_string();
            // The names of fields are safe to show, values are not.
            let named = ["missing field", "unknown field", "duplicate field"].iter().any(|part| text.starts_with(part));
            let text = text.split(" at line ").next().unwrap_or_default();
            if named { text.to_owned() } else { format!("column {column}: a value of the wrong type") }
        }
        _ => format!("column {column}: it is not JSON"),
    }
}
