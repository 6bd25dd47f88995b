//! Between the contract's types and the model's.

use super::bindings::{backend, transfer, types};
use crate::error::{Error, ErrorKind};
use crate::model::{ImportOutcome, MessageKey, MessageState, OnEqual, ThreadOwnership};
use crate::sql::Engine;
use crate::storage::Description;
use crate::text::one_line;

/// The most characters of an error's message that are taken from a guest: it is to be one sentence.
pub(crate) const MESSAGE: usize = 1000;

/// The most characters of an error's code that are taken from a guest, such as `SQLITE_CONSTRAINT_UNIQUE`.
const CODE: usize = 64;

/// What a guest returned does not hold together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed(&'static str);

impl Malformed {
    pub(crate) fn reason(&self) -> &'static str {
        self.0
    }

    pub(crate) fn threadless() -> Self {
        Self("the rows without a thread are out of order or out of range")
    }
}

/// The strings of a packed column, checked once.
pub(crate) struct Strings<'a> {
    offsets: &'a [u32],
    text: &'a str,
}

impl<'a> Strings<'a> {
    pub(crate) fn new(column: &'a types::TextColumnResult, count: usize) -> Result<Self, Malformed> {
        let types::TextColumnResult { offsets, text } = column;
        if offsets.len() != count + 1 {
            return Err(Malformed("a column of text has not one offset more than there are rows"));
        }
        // Offsets that never fall and end within the text bound what is copied by what the guest really sent.
        let ordered = offsets.windows(2).all(|pair| pair[0] <= pair[1]);
        if !ordered || !offsets.iter().all(|&offset| text.is_char_boundary(offset as usize)) {
            return Err(Malformed("the offsets of a column of text fall, leave the text, or split a character"));
        }
        Ok(Self { offsets, text })
    }

    pub(crate) fn get(&self, row: usize) -> &'a str {
        &self.text[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }
}

pub(crate) fn same_length(lengths: &[usize], count: usize) -> Result<(), Malformed> {
    if lengths.iter().all(|&length| length == count) { Ok(()) } else { Err(Malformed("its columns differ in length")) }
}

pub(crate) fn message_states(columns: &types::MessageStatesResult) -> Result<Vec<MessageState>, Malformed> {
    let count = columns.ids.len();
    same_length(&[columns.last_seen_timestamps.len(), columns.created_ats.len(), columns.updated_ats.len()], count)?;
    let channels = Strings::new(&columns.channel_ids, count)?;
    let threads = Strings::new(&columns.thread_ids, count)?;
    let messages = Strings::new(&columns.last_message_ids, count)?;
    let mut threadless = columns.threadless.iter().map(|&row| row as usize).peekable();
    let states = (0..count)
        .map(|row| MessageState {
            id: columns.ids[row],
            channel_id: channels.get(row).to_owned(),
            thread_id: threadless.next_if_eq(&row).is_none().then(|| threads.get(row).to_owned()),
            last_message_id: messages.get(row).to_owned(),
            last_seen_timestamp: columns.last_seen_timestamps[row],
            created_at: columns.created_ats[row],
            updated_at: columns.updated_ats[row],
        })
        .collect();
    match threadless.next() {
        None => Ok(states),
        Some(_) => Err(Malformed::threadless()),
    }
}

pub(crate) fn thread_ownerships(columns: &types::ThreadOwnershipsResult) -> Result<Vec<ThreadOwnership>, Malformed> {
    let count = columns.ids.len();
    same_length(&[columns.creation_times.len(), columns.created_ats.len(), columns.updated_ats.len()], count)?;
    let threads = Strings::new(&columns.thread_ids, count)?;
    let users = Strings::new(&columns.original_user_ids, count)?;
    let creators = Strings::new(&columns.created_bys, count)?;
    let ownership = |row| ThreadOwnership {
        id: columns.ids[row],
        thread_id: threads.get(row).to_owned(),
        original_user_id: users.get(row).to_owned(),
        created_by: creators.get(row).to_owned(),
        creation_time: columns.creation_times[row],
        created_at: columns.created_ats[row],
        updated_at: columns.updated_ats[row],
    };
    Ok((0..count).map(ownership).collect())
}

/// Lends a column that a guest returned to another one.
fn column_again(column: &types::TextColumnResult) -> types::TextColumnParam<'_> {
    types::TextColumnParam { offsets: &column.offsets, text: &column.text }
}

/// Lends what a guest returned to another one, which checks it.
pub(crate) fn message_states_again(columns: &types::MessageStatesResult) -> types::MessageStatesParam<'_> {
    types::MessageStatesParam {
        ids: &columns.ids,
        channel_ids: column_again(&columns.channel_ids),
        thread_ids: column_again(&columns.thread_ids),
        threadless: &columns.threadless,
        last_message_ids: column_again(&columns.last_message_ids),
        last_seen_timestamps: &columns.last_seen_timestamps,
        created_ats: &columns.created_ats,
        updated_ats: &columns.updated_ats,
    }
}

/// As [`message_states_again`].
pub(crate) fn thread_ownerships_again(columns: &types::ThreadOwnershipsResult) -> types::ThreadOwnershipsParam<'_> {
    types::ThreadOwnershipsParam {
        ids: &columns.ids,
        thread_ids: column_again(&columns.thread_ids),
        original_user_ids: column_again(&columns.original_user_ids),
        created_bys: column_again(&columns.created_bys),
        creation_times: &columns.creation_times,
        created_ats: &columns.created_ats,
        updated_ats: &columns.updated_ats,
    }
}

/// A column of text under construction.
#[derive(Default)]
struct Packed {
    offsets: Vec<u32>,
    text: String,
}

/// More text than the contract's offsets of 32 bits can reach.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl Packed {
    fn new<'a>(strings: impl ExactSizeIterator<Item = &'a str>) -> Result<Self, TooLarge> {
        let mut packed = Self { offsets: Vec::with_capacity(strings.len() + 1), text: String::new() };
        packed.offsets.push(0);
        for string in strings {
            packed.text.push_str(string);
            packed.offsets.push(u32::try_from(packed.text.len()).map_err(|_| TooLarge)?);
        }
        Ok(packed)
    }

    fn column(&self) -> types::TextColumnParam<'_> {
        types::TextColumnParam { offsets: &self.offsets, text: &self.text }
    }
}

/// Message states as columns, which [`param`](Self::param) lends to a call.
pub(crate) struct MessageStateColumns {
    numbers: [Vec<i64>; 4],
    channels: Packed,
    threads: Packed,
    threadless: Vec<u32>,
    messages: Packed,
}

impl MessageStateColumns {
    pub(crate) fn new(states: &[MessageState]) -> Result<Self, TooLarge> {
        let threadless = (0_u32..).zip(states).filter(|(_, state)| state.thread_id.is_none());
        Ok(Self {
            numbers: [
                states.iter().map(|state| state.id).collect(),
                states.iter().map(|state| state.last_seen_timestamp).collect(),
                states.iter().map(|state| state.created_at).collect(),
                states.iter().map(|state| state.updated_at).collect(),
            ],
            channels: Packed::new(states.iter().map(|state| &*state.channel_id))?,
            threads: Packed::new(states.iter().map(|state| state.thread_id.as_deref().unwrap_or_default()))?,
            threadless: threadless.map(|(row, _)| row).collect(),
            messages: Packed::new(states.iter().map(|state| &*state.last_message_id))?,
        })
    }

    pub(crate) fn param(&self) -> types::MessageStatesParam<'_> {
        let [ids, last_seen_timestamps, created_ats, updated_ats] = &self.numbers;
        types::MessageStatesParam {
            ids,
            channel_ids: self.channels.column(),
            thread_ids: self.threads.column(),
            threadless: &self.threadless,
            last_message_ids: self.messages.column(),
            last_seen_timestamps,
            created_ats,
            updated_ats,
        }
    }
}

/// Thread ownerships as columns, which [`param`](Self::param) lends to a call.
pub(crate) struct ThreadOwnershipColumns {
    numbers: [Vec<i64>; 4],
    threads: Packed,
    users: Packed,
    creators: Packed,
}

impl ThreadOwnershipColumns {
    pub(crate) fn new(ownerships: &[ThreadOwnership]) -> Result<Self, TooLarge> {
        Ok(Self {
            numbers: [
                ownerships.iter().map(|ownership| ownership.id).collect(),
                ownerships.iter().map(|ownership| ownership.creation_time).collect(),
                ownerships.iter().map(|ownership| ownership.created_at).collect(),
                ownerships.iter().map(|ownership| ownership.updated_at).collect(),
            ],
            threads: Packed::new(ownerships.iter().map(|ownership| &*ownership.thread_id))?,
            users: Packed::new(ownerships.iter().map(|ownership| &*ownership.original_user_id))?,
            creators: Packed::new(ownerships.iter().map(|ownership| &*ownership.created_by))?,
        })
    }

    pub(crate) fn param(&self) -> types::ThreadOwnershipsParam<'_> {
        let [ids, creation_times, created_ats, updated_ats] = &self.numbers;
        types::ThreadOwnershipsParam {
            ids,
            thread_ids: self.threads.column(),
            original_user_ids: self.users.column(),
            created_bys: self.creators.column(),
            creation_times,
            created_ats,
            updated_ats,
        }
    }
}

impl From<types::MessageStateResult> for MessageState {
    fn from(state: types::MessageStateResult) -> Self {
        Self {
            id: state.id,
            channel_id: state.channel_id,
            thread_id: state.thread_id,
            last_message_id: state.last_message_id,
            last_seen_timestamp: state.last_seen_timestamp,
            created_at: state.created_at,
            updated_at: state.updated_at,
        }
    }
}

impl<'a> From<&'a MessageState> for types::MessageStateParam<'a> {
    fn from(state: &'a MessageState) -> Self {
        Self {
            id: state.id,
            channel_id: &state.channel_id,
            thread_id: state.thread_id.as_deref(),
            last_message_id: &state.last_message_id,
            last_seen_timestamp: state.last_seen_timestamp,
            created_at: state.created_at,
            updated_at: state.updated_at,
        }
    }
}

impl From<types::ThreadOwnershipResult> for ThreadOwnership {
    fn from(ownership: types::ThreadOwnershipResult) -> Self {
        Self {
            id: ownership.id,
            thread_id: ownership.thread_id,
            original_user_id: ownership.original_user_id,
            created_by: ownership.created_by,
            creation_time: ownership.creation_time,
            created_at: ownership.created_at,
            updated_at: ownership.updated_at,
        }
    }
}

impl<'a> From<&'a ThreadOwnership> for types::ThreadOwnershipParam<'a> {
    fn from(ownership: &'a ThreadOwnership) -> Self {
        Self {
            id: ownership.id,
            thread_id: &ownership.thread_id,
            original_user_id: &ownership.original_user_id,
            created_by: &ownership.created_by,
            creation_time: ownership.creation_time,
            created_at: ownership.created_at,
            updated_at: ownership.updated_at,
        }
    }
}

impl<'a> From<&'a MessageKey> for transfer::MessageKeyParam<'a> {
    fn from(key: &'a MessageKey) -> Self {
        Self { channel_id: &key.channel_id, thread_id: key.thread_id.as_deref() }
    }
}

impl From<OnEqual> for transfer::OnEqual {
    fn from(on_equal: OnEqual) -> Self {
        match on_equal {
            OnEqual::Keep => Self::Keep,
            OnEqual::Replace => Self::Replace,
        }
    }
}

impl From<transfer::ImportOutcome> for ImportOutcome {
    fn from(outcome: transfer::ImportOutcome) -> Self {
        Self { inserted: outcome.inserted, replaced: outcome.replaced, kept: outcome.kept }
    }
}

impl From<backend::Description> for Description {
    fn from(description: backend::Description) -> Self {
        let engine = match description.engine {
            backend::Engine::Sqlite => Engine::Sqlite,
            backend::Engine::Mysql => Engine::Mysql,
        };
        Self {
            name: description.name,
            version: description.version,
            engine,
            schema_version: description.schema_version,
        }
    }
}

impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        let kind = match error.kind {
            types::ErrorKind::InvalidInput => ErrorKind::InvalidInput,
            types::ErrorKind::NotInitialized => ErrorKind::NotInitialized,
            types::ErrorKind::Unavailable => ErrorKind::Unavailable,
            types::ErrorKind::Timeout => ErrorKind::Timeout,
            types::ErrorKind::Conflict => ErrorKind::Conflict,
            types::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            types::ErrorKind::StorageFull => ErrorKind::StorageFull,
            types::ErrorKind::SchemaMismatch => ErrorKind::SchemaMismatch,
            types::ErrorKind::CorruptData => ErrorKind::CorruptData,
            types::ErrorKind::Refused => ErrorKind::Refused,
            types::ErrorKind::Internal => ErrorKind::Internal,
        };
        let converted = Self::new(kind, one_line(&error.message, MESSAGE));
        match error.code {
            Some(code) => converted.with_code(one_line(&code, CODE)),
            None => converted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> Vec<MessageState> {
        vec![
            MessageState { id: 1, ..MessageState::new("🦀", None, "m", i64::MIN) },
            MessageState { id: 2, ..MessageState::new("c", Some("t"), "", 0) },
            MessageState { id: 3, ..MessageState::new("", None, "é", i64::MAX) },
        ]
    }

    fn columns() -> types::MessageStatesResult {
        let packed = MessageStateColumns::new(&states()).unwrap();
        let param = packed.param();
        let text = |column: types::TextColumnParam<'_>| types::TextColumnResult {
            offsets: column.offsets.to_vec(),
            text: column.text.to_owned(),
        };
        types::MessageStatesResult {
            ids: param.ids.to_vec(),
            channel_ids: text(param.channel_ids),
            thread_ids: text(param.thread_ids),
            threadless: param.threadless.to_vec(),
            last_message_ids: text(param.last_message_ids),
            last_seen_timestamps: param.last_seen_timestamps.to_vec(),
            created_ats: param.created_ats.to_vec(),
            updated_ats: param.updated_ats.to_vec(),
        }
    }

    #[test]
    fn packs_and_unpacks_states() {
        assert_eq!(message_states(&columns()).unwrap(), states());
    }

    #[test]
    fn refuses_columns_that_do_not_hold_together() {
        let breaks: [fn(&mut types::MessageStatesResult); 9] = [
            |columns| columns.ids.push(4),
            |columns| columns.updated_ats.truncate(1),
            |columns| columns.channel_ids.offsets.clear(),
            |columns| columns.channel_ids.offsets[1] = 2,
            |columns| columns.channel_ids.offsets[2] = 3,
            |columns| columns.channel_ids.offsets[3] = 6,
            |columns| columns.last_message_ids.offsets.push(3),
            |columns| columns.threadless = vec![2, 0],
            |columns| columns.threadless = vec![0, 2, 3],
        ];
        for (number, change) in breaks.iter().enumerate() {
            let mut columns = columns();
            change(&mut columns);
            let outcome = message_states(&columns);
            assert!(outcome.is_err(), "change {number} passed: {outcome:?}");
        }
    }
}
