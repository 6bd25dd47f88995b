//! What is kept of a page to undo it: for each row that was written its key and a hash of its values, and for one that
//! was replaced what it was before.
//!
//! A body is a byte for the table and the records one after another. Numbers are little-endian, and texts are preceded
//! by their length: those of keys in two bytes, others in four. A record is
//!
//! - a byte: 1 where the row was replaced, plus 2 where it has a thread, plus 4 where that is the channel's own id;
//! - the first part of the key, and the thread where it is neither absent nor the channel's id;
//! - the hash of the values that were written, eight bytes;
//! - of a replaced row its id and its values before: two texts and three numbers of eight bytes.

use crate::bindings::cofferdam::storage::types::ErrorKind;
use crate::error::{Failure, Result};
use crate::table::{Key, Table, Values};

const REPLACED: u8 = 1;
const HAS_THREAD: u8 = 2;
const THREAD_IS_CHANNEL: u8 = 4;

/// The size at which a body is full, in bytes: well below what a server takes in one packet.
const FULL: usize = 1 << 20;

/// A row that a page wrote.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub key: Key<'a>,
    /// Of the values that were written.
    pub hash: u64,
    /// What was there before.
    pub before: Option<(i64, Values<'a>)>,
}

/// Bodies under construction.
pub(super) struct Log {
    table: Table,
    full: Vec<Vec<u8>>,
    body: Vec<u8>,
}

impl Log {
    pub fn new(table: Table) -> Self {
        Self { table, full: Vec::new(), body: Vec::new() }
    }

    pub fn push(&mut self, record: &Record<'_>) {
        if self.body.len() >= FULL {
            self.full.push(std::mem::take(&mut self.body));
        }
        let body = &mut self.body;
        if body.is_empty() {
            body.push(u8::from(self.table == Table::ThreadOwnerships));
        }
        let Record { key: (first, second), hash, before } = record;
        let is_channel = second.is_some_and(|second| second == *first);
        let mut flags = if before.is_some() { REPLACED } else { 0 };
        flags |= if second.is_some() { HAS_THREAD } else { 0 } | if is_channel { THREAD_IS_CHANNEL } else { 0 };
        body.push(flags);
        push_text(body, first);
        if let Some(second) = second.filter(|_| !is_channel) {
            push_text(body, second);
        }
        body.extend_from_slice(&hash.to_le_bytes());
        if let Some((id, values)) = before {
            body.extend_from_slice(&id.to_le_bytes());
            for text in values.texts {
                // What a database held before may be longer than an id, though not than a page's result.
                body.extend_from_slice(&(text.len() as u32).to_le_bytes());
                body.extend_from_slice(text.as_bytes());
            }
            values.integers.iter().for_each(|integer| body.extend_from_slice(&integer.to_le_bytes()));
        }
    }

    /// The bodies, in order; none where nothing was pushed.
    pub fn into_bodies(self) -> impl Iterator<Item = Vec<u8>> {
        self.full.into_iter().chain(Some(self.body).filter(|body| !body.is_empty()))
    }
}

fn push_text(body: &mut Vec<u8>, text: &str) {
    // A key is valid, and so has at most 1,020 bytes.
    body.extend_from_slice(&(text.len() as u16).to_le_bytes());
    body.extend_from_slice(text.as_bytes());
}

/// A hash of a row's values that is the same on every machine and in every version: FNV-1a, with the lengths of texts.
pub(super) fn hash(values: &Values<'_>) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut eat = |bytes: &[u8]| bytes.iter().for_each(|byte| hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
    for text in values.texts {
        eat(&(text.len() as u64).to_le_bytes());
        eat(text.as_bytes());
    }
    values.integers.iter().for_each(|integer| eat(&integer.to_le_bytes()));
    hash
}

/// Reads a body.
pub(super) fn read(body: &[u8]) -> Result<(Table, Vec<Record<'_>>)> {
    parse(body).ok_or_else(|| {
        Failure::new(
            ErrorKind::CorruptData,
            "cofferdam_migration_undo is damaged: restore a backup instead of \
            rolling back",
        )
    })
}

fn parse(body: &[u8]) -> Option<(Table, Vec<Record<'_>>)> {
    let (table, mut rest) = match body {
        [0, rest @ ..] => (Table::MessageStates, rest),
        [1, rest @ ..] => (Table::ThreadOwnerships, rest),
        _ => return None,
    };
    let mut records = Vec::new();
    while let Some((flags, tail)) = rest.split_first() {
        rest = tail;
        let first = text(&mut rest)?;
        let second = match (flags & HAS_THREAD != 0, flags & THREAD_IS_CHANNEL != 0) {
            (false, _) => None,
            (true, true) => Some(first),
            (true, false) => Some(text(&mut rest)?),
        };
        let hash = u64::from_le_bytes(number(&mut rest)?);
        let before = match flags & REPLACED != 0 {
            false => None,
            true => {
                let id = i64::from_le_bytes(number(&mut rest)?);
                let texts = [long_text(&mut rest)?, long_text(&mut rest)?];
                let integers = [number(&mut rest)?, number(&mut rest)?, number(&mut rest)?].map(i64::from_le_bytes);
                Some((id, Values { texts, integers }))
            }
        };
        records.push(Record { key: (first, second), hash, before });
    }
    Some((table, records))
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (length, tail) = rest.split_first_chunk::<2>()?;
    let (text, tail) = tail.split_at_checked(u16::from_le_bytes(*length).into())?;
    *rest = tail;
    std::str::from_utf8(text).ok()
}

fn long_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let (text, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = tail;
    std::str::from_utf8(text).ok()
}

fn number(rest: &mut &[u8]) -> Option<[u8; 8]> {
    let (number, tail) = rest.split_first_chunk::<8>()?;
    *rest = tail;
    Some(*number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_can_be_read() {
        let values = Values { texts: ["m\u{e9}", ""], integers: [i64::MIN, 0, i64::MAX] };
        let records = [
            Record { key: ("a", None), hash: 1, before: None },
            Record { key: ("a", Some("a")), hash: u64::MAX, before: Some((7, values)) },
            Record { key: ("a", Some("\u{1f980}")), hash: 3, before: Some((-1, values)) },
        ];
        let mut log = Log::new(Table::ThreadOwnerships);
        records.iter().for_each(|record| log.push(record));
        let bodies: Vec<_> = log.into_bodies().collect();
        assert_eq!(bodies.len(), 1);
        let (table, found) = read(&bodies[0]).unwrap();
        assert_eq!((table, found), (Table::ThreadOwnerships, records.into()));
    }

    #[test]
    fn a_body_that_is_full_is_followed_by_another() {
        let long = "x".repeat(1000);
        let mut log = Log::new(Table::MessageStates);
        for hash in 0..3000 {
            log.push(&Record { key: (&long, None), hash, before: None });
        }
        let bodies: Vec<_> = log.into_bodies().collect();
        assert_eq!(bodies.len(), 3);
        let hashes: Vec<u64> = bodies.iter().flat_map(|body| read(body).unwrap().1).map(|record| record.hash).collect();
        assert_eq!(hashes, (0..3000).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_makes_no_body() {
        assert_eq!(Log::new(Table::MessageStates).into_bodies().count(), 0);
    }

    #[test]
    fn what_is_cut_short_is_damaged() {
        let mut log = Log::new(Table::MessageStates);
        log.push(&Record { key: ("a", Some("b")), hash: 1, before: None });
        let body = log.into_bodies().next().unwrap();
        for length in (0..body.len()).filter(|length| *length != 1) {
            assert!(read(&body[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_hash_tells_values_apart_and_never_changes() {
        let values = Values { texts: ["ab", "c"], integers: [1, 2, 3] };
        assert_ne!(hash(&values), hash(&Values { texts: ["a", "bc"], ..values }));
        assert_ne!(hash(&values), hash(&Values { integers: [1, 3, 2], ..values }));
    }
}
