//! Connections on lease.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit};

use super::Pool;
use crate::sql::error::{ErrorKind, Result, SqlError};
use crate::sql::gate::Ticket;
use crate::sql::sqlite::raw::Raw;

/// A reader, which goes back when this is dropped.
pub(in super::super) struct ReaderLease {
    pub(super) raw: Option<Raw>,
    pub(super) generation: u64,
    pub(super) pool: Arc<Pool>,
    pub(super) _ticket: Ticket,
    /// After the connection, so that whoever gets the permit finds it.
    pub(super) _permit: OwnedSemaphorePermit,
}

impl Drop for ReaderLease {
    fn drop(&mut self) {
        if let Some(raw) = self.raw.take() {
            self.pool.put_back(raw, self.generation);
        }
    }
}

/// The writer, which is free again when this is dropped.
pub(in super::super) struct WriterLease {
    pub(super) guard: OwnedMutexGuard<Option<Raw>>,
    pub(super) pool: Arc<Pool>,
    pub(super) _ticket: Ticket,
}

impl WriterLease {
    pub(super) fn raw(&self) -> Option<&Raw> {
        self.guard.as_ref()
    }
}

impl Drop for WriterLease {
    fn drop(&mut self) {
        let pool = &self.pool;
        let clean = self.guard.as_ref().is_some_and(Raw::clean);
        if self.raw().is_some_and(Raw::is_spoiled) {
            pool.retire_readers();
        }
        // One whose file is lost is closed by whoever takes up the file again.
        if !clean && !pool.place.is_lost() || pool.gate.is_closed() {
            pool.writer_open.store(false, Ordering::Relaxed);
            *self.guard = None;
        }
        if !pool.gate.is_closed() {
            pool.log.copy_if_due(&pool.place);
        }
    }
}

/// A leased connection of either kind.
pub(in super::super) enum Held {
    Reader(ReaderLease),
    Writer(WriterLease),
}

impl Held {
    /// The connection itself.
    pub fn raw(&self) -> Result<&Raw> {
        let raw = match self {
            Self::Reader(lease) => lease.raw.as_ref(),
            Self::Writer(lease) => lease.raw(),
        };
        raw.ok_or_else(|| SqlError::new(ErrorKind::Unavailable, "the connection is closed"))
    }
}
