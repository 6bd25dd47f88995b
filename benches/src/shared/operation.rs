//! The operations that are measured.

use std::ops::Range;
use std::str::FromStr;

use anyhow::{Error, bail};

use super::rows;

/// One of the operations, as it is named in the benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Reads one state by its key.
    Get,
    /// Writes a state whose key is there.
    UpsertExisting,
    /// Writes a state whose key is new.
    UpsertNew,
    /// Writes states whose keys are there, one for each caller at the same moment, and then rests.
    UpsertBurst,
    /// Lists the states within a window of time: [`rows::WINDOW_ROWS`] of [`rows::ROWS`].
    Window,
    /// Lists all [`rows::ROWS`] states.
    All,
    /// As [`Window`](Self::Window), where everybody leaves the order to themselves and not to the database.
    WindowSorted,
    /// As [`All`](Self::All) in the same way.
    AllSorted,
    /// Reads one ownership by its key.
    OwnershipGet,
    /// Writes an ownership whose key is there.
    OwnershipUpsert,
    /// Deletes the ownerships older than some age: with one caller [`rows::OLD_ROWS`] each time. Several callers that
    /// clean up at the same time delete so many each on average.
    Cleanup,
}

impl Operation {
    /// All of them, in the order in which they are measured.
    pub const ALL: [Self; 11] = [
        Self::Get,
        Self::UpsertExisting,
        Self::UpsertNew,
        Self::UpsertBurst,
        Self::Window,
        Self::All,
        Self::WindowSorted,
        Self::AllSorted,
        Self::OwnershipGet,
        Self::OwnershipUpsert,
        Self::Cleanup,
    ];

    /// Its name in the benchmarks.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::UpsertExisting => "upsert-existing",
            Self::UpsertNew => "upsert-new",
            Self::UpsertBurst => "upsert-burst",
            Self::Window => "window-300",
            Self::All => "all-10000",
            Self::WindowSorted => "window-300-sorted",
            Self::AllSorted => "all-10000-sorted",
            Self::OwnershipGet => "ownership-get",
            Self::OwnershipUpsert => "ownership-upsert",
            Self::Cleanup => "cleanup",
        }
    }

    /// How many rows one operation reads, writes or deletes.
    pub fn rows(self) -> u64 {
        match self {
            Self::Window | Self::WindowSorted => rows::WINDOW_ROWS,
            Self::All | Self::AllSorted => rows::ROWS,
            Self::Cleanup => rows::OLD_ROWS,
            Self::Get | Self::UpsertExisting | Self::UpsertNew | Self::UpsertBurst => 1,
            Self::OwnershipGet | Self::OwnershipUpsert => 1,
        }
    }
}

impl FromStr for Operation {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match Self::ALL.into_iter().find(|operation| operation.name() == name) {
            Some(operation) => Ok(operation),
            None => bail!("there is no operation {name}"),
        }
    }
}

/// What a contestant is to do in one go.
#[derive(Clone, Debug)]
pub struct Work {
    /// What.
    pub operation: Operation,
    /// How many callers share it. Each takes the next index when it is done with one.
    pub callers: usize,
    /// The index of each operation, from which its key follows.
    pub indices: Range<u64>,
}

impl Work {
    /// How many operations these are.
    pub fn count(&self) -> u64 {
        self.indices.end - self.indices.start
    }

    /// The age for the cleanup with this index.
    pub fn max_age(&self, index: u64) -> std::time::Duration {
        rows::max_age(index - self.indices.start)
    }
}
