use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmtime::ResourceLimiter;

use crate::model::Limits;

/// What a guest ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    Memory,
    Table,
    Compute,
}

/// Enforces the limits on memory and tables, and remembers that one was met.
#[derive(Debug)]
pub(crate) struct Allocations {
    memory: usize,
    table_elements: usize,
    refused: Option<Excess>,
    /// Bytes of linear memory of this instance.
    held: usize,
    /// Those of all instances of the component.
    of_all: Arc<AtomicUsize>,
}

impl Allocations {
    pub(crate) fn new(limits: &Limits, of_all: Arc<AtomicUsize>) -> Self {
        Self { memory: limits.memory, table_elements: limits.table_elements, refused: None, held: 0, of_all }
    }

    pub(crate) fn refused(&self) -> Option<Excess> {
        self.refused
    }
}

impl Drop for Allocations {
    fn drop(&mut self) {
        self.of_all.fetch_sub(self.held, Ordering::Relaxed);
    }
}

impl ResourceLimiter for Allocations {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let fits = desired <= self.memory && maximum.is_none_or(|maximum| desired <= maximum);
        if !fits {
            self.refused = Some(Excess::Memory);
        } else {
            let more = desired.saturating_sub(current);
            self.held += more;
            self.of_all.fetch_add(more, Ordering::Relaxed);
        }
        Ok(fits)
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let fits = desired <= self.table_elements && maximum.is_none_or(|maximum| desired <= maximum);
        if !fits {
            self.refused = Some(Excess::Table);
        }
        Ok(fits)
    }
}
