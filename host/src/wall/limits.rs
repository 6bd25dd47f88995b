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
}

impl Allocations {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { memory: limits.memory, table_elements: limits.table_elements, refused: None }
    }

    pub(crate) fn refused(&self) -> Option<Excess> {
        self.refused
    }
}

impl ResourceLimiter for Allocations {
    fn memory_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let fits = desired <= self.memory && maximum.is_none_or(|maximum| desired <= maximum);
        if !fits {
            self.refused = Some(Excess::Memory);
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
