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
    effects: OnceLock<Effects>,
    is_long: AtomicBool,
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
        Self(Arc::new(Declared { text: text.into(), work, effects: OnceLock::new(), is_long: AtomicBool::new(false) }))
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
