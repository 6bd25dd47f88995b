//! Writes that wait for the next group.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::raw::Raw;
use crate::sql::error::Result;
use crate::sql::{Statement, Value};
use crate::threads::lock;

/// The most jobs in one group, so that the first of them does not wait for too many others.
const GROUP: usize = 256;

/// How often a write that comes alone looks for others.
const LOOK: u32 = 16;

/// A write that waits for its group.
pub(super) struct Job {
    pub statement: Statement,
    pub parameters: Vec<Value>,
    pub deadline: Instant,
    pub done: oneshot::Sender<Result<u64>>,
}

impl Job {
    pub fn run(&self, raw: &Raw) -> Result<u64> {
        raw.execute(&self.statement, &self.parameters, self.deadline)
    }
}

/// The writes that wait, oldest first, and whether they have lately come together.
#[derive(Default)]
pub(super) struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    is_together: AtomicBool,
    writes: AtomicU32,
}

impl Queue {
    /// Puts a write behind the others, and says whether another one is likely to come at the same time.
    pub fn push(&self, job: Job) -> bool {
        let others = {
            let mut jobs = lock(&self.jobs);
            jobs.push_back(job);
            jobs.len() > 1
        };
        others
            || self.is_together.load(Ordering::Relaxed)
            || self.writes.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOK)
    }

    /// A group of those whose owners still wait.
    pub fn take(&self) -> Vec<Job> {
        let mut jobs = lock(&self.jobs);
        let count = jobs.len().min(GROUP);
        let taken: Vec<_> = jobs.drain(..count).filter(|job| !job.done.is_closed()).collect();
        self.is_together.store(taken.len() > 1, Ordering::Relaxed);
        taken
    }

    /// Puts writes before all others.
    pub fn put_back(&self, returned: Vec<Job>) {
        let mut jobs = lock(&self.jobs);
        for job in returned.into_iter().rev() {
            jobs.push_front(job);
        }
    }

    /// As [`put_back`](Self::put_back), where the one before them is at the front of the queue already.
    pub fn put_back_behind_first(&self, returned: Vec<Job>) {
        let first = lock(&self.jobs).pop_front();
        self.put_back(first.into_iter().chain(returned).collect());
    }

    /// Lets go of all of them.
    pub fn clear(&self) {
        lock(&self.jobs).clear();
    }
}
