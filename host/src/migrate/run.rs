use std::io;
use std::time::Duration;

use super::error::{MigrateError, Result};
use super::lease::Held;
use super::model::{Overview, Progress, Reject, Run, RunState};
use super::plan::same;
use super::retry::Retry;
use super::side::Side;
use super::source::{Page, Pages};
use crate::model::MessageState;

/// How a run goes about it.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether to stop before the first page with a row that cannot be moved.
    pub stop_on_reject: bool,
    /// For how long a page is tried again where the database is away, too slow or too busy.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { stop_on_reject: false, patience: Duration::from_secs(30) }
    }
}

/// Hears of a run. What it is told of rejects and merged rows comes before the page they are of is written: a run that is
/// interrupted in between tells them again, and says in [`begins`](Self::begins) how many are known to be told.
pub trait Observer: Send {
    /// A run begins, or goes on where `run` says it has come to.
    ///
    /// # Errors
    ///
    /// What keeps it from being written down; the run ends then, as with the other methods.
    fn begins(&mut self, run: &Run) -> io::Result<()>;

    /// These rows of the source gave way to another one of the same key.
    fn merged(&mut self, rows: &[MessageState]) -> io::Result<()>;

    /// These rows of the source cannot be moved.
    fn rejected(&mut self, rows: &[Reject]) -> io::Result<()>;

    /// A page was written.
    fn written(&mut self, run: &Run) -> io::Result<()>;
}

/// Moves everything from one side to the other, or what an interrupted run left to move. The overviews are of both.
///
/// Every value is kept exactly, ids aside. For a key on both sides the row with the greater `updated_at` wins; equal keeps
/// the destination's.
///
/// # Errors
///
/// Where a side fails, another process writes to the destination, or the observer gives up. What was written stays, and
/// the same call goes on from there.
pub async fn run(
    from: &Side,
    to: &Side,
    overviews: (&Overview, &Overview),
    options: Options,
    observer: &mut dyn Observer,
) -> Result<Run> {
    let lease = Held::take(to).await?;
    let result = run_with(from, to, overviews, options, observer, &lease).await;
    lease.release().await;
    result
}

async fn run_with(
    from: &Side,
    to: &Side,
    overviews: (&Overview, &Overview),
    options: Options,
    observer: &mut dyn Observer,
    lease: &Held,
) -> Result<Run> {
    let owner = lease.owner();
    // Under whatever name and through whatever proxy: where the source shows the lease that was taken in the destination,
    // they are one.
    let seen = from.storage().held_lease().await.map_err(|error| from.failed(error))?;
    if seen.is_some_and(|seen| seen.owner == owner) {
        return Err(same(from, to));
    }
    let mut run = to.storage().begin_run(owner, from.label()).await.map_err(|error| to.failed(error))?;
    observer.begins(&run)?;
    let storage = std::sync::Arc::clone(from.storage());
    let rows = overviews.0.page_rows.max(overviews.1.batch_rows);
    let mut pages = Pages::read(storage, run.position.clone(), rows, options.patience);
    while let Some(page) = pages.next().await.map_err(|error| from.failed(error))? {
        let (merged, rejects): (&[MessageState], &[Reject]) = match &page {
            Page::MessageStates(page) => (&page.merged, &page.rejects),
            Page::ThreadOwnerships(page) => (&[], &page.rejects),
        };
        if let Some(reject) = rejects.first().filter(|_| options.stop_on_reject) {
            return Err(MigrateError::Rejected {
                table: reject.table.name(),
                id: reject.id,
                reason: reject.reason.clone(),
            });
        }
        if !merged.is_empty() {
            observer.merged(merged)?;
        }
        if !rejects.is_empty() {
            observer.rejected(rejects)?;
        }
        let next = page.next();
        let progress = Progress {
            run: run.number,
            page: run.pages,
            merged: merged.len() as u64,
            rejected: rejects.len() as u64,
            next: &next,
        };
        // A page that was written though its answer was lost is told apart by its number.
        let mut retry = Retry::new(options.patience);
        run = loop {
            let storage = to.storage();
            let written = match &page {
                Page::MessageStates(page) => storage.write_message_states(owner, &progress, &page.rows).await,
                Page::ThreadOwnerships(page) => storage.write_thread_ownerships(owner, &progress, &page.rows).await,
            };
            match written {
                Ok(run) => break run,
                Err(error) if retry.again(&error).await => {}
                Err(error) => return Err(to.failed(error)),
            }
        };
        observer.written(&run)?;
    }
    if run.state == RunState::Finished {
        return Ok(run);
    }
    to.storage().finish_run(owner, run.number).await.map_err(|error| to.failed(error))
}
