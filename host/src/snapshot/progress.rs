use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// What an export or an import is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Nothing yet.
    Waiting,
    /// The whole file is read before anything is imported.
    Verifying,
    /// States are exported or imported.
    MessageStates,
    /// Ownerships are exported or imported.
    ThreadOwnerships,
    /// All rows are done.
    Done,
}

/// How far an export or an import has come. Shared with it, and read whenever somebody looks.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    rows: AtomicU64,
    bytes: AtomicU64,
    total_rows: AtomicU64,
}

impl Progress {
    /// What it is doing.
    pub fn phase(&self) -> Phase {
        [Phase::Waiting, Phase::Verifying, Phase::MessageStates, Phase::ThreadOwnerships]
            .into_iter()
            .find(|phase| *phase as u8 == self.phase.load(Ordering::Relaxed))
            .unwrap_or(Phase::Done)
    }

    /// Rows that were written or imported, of both kinds.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes of the file, as it is stored, that were written, or read while it was verified.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Rows of the file that is being imported; 0 until it is verified, and in an export.
    pub fn total_rows(&self) -> u64 {
        self.total_rows.load(Ordering::Relaxed)
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    pub(super) fn add_rows(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(super) fn add_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn set_total_rows(&self, rows: u64) {
        self.total_rows.store(rows, Ordering::Relaxed);
    }
}
