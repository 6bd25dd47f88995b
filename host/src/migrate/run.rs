use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::count;
use super::destination::Writer;
use super::error::{MigrateError, Result};
use super::lease::Held;
use super::plan::same;
use super::retry::Retry;
use super::side::Side;
use super::source::Pages;
use crate::model::MessageState;
use crate::model::migration::{Overview, Reject, Run, RunState};

/// From how many rows on a run goes without indexes until its end: of fewer, nobody notices the difference.
const MANY_ROWS: u64 = 25_000;

/// The options of a run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether to stop before the first page with a row that cannot be migrated.
    pub stop_on_reject: bool,
    /// How long a page is retried while a database is unavailable, too slow or too busy.
    pub patience: Duration,
    /// Whether the number of rows that were read is compared with the number in the table. [`verify`](super::verify) does it too.
    pub count: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { stop_on_reject: false, patience: Duration::from_secs(30), count: true }
    }
}

/// Follows a run. Rejects and merged rows are reported before their page is written. A run that is interrupted in between
/// reports them again; [`begins`](Self::begins) says how many belong to committed pages.
pub trait Observer: Send {
    /// A run begins, or resumes at the position of `run`.
    ///
    /// # Errors
    ///
    /// An error ends the run, as with the other methods.
    fn begins(&mut self, run: &Run) -> io::Result<()>;

    /// These rows of the source were merged into another one of the same key.
    fn merged(&mut self, rows: &[MessageState]) -> io::Result<()>;

    /// These rows of the source cannot be migrated.
    fn rejected(&mut self, rows: &[Reject]) -> io::Result<()>;

    /// A page was written.
    fn written(&mut self, run: &Run) -> io::Result<()>;

    /// All pages were written, and the dropped indexes are created again: a second or more for each million rows.
    ///
    /// # Errors
    ///
    /// As with [`begins`](Self::begins).
    fn creates_indexes(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Copies all rows from one side to the other, or resumes an interrupted run. The overviews are of both.
///
/// Every value is kept exactly, except ids. If a key is on both sides, the row with the greater `updated_at` wins; if they
/// are equal, the destination keeps its own.
///
/// # Errors
///
/// A side fails, another process writes to the destination, or the observer fails. Committed pages stay, and the same call
/// resumes from there. [`MigrateError::Miscounted`] if not all rows were read; the run is finished then.
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
    if run.pages == 0 && overviews.0.rows() >= MANY_ROWS {
        match to.storage().leave_out_indexes(owner, run.number).await {
            Ok(noted) => run = noted,
            // A right that is missing, somebody who uses the table: the run is slower with them, and no worse. A database or a
            // lease that is lost is met again by the first page.
            Err(error) => tracing::debug!(%error, "the indexes may stay"),
        }
    }
    observer.begins(&run)?;
    let rows = overviews.0.page_rows.max(overviews.1.batch_rows);
    let mut pages = Pages::read(Arc::clone(from.storage()), run.position.clone(), rows, options.patience);
    let writer = Writer::new(to.storage(), owner, &run, overviews.1.writes_at_a_time, options.patience);
    let mut moving = Moving { to, writer, observer, run };
    let mut moved = moving.everything(from, &mut pages, options.stop_on_reject).await;
    // Also after a failure: what is on its way is in or out before the lease is given back. The first failure tells.
    while moving.writer.on_their_way() > 0 {
        moved = moved.and(moving.wait_for_one().await);
    }
    moved?;
    let run = moving.run;
    if run.state == RunState::Finished {
        return Ok(run);
    }
    if run.lacks_indexes {
        moving.observer.creates_indexes()?;
        create_indexes(to, owner, options.patience).await?;
    }
    let run = to.storage().finish_run(owner, run.number).await.map_err(|error| to.failed(error))?;
    if options.count {
        // After the end of the run, so that the same call goes over all rows again.
        count::compare(from, run.tally.rows(), overviews.0).await?;
    }
    Ok(run)
}

/// Creates the indexes that the newest run went without, if it did. Where somebody uses the table all the while, tries again
/// for so long after the first failure, which may come late.
pub(super) async fn create_indexes(to: &Side, owner: &str, patience: Duration) -> Result<()> {
    let mut retry = None;
    loop {
        let Err(error) = to.storage().create_indexes(owner).await else { return Ok(()) };
        if !retry.get_or_insert_with(|| Retry::new(patience)).again(&error).await {
            return Err(to.failed(error));
        }
    }
}

/// A run on its way.
struct Moving<'a> {
    to: &'a Side,
    writer: Writer,
    observer: &'a mut dyn Observer,
    /// As of the page that was written last.
    run: Run,
}

impl Moving<'_> {
    async fn everything(&mut self, from: &Side, pages: &mut Pages, stop_on_reject: bool) -> Result<()> {
        while let Some(page) = pages.next().await.map_err(|error| from.failed(error))? {
            if let Some(reject) = page.rejects().first().filter(|_| stop_on_reject) {
                let (table, id, reason) = (reject.table.name(), reject.id, reject.reason.clone());
                return Err(MigrateError::Rejected { table, id, reason });
            }
            while self.writer.on_their_way() >= self.writer.at_a_time() {
                self.wait_for_one().await?;
            }
            if !page.merged().is_empty() {
                self.observer.merged(page.merged())?;
            }
            if !page.rejects().is_empty() {
                self.observer.rejected(page.rejects())?;
            }
            self.writer.begin(page);
        }
        Ok(())
    }

    /// Waits for the oldest page that is on its way.
    async fn wait_for_one(&mut self) -> Result<()> {
        self.run = self.writer.written().await.map_err(|error| self.to.failed(error))?;
        self.observer.written(&self.run)?;
        Ok(())
    }
}
