use super::error::{LACKS_INDEXES, Result};
use super::lease::Held;
use super::run::{Options, create_indexes};
use super::side::Side;
use crate::error::Error;
use crate::model::migration::Left;

/// What a rollback did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RolledBack {
    /// The runs that were undone, newest first.
    pub runs: Vec<u32>,
    /// Rows that a run had inserted, and that were deleted.
    pub removed: u64,
    /// Rows that a run had replaced, and that have their old values and ids again.
    pub restored: u64,
    /// Rows that were changed or deleted since, and that were left as they are.
    pub left: u64,
    /// Whether earlier runs can still be undone.
    pub more_runs: bool,
    /// Why the tables that record runs were not dropped, although no run is left: call [`forget`] with an account that has
    /// the right to.
    pub not_forgotten: Option<Error>,
}

/// Undoes the newest run into `to`, or with `all` every recorded run, finished or interrupted.
///
/// `observe` is called after each page with the progress and the rows of the page that were left. If it fails, the rollback
/// ends; the same call resumes from there.
///
/// # Errors
///
/// The destination fails, another process writes to it, or `observe` fails.
pub async fn roll_back(
    to: &Side,
    all: bool,
    observe: &mut (dyn FnMut(&RolledBack, &[Left]) -> std::io::Result<()> + Send),
) -> Result<RolledBack> {
    let mut total = RolledBack::default();
    if to.survey().await?.last_run.is_none() {
        return Ok(total);
    }
    let lease = Held::take(to).await?;
    let result = undo(to, all, observe, &lease, &mut total).await;
    if result.is_ok() && !total.more_runs {
        // Without a run there is nothing to remember.
        total.not_forgotten = to.storage().forget_runs(lease.owner()).await.err();
    }
    lease.release().await;
    result.map(|()| total)
}

async fn undo(
    to: &Side,
    all: bool,
    observe: &mut (dyn FnMut(&RolledBack, &[Left]) -> std::io::Result<()> + Send),
    lease: &Held,
    total: &mut RolledBack,
) -> Result<()> {
    loop {
        let undone = match to.storage().undo(lease.owner()).await {
            // Only of what is left in the end: that takes no time, and no room.
            Err(error) if error.code() == Some(LACKS_INDEXES) => {
                create_indexes(to, lease.owner(), Options::default().patience).await?;
                continue;
            }
            undone => undone.map_err(|error| to.failed(error))?,
        };
        let Some(undone) = undone else { return Ok(()) };
        total.removed += undone.removed;
        total.restored += undone.restored;
        total.left += undone.left.len() as u64;
        if !undone.more {
            total.runs.push(undone.run);
        }
        observe(total, &undone.left)?;
        if !undone.more && !all {
            let overview = to.storage().survey().await.map_err(|error| to.failed(error))?;
            total.more_runs = overview.last_run.is_some();
            return Ok(());
        }
    }
}

/// Drops the record of runs in the destination, after which no rollback is possible. `false` if there was none.
///
/// # Errors
///
/// The destination fails, or another process writes to it.
pub async fn forget(to: &Side) -> Result<bool> {
    if !to.survey().await?.remembers {
        return Ok(false);
    }
    let lease = Held::take(to).await?;
    let result = forget_with(to, &lease).await;
    lease.release().await;
    result.map(|()| true)
}

async fn forget_with(to: &Side, lease: &Held) -> Result<()> {
    create_indexes(to, lease.owner(), Options::default().patience).await?;
    to.storage().forget_runs(lease.owner()).await.map_err(|error| to.failed(error))
}
