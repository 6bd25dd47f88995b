//! Rows as they cross the wall: in columns, the texts of each in one string.

use super::{MessageState, ThreadOwnership};

/// A column of text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextColumn {
    /// Where each row's text begins, and where the last one ends.
    pub offsets: Vec<u32>,
    pub text: String,
}

/// More text than the contract's offsets of 32 bits can reach.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl TextColumn {
    fn new<'a>(strings: impl ExactSizeIterator<Item = &'a str>) -> Result<Self, TooLarge> {
        let mut packed = Self { offsets: Vec::with_capacity(strings.len() + 1), text: String::new() };
        packed.offsets.push(0);
        for string in strings {
            packed.text.push_str(string);
            packed.offsets.push(u32::try_from(packed.text.len()).map_err(|_| TooLarge)?);
        }
        Ok(packed)
    }
}

/// Columns do not hold together.
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
    pub(crate) fn new(column: &'a TextColumn, count: usize) -> Result<Self, Malformed> {
        let TextColumn { offsets, text } = column;
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

/// Message states as columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MessageStateColumns {
    pub ids: Vec<i64>,
    pub channel_ids: TextColumn,
    pub thread_ids: TextColumn,
    /// The rows without a thread, in their order.
    pub threadless: Vec<u32>,
    pub last_message_ids: TextColumn,
    pub last_seen_timestamps: Vec<i64>,
    pub created_ats: Vec<i64>,
    pub updated_ats: Vec<i64>,
}

impl MessageStateColumns {
    pub fn pack(states: &[MessageState]) -> Result<Self, TooLarge> {
        let threadless = (0_u32..).zip(states).filter(|(_, state)| state.thread_id.is_none());
        Ok(Self {
            ids: states.iter().map(|state| state.id).collect(),
            channel_ids: TextColumn::new(states.iter().map(|state| &*state.channel_id))?,
            thread_ids: TextColumn::new(states.iter().map(|state| state.thread_id.as_deref().unwrap_or_default()))?,
            threadless: threadless.map(|(row, _)| row).collect(),
            last_message_ids: TextColumn::new(states.iter().map(|state| &*state.last_message_id))?,
            last_seen_timestamps: states.iter().map(|state| state.last_seen_timestamp).collect(),
            created_ats: states.iter().map(|state| state.created_at).collect(),
            updated_ats: states.iter().map(|state| state.updated_at).collect(),
        })
    }

    pub fn unpack(&self) -> Result<Vec<MessageState>, Malformed> {
        let count = self.ids.len();
        same_length(&[self.last_seen_timestamps.len(), self.created_ats.len(), self.updated_ats.len()], count)?;
        let channels = Strings::new(&self.channel_ids, count)?;
        let threads = Strings::new(&self.thread_ids, count)?;
        let messages = Strings::new(&self.last_message_ids, count)?;
        let mut threadless = self.threadless.iter().map(|&row| row as usize).peekable();
        let states = (0..count)
            .map(|row| MessageState {
                id: self.ids[row],
                channel_id: channels.get(row).to_owned(),
                thread_id: threadless.next_if_eq(&row).is_none().then(|| threads.get(row).to_owned()),
                last_message_id: messages.get(row).to_owned(),
                last_seen_timestamp: self.last_seen_timestamps[row],
                created_at: self.created_ats[row],
                updated_at: self.updated_ats[row],
            })
            .collect();
        match threadless.next() {
            None => Ok(states),
            Some(_) => Err(Malformed::threadless()),
        }
    }
}

/// Thread ownerships as columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ThreadOwnershipColumns {
    pub ids: Vec<i64>,
    pub thread_ids: TextColumn,
    pub original_user_ids: TextColumn,
    pub created_bys: TextColumn,
    pub creation_times: Vec<i64>,
    pub created_ats: Vec<i64>,
    pub updated_ats: Vec<i64>,
}

impl ThreadOwnershipColumns {
    pub fn pack(ownerships: &[ThreadOwnership]) -> Result<Self, TooLarge> {
        Ok(Self {
            ids: ownerships.iter().map(|ownership| ownership.id).collect(),
            thread_ids: TextColumn::new(ownerships.iter().map(|ownership| &*ownership.thread_id))?,
            original_user_ids: TextColumn::new(ownerships.iter().map(|ownership| &*ownership.original_user_id))?,
            created_bys: TextColumn::new(ownerships.iter().map(|ownership| &*ownership.created_by))?,
            creation_times: ownerships.iter().map(|ownership| ownership.creation_time).collect(),
            created_ats: ownerships.iter().map(|ownership| ownership.created_at).collect(),
            updated_ats: ownerships.iter().map(|ownership| ownership.updated_at).collect(),
        })
    }

    pub fn unpack(&self) -> Result<Vec<ThreadOwnership>, Malformed> {
        let count = self.ids.len();
        same_length(&[self.creation_times.len(), self.created_ats.len(), self.updated_ats.len()], count)?;
        let threads = Strings::new(&self.thread_ids, count)?;
        let users = Strings::new(&self.original_user_ids, count)?;
        let creators = Strings::new(&self.created_bys, count)?;
        let ownership = |row| ThreadOwnership {
            id: self.ids[row],
            thread_id: threads.get(row).to_owned(),
            original_user_id: users.get(row).to_owned(),
            created_by: creators.get(row).to_owned(),
            creation_time: self.creation_times[row],
            created_at: self.created_ats[row],
            updated_at: self.updated_ats[row],
        };
        Ok((0..count).map(ownership).collect())
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

    fn columns() -> MessageStateColumns {
        MessageStateColumns::pack(&states()).unwrap()
    }

    #[test]
    fn packs_and_unpacks_states() {
        assert_eq!(columns().unpack().unwrap(), states());
    }

    #[test]
    fn refuses_columns_that_do_not_hold_together() {
        let breaks: [fn(&mut MessageStateColumns); 9] = [
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
            let outcome = columns.unpack();
            assert!(outcome.is_err(), "change {number} passed: {outcome:?}");
        }
    }
}
