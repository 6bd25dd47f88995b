//! Compares both sides in key order, field by field.

use std::cmp::Ordering;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::count;
use super::error::Result;
use super::side::Side;
use super::source::{Page, Pages};
use crate::error::{Error, ErrorKind};
use crate::model::migration::{Overview, Position, Table};
use crate::model::packed::{Malformed, Strings, TextColumn, same_length};
use crate::model::{MessageKey, MessageState, ThreadOwnership};

/// Rows after which an observer hears of the progress.
const REPORT: u64 = 20_000;

/// How the two sides differ in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DifferenceKind {
    /// Only the source has it.
    Missing,
    /// Only the destination has it.
    Extra,
    /// Both have it, and the source's is newer.
    Older,
    /// Both have it, and the destination's is newer.
    Newer,
    /// Both have it with the same `updated_at`, and other values.
    Other,
}

impl DifferenceKind {
    /// A few words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Missing => "missing in the destination",
            Self::Extra => "only in the destination",
            Self::Older => "older in the destination",
            Self::Newer => "newer in the destination",
            Self::Other => "of the same time, with other values",
        }
    }
}

/// A key in which the two sides differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where it is.
    pub table: Table,
    /// The key; an ownership's thread is `channel_id`.
    pub key: MessageKey,
    /// How they differ.
    pub kind: DifferenceKind,
    /// The columns that differ, with both values; empty where only one side has the key.
    pub columns: Vec<(&'static str, String, String)>,
}

/// What a comparison found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Keys with the same values on both sides.
    pub equal: u64,
    /// As [`DifferenceKind::Missing`].
    pub missing: u64,
    /// As [`DifferenceKind::Extra`].
    pub extra: u64,
    /// As [`DifferenceKind::Older`].
    pub older: u64,
    /// As [`DifferenceKind::Newer`].
    pub newer: u64,
    /// As [`DifferenceKind::Other`].
    pub other: u64,
    /// Rows of the source that cannot be migrated, and are not compared.
    pub unfit: u64,
}

impl Verdict {
    /// Whether both sides hold the same rows.
    pub fn is_equal(&self) -> bool {
        self.differences() == 0
    }

    /// Whether a run has nothing left to do: the destination may have additional and newer rows.
    pub fn is_complete(&self) -> bool {
        self.missing == 0 && self.older == 0
    }

    /// Keys in which the sides differ.
    pub fn differences(&self) -> u64 {
        self.missing + self.extra + self.older + self.newer + self.other
    }

    /// Keys that were compared.
    pub fn keys(&self) -> u64 {
        self.equal + self.differences()
    }

    fn count(&mut self, kind: DifferenceKind) {
        let count = match kind {
            DifferenceKind::Missing => &mut self.missing,
            DifferenceKind::Extra => &mut self.extra,
            DifferenceKind::Older => &mut self.older,
            DifferenceKind::Newer => &mut self.newer,
            DifferenceKind::Other => &mut self.other,
        };
        *count += 1;
    }
}

/// Follows a comparison.
pub trait VerifyObserver: Send {
    /// The progress, every few thousand keys.
    ///
    /// # Errors
    ///
    /// An error ends the comparison.
    fn compared(&mut self, verdict: &Verdict) -> io::Result<()>;

    /// A difference.
    ///
    /// # Errors
    ///
    /// As [`compared`](Self::compared).
    fn differs(&mut self, difference: &Difference) -> io::Result<()>;
}

/// Compares both sides. The overviews determine the size of pages.
///
/// # Errors
///
/// A side fails, not all of its rows were read, or the observer fails.
pub async fn verify(
    from: &Side,
    to: &Side,
    overviews: (&Overview, &Overview),
    patience: Duration,
    observer: &mut dyn VerifyObserver,
) -> Result<Verdict> {
    let mut source = Cursor::new(from, overviews.0.page_rows, patience);
    let mut destination = Cursor::new(to, overviews.1.page_rows, patience);
    let mut verdict = Verdict::default();
    let mut reported = 0;
    loop {
        source.fill().await.map_err(|error| from.failed(error))?;
        destination.fill().await.map_err(|error| to.failed(error))?;
        verdict.unfit = source.unfit;
        let order = match (source.row(), destination.row()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.place().cmp(&other.place()),
        };
        let difference = match order {
            Ordering::Less => source.row().map(|row| row.alone(DifferenceKind::Missing)),
            Ordering::Greater => destination.row().map(|row| row.alone(DifferenceKind::Extra)),
            Ordering::Equal => source.row().zip(destination.row()).and_then(|(one, other)| one.difference(&other)),
        };
        match difference {
            None => verdict.equal += 1,
            Some(difference) => {
                verdict.count(difference.kind);
                observer.differs(&difference)?;
            }
        }
        if order.is_le() {
            source.row += 1;
        }
        if order.is_ge() {
            destination.row += 1;
        }
        if verdict.keys() >= reported + REPORT {
            reported = verdict.keys();
            observer.compared(&verdict)?;
        }
    }
    observer.compared(&verdict)?;
    count::compare(from, source.read, overviews.0).await?;
    count::compare(to, destination.read, overviews.1).await?;
    Ok(verdict)
}

/// Compares differing keys again, and returns those that still differ: while a bot writes to both sides, some writes are
/// always in flight.
///
/// # Errors
///
/// Where a side fails.
pub async fn verify_again(from: &Side, to: &Side, differences: Vec<Difference>) -> Result<Vec<Difference>> {
    let mut left = Vec::new();
    for Difference { table, key, .. } in differences {
        let MessageKey { channel_id, thread_id } = &key;
        let (one, other) = (from.storage(), to.storage());
        let difference = match table {
            Table::MessageStates => {
                let one = readable(one.get_message_state(channel_id, thread_id.as_deref()).await);
                let other = readable(other.get_message_state(channel_id, thread_id.as_deref()).await);
                let (one, other) = (one.map_err(|error| from.failed(error))?, other.map_err(|error| to.failed(error))?);
                between(one.as_ref().map(Row::of_state), other.as_ref().map(Row::of_state))
            }
            Table::ThreadOwnerships => {
                let one = readable(one.get_thread_ownership(channel_id).await).map_err(|error| from.failed(error))?;
                let other = readable(other.get_thread_ownership(channel_id).await).map_err(|error| to.failed(error))?;
                between(one.as_ref().map(Row::of_ownership), other.as_ref().map(Row::of_ownership))
            }
        };
        left.extend(difference);
    }
    Ok(left)
}

/// A row that cannot be moved is none in a comparison.
fn readable<T>(row: crate::Result<Option<T>>) -> crate::Result<Option<T>> {
    row.or_else(|error| if error.kind() == ErrorKind::CorruptData { Ok(None) } else { Err(error) })
}

fn between(one: Option<Row<'_>>, other: Option<Row<'_>>) -> Option<Difference> {
    match (one, other) {
        (None, None) => None,
        (Some(row), None) => Some(row.alone(DifferenceKind::Missing)),
        (None, Some(row)) => Some(row.alone(DifferenceKind::Extra)),
        (Some(one), Some(other)) => one.difference(&other),
    }
}

/// The rows of a side, one after the other.
struct Cursor {
    pages: Option<Pages>,
    page: Option<Checked>,
    row: usize,
    unfit: u64,
    /// Rows that were read, also those that gave way to another one or cannot be moved.
    read: u64,
}

/// A page whose columns fit together.
struct Checked {
    page: Page,
    threadless: Vec<bool>,
    count: usize,
}

/// A row, borrowed from its page.
struct Row<'a> {
    table: Table,
    key: (&'a str, Option<&'a str>),
    texts: [&'a str; 2],
    integers: [i64; 3],
}

impl Cursor {
    fn new(side: &Side, rows: u32, patience: Duration) -> Self {
        let pages = Pages::read(Arc::clone(side.storage()), Position::MessageStates(None), rows, patience);
        Self { pages: Some(pages), page: None, row: 0, unfit: 0, read: 0 }
    }

    /// Makes sure that there is a row, unless all are through.
    async fn fill(&mut self) -> crate::error::Result<()> {
        while self.page.as_ref().is_none_or(|page| self.row >= page.count) {
            let Some(pages) = &mut self.pages else { return Ok(()) };
            self.page = None;
            self.row = 0;
            match pages.next().await? {
                Some(page) => {
                    let (unfit, merged) = (page.rejects().len() as u64, page.merged().len() as u64);
                    let page = Checked::new(page).map_err(|malformed| {
                        let message = format!("the plugin returned a malformed page: {}", malformed.reason());
                        Error::new(ErrorKind::Internal, message)
                    })?;
                    self.unfit += unfit;
                    self.read += page.count as u64 + unfit + merged;
                    self.page = Some(page);
                }
                None => self.pages = None,
            }
        }
        Ok(())
    }

    fn row(&self) -> Option<Row<'_>> {
        self.page.as_ref().filter(|page| self.row < page.count).map(|page| page.row(self.row))
    }
}

impl Checked {
    fn new(page: Page) -> Result<Self, Malformed> {
        let mut threadless = Vec::new();
        let count = match &page {
            Page::MessageStates(page) => {
                let rows = &page.rows;
                let count = rows.ids.len();
                same_length(&[rows.last_seen_timestamps.len(), rows.created_ats.len(), rows.updated_ats.len()], count)?;
                for column in [&rows.channel_ids, &rows.thread_ids, &rows.last_message_ids] {
                    Strings::new(column, count)?;
                }
                threadless.resize(count, false);
                for row in &rows.threadless {
                    *threadless.get_mut(*row as usize).ok_or_else(Malformed::threadless)? = true;
                }
                count
            }
            Page::ThreadOwnerships(page) => {
                let rows = &page.rows;
                let count = rows.ids.len();
                same_length(&[rows.creation_times.len(), rows.created_ats.len(), rows.updated_ats.len()], count)?;
                for column in [&rows.thread_ids, &rows.original_user_ids, &rows.created_bys] {
                    Strings::new(column, count)?;
                }
                count
            }
        };
        Ok(Self { page, threadless, count })
    }

    fn row(&self, row: usize) -> Row<'_> {
        match &self.page {
            Page::MessageStates(page) => {
                let rows = &page.rows;
                let thread = (!self.threadless[row]).then(|| text(&rows.thread_ids, row));
                Row {
                    table: Table::MessageStates,
                    key: (text(&rows.channel_ids, row), thread),
                    texts: [text(&rows.last_message_ids, row), ""],
                    integers: [rows.last_seen_timestamps[row], rows.created_ats[row], rows.updated_ats[row]],
                }
            }
            Page::ThreadOwnerships(page) => {
                let rows = &page.rows;
                Row {
                    table: Table::ThreadOwnerships,
                    key: (text(&rows.thread_ids, row), None),
                    texts: [text(&rows.original_user_ids, row), text(&rows.created_bys, row)],
                    integers: [rows.creation_times[row], rows.created_ats[row], rows.updated_ats[row]],
                }
            }
        }
    }
}

/// A text of a column that was checked.
fn text(column: &TextColumn, row: usize) -> &str {
    &column.text[column.offsets[row] as usize..column.offsets[row + 1] as usize]
}

impl<'a> Row<'a> {
    fn of_state(state: &'a MessageState) -> Self {
        Self {
            table: Table::MessageStates,
            key: (&state.channel_id, state.thread_id.as_deref()),
            texts: [&state.last_message_id, ""],
            integers: [state.last_seen_timestamp, state.created_at, state.updated_at],
        }
    }

    fn of_ownership(ownership: &'a ThreadOwnership) -> Self {
        Self {
            table: Table::ThreadOwnerships,
            key: (&ownership.thread_id, None),
            texts: [&ownership.original_user_id, &ownership.created_by],
            integers: [ownership.creation_time, ownership.created_at, ownership.updated_at],
        }
    }

    /// Where it comes: states first, then by key.
    fn place(&self) -> (bool, (&str, Option<&str>)) {
        (self.table == Table::ThreadOwnerships, self.key)
    }

    fn alone(&self, kind: DifferenceKind) -> Difference {
        Difference { table: self.table, key: self.owned_key(), kind, columns: Vec::new() }
    }

    fn owned_key(&self) -> MessageKey {
        MessageKey { channel_id: self.key.0.to_owned(), thread_id: self.key.1.map(str::to_owned) }
    }

    /// How the destination's row of the same key differs.
    fn difference(&self, other: &Row<'_>) -> Option<Difference> {
        if self.texts == other.texts && self.integers == other.integers {
            return None;
        }
        let kind = match self.integers[2].cmp(&other.integers[2]) {
            Ordering::Greater => DifferenceKind::Older,
            Ordering::Less => DifferenceKind::Newer,
            Ordering::Equal => DifferenceKind::Other,
        };
        let columns = self.table.columns();
        let names = match self.table {
            Table::MessageStates => &columns[2..],
            Table::ThreadOwnerships => &columns[1..],
        };
        let texts = names.len() - self.integers.len();
        let values = |row: &Row<'_>| -> Vec<String> {
            let integers = row.integers.iter().map(i64::to_string);
            row.texts[..texts].iter().map(|text| (*text).to_owned()).chain(integers).collect()
        };
        let both = values(self).into_iter().zip(values(other));
        let columns = names
            .iter()
            .zip(both)
            .filter(|(_, (one, other))| one != other)
            .map(|(name, (one, other))| (*name, one, other));
        Some(Difference { table: self.table, key: self.owned_key(), kind, columns: columns.collect() })
    }
}
