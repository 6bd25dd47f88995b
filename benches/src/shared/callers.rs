//! Callers of an asynchronous contestant.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::operation::Work;

/// What a contestant did.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// From the first operation's start to the last one's end.
    pub elapsed: Duration,
    /// Rows that it read, wrote or deleted.
    pub rows: u64,
}

/// A contestant whose operations are asynchronous.
pub trait Operate: Send + Sync + 'static {
    /// Runs the operation with this index, checks its answer, and returns how many rows it read, wrote or deleted.
    fn operate(&self, work: &Work, index: u64) -> impl Future<Output = Result<u64>> + Send;
}

/// Runs all of the work: each caller is a task of the runtime, as a bot's handlers are.
///
/// # Errors
///
/// An operation fails, or its answer is wrong.
pub async fn run<C: Operate>(contestant: &Arc<C>, work: &Work) -> Result<Outcome> {
    let next = Arc::new(AtomicU64::new(work.indices.start));
    let started = Instant::now();
    let callers: Vec<_> = (0..work.callers)
        .map(|_| {
            let (contestant, work, next) = (Arc::clone(contestant), work.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                let mut rows = 0;
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= work.indices.end {
                        return anyhow::Ok(rows);
                    }
                    rows += contestant.operate(&work, index).await?;
                }
            })
        })
        .collect();
    let mut rows = 0;
    for caller in callers {
        rows += caller.await.context("a caller panicked")??;
    }
    Ok(Outcome { elapsed: started.elapsed(), rows })
}
