//! What was asked of a storage under load, and what it answered.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cofferdam::{ErrorKind, Result};

/// A row that only one caller writes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The state of a channel, or of a thread in it.
    State(String, Option<String>),
    /// The ownership of a thread.
    Ownership(String),
}

/// What became of the writes of one row, which are numbered from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Writes {
    /// The number of the last one that was attempted.
    pub attempted: u64,
    /// The number of the last one that was acknowledged; 0 for none.
    pub acknowledged: u64,
}

impl Writes {
    /// Whether a row may hold this number: no acknowledged write is missing, and nothing is there that nobody wrote.
    /// What failed may have taken effect or not.
    pub fn allow(&self, number: u64) -> bool {
        (self.acknowledged..=self.attempted).contains(&number)
    }
}

/// One caller's part.
#[derive(Debug, Default)]
struct Page {
    rows: BTreeMap<Key, Writes>,
    /// When it was last answered with a success, and when for the first time after the last [`Ledger::mark`].
    answered: Option<Instant>,
    answered_after_mark: Option<Instant>,
    tally: Tally,
}

/// Figures of all operations.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Operations that ended.
    pub operations: u64,
    /// Writes that were acknowledged, and among them those that were spooled.
    pub acknowledged: u64,
    /// Acknowledged, and kept by the host until the database is back.
    pub spooled: u64,
    /// Errors by kind.
    pub errors: BTreeMap<&'static str, u64>,
    /// One message of each kind.
    pub messages: BTreeMap<&'static str, String>,
    /// The longest that an operation took.
    pub longest: Duration,
    /// Operations that took longer than they may, and what they were.
    pub late: u64,
    /// Reads that lacked an acknowledged write or found what nobody wrote.
    pub wrong_reads: Vec<String>,
}

impl Tally {
    /// Adds those of another run.
    pub fn add(&mut self, other: Self) {
        self.operations += other.operations;
        self.acknowledged += other.acknowledged;
        self.spooled += other.spooled;
        for (kind, count) in other.errors {
            *self.errors.entry(kind).or_default() += count;
        }
        for (kind, message) in other.messages {
            self.messages.entry(kind).or_insert(message);
        }
        self.longest = self.longest.max(other.longest);
        self.late += other.late;
        self.wrong_reads.extend(other.wrong_reads);
    }
}

/// How an acknowledged write was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In the database.
    Stored,
    /// By the host, until the database is back.
    Spooled,
}

/// A page for each caller, which nobody else writes to.
#[derive(Debug)]
pub struct Ledger {
    pages: Vec<Mutex<Page>>,
    /// The longest that an operation may take.
    limit: Duration,
}

impl Ledger {
    pub(super) fn new(callers: usize, limit: Duration) -> Self {
        Self { pages: (0..callers).map(|_| Mutex::default()).collect(), limit }
    }

    fn page(&self, caller: usize) -> MutexGuard<'_, Page> {
        self.pages[caller].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pages(&self) -> impl Iterator<Item = MutexGuard<'_, Page>> {
        (0..self.pages.len()).map(|caller| self.page(caller))
    }

    /// Notes that a write is about to be attempted.
    pub(super) fn attempt(&self, caller: usize, key: &Key, number: u64) {
        let mut page = self.page(caller);
        match page.rows.get_mut(key) {
            Some(writes) => writes.attempted = number,
            None => {
                page.rows.insert(key.clone(), Writes { attempted: number, acknowledged: 0 });
            }
        }
    }

    /// Notes how a write ended.
    pub(super) fn wrote(&self, caller: usize, key: &Key, number: u64, started: Instant, result: &Result<Kept>) {
        let mut page = self.page(caller);
        page.end(started, self.limit, result.as_ref().err());
        if let Ok(kept) = result {
            page.tally.acknowledged += 1;
            page.tally.spooled += u64::from(*kept == Kept::Spooled);
            if let Some(writes) = page.rows.get_mut(key) {
                writes.acknowledged = number;
            }
        }
    }

    /// Notes what a read of a row found: its number, 0 for no row.
    pub(super) fn read(&self, caller: usize, key: &Key, started: Instant, result: &Result<u64>) {
        let mut page = self.page(caller);
        page.end(started, self.limit, result.as_ref().err());
        if let Ok(number) = result {
            let writes = page.rows.get(key).copied().unwrap_or_default();
            if !writes.allow(*number) {
                let Writes { attempted, acknowledged } = writes;
                page.tally.wrong_reads.push(format!(
                    "a read of {key:?} found {number}, where {acknowledged} was acknowledged and {attempted} attempted"
                ));
            }
        }
    }

    /// Forgets which callers have been answered, so that what happens from now on tells when service is back.
    pub(super) fn mark(&self) -> Instant {
        let now = Instant::now();
        self.pages().for_each(|mut page| page.answered_after_mark = None);
        now
    }

    /// When the first and the last of the callers was first answered with a success after the mark; the last is `None`
    /// while one has not been.
    pub(super) fn answered_after_mark(&self) -> (Option<Instant>, Option<Instant>) {
        let times: Vec<_> = self.pages().map(|page| page.answered_after_mark).collect();
        let last = times.iter().copied().collect::<Option<Vec<_>>>().and_then(|times| times.into_iter().max());
        (times.into_iter().flatten().min(), last)
    }

    /// Whether each caller has been answered with a success at least once.
    pub(super) fn all_answered(&self) -> bool {
        self.pages().all(|page| page.answered.is_some())
    }

    /// Whether anybody has seen an error, or had a write spooled.
    pub(super) fn is_felt(&self) -> bool {
        self.pages().any(|page| !page.tally.errors.is_empty() || page.tally.spooled > 0)
    }

    /// The longest that an operation may take.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// The figures of all callers.
    pub fn tally(&self) -> Tally {
        let mut all = Tally::default();
        self.pages().for_each(|page| all.add(page.tally.clone()));
        all
    }

    /// Every row that was written or attempted.
    pub fn rows(&self) -> BTreeMap<Key, Writes> {
        self.pages().flat_map(|page| page.rows.clone()).collect()
    }
}

impl Page {
    fn end(&mut self, started: Instant, limit: Duration, error: Option<&cofferdam::Error>) {
        let now = Instant::now();
        let took = now - started;
        self.tally.operations += 1;
        self.tally.longest = self.tally.longest.max(took);
        self.tally.late += u64::from(took > limit);
        match error {
            None => {
                self.answered = Some(now);
                self.answered_after_mark.get_or_insert(now);
            }
            Some(error) => {
                let kind = error.kind().name();
                *self.tally.errors.entry(kind).or_default() += 1;
                self.tally.messages.entry(kind).or_insert_with(|| error.to_string());
            }
        }
    }
}

/// The name of a kind, as the tally has it.
pub(super) fn is_of(kind: &str, kinds: &[ErrorKind]) -> bool {
    kinds.iter().any(|known| known.name() == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_may_hold_what_was_acknowledged_or_attempted_after() {
        let writes = Writes { attempted: 7, acknowledged: 5 };
        assert_eq!([4, 5, 7, 8].map(|number| writes.allow(number)), [false, true, true, false]);
        assert!(Writes { attempted: 1, acknowledged: 0 }.allow(0));
    }

    #[test]
    fn service_is_back_when_every_caller_was_answered() {
        let ledger = Ledger::new(2, Duration::from_secs(1));
        let (key, other) = (Key::Ownership("a".into()), Key::Ownership("b".into()));
        ledger.attempt(0, &key, 1);
        ledger.wrote(0, &key, 1, Instant::now(), &Ok(Kept::Stored));
        assert!(!ledger.all_answered());
        let mark = ledger.mark();
        assert_eq!(ledger.answered_after_mark(), (None, None));
        ledger.attempt(0, &key, 2);
        ledger.wrote(0, &key, 2, Instant::now(), &Ok(Kept::Spooled));
        let (first, last) = ledger.answered_after_mark();
        assert!(first.is_some_and(|first| first >= mark) && last.is_none());
        let error = cofferdam::Error::new(ErrorKind::Unavailable, "away");
        ledger.attempt(1, &other, 1);
        ledger.wrote(1, &other, 1, Instant::now(), &Err(error));
        assert_eq!(ledger.answered_after_mark().1, None);
        ledger.read(1, &other, Instant::now(), &Ok(0));
        assert!(ledger.answered_after_mark().1.is_some());
        ledger.read(0, &key, Instant::now(), &Ok(1));
        let tally = ledger.tally();
        assert_eq!((tally.operations, tally.acknowledged, tally.spooled), (5, 2, 1));
        assert_eq!((tally.wrong_reads.len(), tally.errors["unavailable"]), (1, 1));
        assert_eq!(ledger.rows()[&key], Writes { attempted: 2, acknowledged: 2 });
    }
}
