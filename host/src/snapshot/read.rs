//! Reading a snapshot line by line, which finds every damage but that of a line which still reads well: that one the
//! checksum finds, at the end.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use sha2::{Digest, Sha256};

use super::error::SnapshotError;
use super::format::{self, HEADER_PREFIX, Header, Line, MAX_LINE, Row, Trailer};
use super::rules::BrokenRules;
use crate::hexadecimal::hexadecimal;
use crate::model::MessageKey;
use crate::text::one_line;

/// How a zstd frame begins.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// How many lines are read between two looks at whether anybody still wants them.
const LINES_AT_A_TIME: u64 = 1024;

/// The most characters of a reason, which may repeat what is in the file.
const REASON: usize = 500;

/// What a snapshot contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// What it says of itself.
    pub header: Header,
    /// The number of states.
    pub message_states: u64,
    /// The number of ownerships.
    pub thread_ownerships: u64,
    /// The SHA-256 of its lines before the trailer, in hexadecimal.
    pub sha256: String,
    /// Rows that no storage takes.
    pub broken: BrokenRules,
}

/// Reads a whole snapshot and checks all of it. Blocks.
///
/// # Errors
///
/// Where it cannot be read, is none, is truncated or damaged. Rows that break a rule are no error here.
pub fn verify(input: impl Read) -> Result<Contents, SnapshotError> {
    match verify_unless(input, || false)? {
        Some(contents) => Ok(contents),
        None => Err(SnapshotError::Truncated { line: 0 }),
    }
}

/// The same, given up with `None` once `stop` says so.
pub(super) fn verify_unless(input: impl Read, stop: impl Fn() -> bool) -> Result<Option<Contents>, SnapshotError> {
    let mut reader = Reader::new(input)?;
    let mut broken = BrokenRules::default();
    while let Some((line, row)) = reader.next()? {
        broken.keeps(line, &row);
        if line.is_multiple_of(LINES_AT_A_TIME) && stop() {
            return Ok(None);
        }
    }
    Ok(Some(reader.contents(broken)))
}

/// Yields the rows, and checks everything as it goes.
pub(super) struct Reader<'a> {
    input: Box<dyn BufRead + 'a>,
    line: Vec<u8>,
    /// Complete lines so far, which is the number of the last one.
    number: u64,
    hash: Sha256,
    sha256: String,
    header: Header,
    last_state: Option<MessageKey>,
    last_ownership: Option<String>,
    message_states: u64,
    thread_ownerships: u64,
}

impl<'a> Reader<'a> {
    /// Reads the first line.
    pub fn new(input: impl Read + 'a) -> Result<Self, SnapshotError> {
        let mut reader = Self {
            input: decompressed(input)?,
            line: Vec::new(),
            number: 0,
            hash: Sha256::new(),
            sha256: String::new(),
            header: Header::default(),
            last_state: None,
            last_ownership: None,
            message_states: 0,
            thread_ownerships: 0,
        };
        let not_snapshot = |reason: &str| Err(SnapshotError::NotSnapshot { reason: reason.into() });
        match reader.read_line()? {
            Ending::Whole => {}
            Ending::Nothing => return not_snapshot("it is empty"),
            Ending::Cut if reader.begins_like_a_header() => return Err(SnapshotError::Truncated { line: 0 }),
            Ending::Cut | Ending::TooLong => return not_snapshot("its first line is not a snapshot's"),
        }
        reader.header = format::read_header(&reader.line)?;
        reader.hash.update(&reader.line);
        Ok(reader)
    }

    /// The next row and the number of its line; `None` after the last, once the trailer has proved that all are there.
    pub fn next(&mut self) -> Result<Option<(u64, Row)>, SnapshotError> {
        match self.read_line()? {
            Ending::Whole => {}
            Ending::Nothing | Ending::Cut => return Err(SnapshotError::Truncated { line: self.number }),
            Ending::TooLong => {
                return Err(self.corrupted_after(format!("it is longer than {} KiB", MAX_LINE >> 10)));
            }
        }
        match format::read_line(&self.line) {
            Ok(Line::Row(row)) => {
                self.check_order(&row)?;
                self.hash.update(&self.line);
                match row {
                    Row::State(_) => self.message_states += 1,
                    Row::Ownership(_) => self.thread_ownerships += 1,
                }
                Ok(Some((self.number, row)))
            }
            Ok(Line::Trailer(trailer)) => self.check_trailer(&trailer).map(|()| None),
            Err(reason) => Err(self.corrupted(reason)),
        }
    }

    /// What was read, after the last row.
    pub fn contents(self, broken: BrokenRules) -> Contents {
        let Self { header, message_states, thread_ownerships, sha256, .. } = self;
        Contents { header, message_states, thread_ownerships, sha256, broken }
    }

    fn check_order(&mut self, row: &Row) -> Result<(), SnapshotError> {
        match row {
            Row::State(_) if self.last_ownership.is_some() => {
                Err(self.corrupted("a state among the ownerships, which come after all states"))
            }
            Row::State(state) => {
                let key = MessageKey { channel_id: state.channel_id.clone(), thread_id: state.thread_id.clone() };
                if self.last_state.as_ref().is_some_and(|last| *last >= key) {
                    return Err(self.corrupted("its key does not come after that of the line before"));
                }
                self.last_state = Some(key);
                Ok(())
            }
            Row::Ownership(ownership) => {
                if self.last_ownership.as_ref().is_some_and(|last| *last >= ownership.thread_id) {
                    return Err(self.corrupted("its key does not come after that of the line before"));
                }
                self.last_ownership = Some(ownership.thread_id.clone());
                Ok(())
            }
        }
    }

    fn check_trailer(&mut self, trailer: &Trailer) -> Result<(), SnapshotError> {
        self.sha256 = hexadecimal(&std::mem::take(&mut self.hash).finalize());
        if (trailer.message_states, trailer.thread_ownerships) != (self.message_states, self.thread_ownerships) {
            return Err(self.corrupted(format!(
                "the trailer counts {} states and {} ownerships, but there are {} and {}",
                trailer.message_states, trailer.thread_ownerships, self.message_states, self.thread_ownerships
            )));
        }
        if trailer.sha256 != self.sha256 {
            return Err(
                self.corrupted("the trailer's checksum does not match the lines before it: one of them was changed")
            );
        }
        match self.read_line()? {
            Ending::Nothing => Ok(()),
            Ending::Whole => Err(self.corrupted("it comes after the trailer")),
            Ending::Cut | Ending::TooLong => Err(self.corrupted_after("it comes after the trailer")),
        }
    }

    /// Reads up to the next end of a line, which is kept.
    fn read_line(&mut self) -> Result<Ending, SnapshotError> {
        self.line.clear();
        let limit = MAX_LINE as u64 + 1;
        match (&mut self.input).take(limit).read_until(b'\n', &mut self.line) {
            Ok(_) if self.line.ends_with(b"\n") => {
                self.number += 1;
                Ok(Ending::Whole)
            }
            Ok(0) => Ok(Ending::Nothing),
            Ok(_) if self.line.len() > MAX_LINE => Ok(Ending::TooLong),
            Ok(_) => Ok(Ending::Cut),
            // Told by the system, so it is not the file's contents that are wrong.
            Err(error) if error.raw_os_error().is_some() => Err(cannot_read(error)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(SnapshotError::Truncated { line: self.number })
            }
            Err(error) => Err(self.corrupted_after(format!("the compressed data is damaged: {error}"))),
        }
    }

    fn begins_like_a_header(&self) -> bool {
        let length = self.line.len().min(HEADER_PREFIX.len());
        self.line[..length] == HEADER_PREFIX[..length]
    }

    /// The line that was just read is wrong.
    fn corrupted(&self, reason: impl AsRef<str>) -> SnapshotError {
        SnapshotError::Corrupted { line: self.number, reason: one_line(reason.as_ref(), REASON) }
    }

    /// The line that follows, and is not a whole one, is wrong.
    fn corrupted_after(&self, reason: impl AsRef<str>) -> SnapshotError {
        SnapshotError::Corrupted { line: self.number + 1, reason: one_line(reason.as_ref(), REASON) }
    }
}

/// How a line ended.
enum Ending {
    /// With a newline.
    Whole,
    /// The file ended before it began.
    Nothing,
    /// The file ended within it.
    Cut,
    /// Not within [`MAX_LINE`] bytes.
    TooLong,
}

fn decompressed<'a>(mut input: impl Read + 'a) -> Result<Box<dyn BufRead + 'a>, SnapshotError> {
    let mut magic = Vec::with_capacity(ZSTD_MAGIC.len());
    input.by_ref().take(ZSTD_MAGIC.len() as u64).read_to_end(&mut magic).map_err(cannot_read)?;
    if !magic.is_empty() && magic.len() < ZSTD_MAGIC.len() && ZSTD_MAGIC.starts_with(&magic) {
        return Err(SnapshotError::Truncated { line: 0 });
    }
    let is_compressed = magic == ZSTD_MAGIC;
    let input = Cursor::new(magic).chain(input);
    match is_compressed {
        false => Ok(Box::new(BufReader::with_capacity(1 << 17, input))),
        true => {
            let decoder = zstd::Decoder::new(input).map_err(cannot_read)?;
            Ok(Box::new(BufReader::with_capacity(1 << 17, decoder)))
        }
    }
}

pub(super) fn cannot_read(error: io::Error) -> SnapshotError {
    SnapshotError::io("the snapshot cannot be read", error)
}
