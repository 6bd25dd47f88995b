//! Reading what the programs answer with.

use std::str::FromStr;

use cofferdam::{Error, ErrorKind, MessageState, Result, ThreadOwnership, Written};
use serde_json::Value;

fn text(row: &Value, name: &str) -> Result<String> {
    row[name].as_str().map(str::to_owned).ok_or_else(|| Error::new(ErrorKind::Internal, format!("no {name}: {row}")))
}

fn integer<T: FromStr>(row: &Value, name: &str) -> Result<T> {
    let wrong = |_| Error::new(ErrorKind::Internal, format!("{name} is no such integer: {row}"));
    text(row, name)?.parse().map_err(wrong)
}

/// A state.
pub(super) fn state(row: &Value) -> Result<MessageState> {
    Ok(MessageState {
        id: integer(row, "id")?,
        channel_id: text(row, "channel_id")?,
        thread_id: optional(&row["thread_id"], |_| text(row, "thread_id"))?,
        last_message_id: text(row, "last_message_id")?,
        last_seen_timestamp: integer(row, "last_seen_timestamp")?,
        created_at: integer(row, "created_at")?,
        updated_at: integer(row, "updated_at")?,
    })
}

/// An ownership.
pub(super) fn ownership(row: &Value) -> Result<ThreadOwnership> {
    Ok(ThreadOwnership {
        id: integer(row, "id")?,
        thread_id: text(row, "thread_id")?,
        original_user_id: text(row, "original_user_id")?,
        created_by: text(row, "created_by")?,
        creation_time: integer(row, "creation_time")?,
        created_at: integer(row, "created_at")?,
        updated_at: integer(row, "updated_at")?,
    })
}

/// What may be null.
pub(super) fn optional<T>(value: &Value, read: impl Fn(&Value) -> Result<T>) -> Result<Option<T>> {
    if value.is_null() { Ok(None) } else { read(value).map(Some) }
}

/// A list of rows.
pub(super) fn list<T>(value: &Value, read: impl Fn(&Value) -> Result<T>) -> Result<Vec<T>> {
    let rows = value.as_array().ok_or_else(|| Error::new(ErrorKind::Internal, format!("no list: {value}")))?;
    rows.iter().map(read).collect()
}

/// What became of a write, and how many rows a cleanup removed.
pub(super) fn written(answer: &Value) -> Result<Written<u64>> {
    match text(answer, "result")?.as_str() {
        "stored" => Ok(Written::Stored(integer(answer, "removed")?)),
        "spooled" => Ok(Written::Spooled),
        other => Err(Error::new(ErrorKind::Internal, format!("unknown result {other:?}"))),
    }
}

/// The same of an upsert.
pub(super) fn without_count(written: Written<u64>) -> Written {
    match written {
        Written::Stored(_) => Written::Stored(()),
        Written::Spooled => Written::Spooled,
    }
}
