use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// How much a statement may touch, which decides where it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A bounded number of rows: may run on the thread of the caller.
    Short,
    /// Up to whole tables: runs where it holds up nobody else, once it has turned out to be long.
    Long,
}

/// One statement, which [`Database::check`](super::Database::check) let through. Each connection prepares it when it
/// first runs it and keeps it. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Statement(Arc<Declared>);

#[derive(Debug)]
struct Declared {
    text: Arc<str>,
    work: Work,
    batch: Option<BatchText>,
    effects: OnceLock<Effects>,
    is_long: AtomicBool,
}

/// The parts of a statement over a number of rows, of which each caller runs one; those of several callers may be run as one
/// statement. All parameters are in `row`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchText {
    /// What comes before the rows.
    pub head: String,
    /// One row.
    pub row: String,
    /// What comes between two rows.
    pub between: String,
    /// What comes after the rows.
    pub tail: String,
}

impl BatchText {
    /// The text for `rows` rows.
    pub fn text(&self, rows: usize) -> String {
        let length = self.head.len() + rows * (self.row.len() + self.between.len()) + self.tail.len();
        let mut text = String::with_capacity(length);
        text.push_str(&self.head);
        for row in 0..rows {
            if row > 0 {
                text.push_str(&self.between);
            }
            text.push_str(&self.row);
        }
        text.push_str(&self.tail);
        text
    }
}

/// What a statement does beyond returning rows, as far as its text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Effects {
    /// It may change something.
    pub writes: bool,
    /// It may take a named lock, which belongs to the connection and outlives the lease.
    pub takes_named_lock: bool,
    /// It changes the schema, which may take as long as the tables are large.
    pub changes_schema: bool,
}

impl Statement {
    /// One statement's text, and how much it may touch.
    pub fn new(text: impl Into<Arc<str>>, work: Work) -> Self {
        Self::declared(text.into(), work, None)
    }

    /// A statement for one row, which may be run together with the rows of other callers where these hold: it is atomic, its
    /// outcome for a row does not depend on the others, and it may be run twice as well as once.
    pub fn batchable(batch: BatchText) -> Self {
        Self::declared(batch.text(1).into(), Work::Short, Some(batch))
    }

    fn declared(text: Arc<str>, work: Work, batch: Option<BatchText>) -> Self {
        Self(Arc::new(Declared { text, work, batch, effects: OnceLock::new(), is_long: AtomicBool::new(false) }))
    }

    /// Its parts, where its rows may be run together with those of other callers.
    pub fn batch(&self) -> Option<&BatchText> {
        self.0.batch.as_ref()
    }

    /// The text.
    pub fn text(&self) -> &Arc<str> {
        &self.0.text
    }

    /// How much it may touch.
    pub fn work(&self) -> Work {
        self.0.work
    }

    /// What it does, told once by `tell`.
    pub(super) fn effects(&self, tell: fn(&str) -> Effects) -> Effects {
        *self.0.effects.get_or_init(|| tell(&self.0.text))
    }

    /// Whether it was long the last time.
    pub(super) fn is_known_long(&self) -> bool {
        self.0.is_long.load(Ordering::Relaxed)
    }

    /// Notes whether it was long this time.
    pub(super) fn note_long(&self, is_long: bool) {
        self.0.is_long.store(is_long, Ordering::Relaxed);
    }
}
