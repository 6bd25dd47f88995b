//! Brings marked rows over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use super::Mirror;
use crate::error::Result;
use crate::resilience::row::{Row, look_up, may_be_of_a_row};
use crate::resilience::spool::{Journal, SpoolEntry, SpooledWrite, age_until, is_future};
use crate::resilience::{Readiness, Shared};
use crate::service::StorageService;
use crate::threads::lock;

/// Rows that are brought over together: few enough for one short transaction.
const BATCH: usize = 250;

/// How long to wait for writes that are under way.
const PAUSE: Duration = Duration::from_millis(10);

/// How far the worker has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// There is no mark.
    Idle,
    /// Marks have gone.
    Moved,
    /// What is marked is being written, or waits in the spool.
    Waits,
}

/// Works until it is aborted.
pub(in crate::resilience) async fn work(shared: Arc<Shared>, mirror: Arc<Mirror>) {
    let interval = shared.config().breaker.probe_interval;
    // Here and not where the bot starts, which does not wait for its mirror.
    while let Err(error) = mirror.secondary.initialize().await {
        tracing::error!(mirror = mirror.name, %error, "the mirror cannot be initialised: retrying");
        mirror.failed(error);
        sleep(interval).await;
    }
    let mut is_behind = false;
    loop {
        match mirror.step(&shared).await {
            Ok(Step::Idle) => mirror.wake.notified().await,
            Ok(Step::Waits) => sleep(PAUSE).await,
            Ok(Step::Moved) => {
                if std::mem::take(&mut is_behind) {
                    tracing::info!(mirror = mirror.name, "the mirror catches up");
                }
            }
            Err(error) => {
                let waiting = mirror.marks().map_or(0, |marks| marks.depth());
                match is_behind {
                    false => tracing::warn!(mirror = mirror.name, %error, waiting, "the mirror falls behind"),
                    true => tracing::debug!(mirror = mirror.name, %error, waiting, "the mirror is still behind"),
                }
                is_behind = true;
                mirror.failed(error);
                sleep(interval).await;
            }
        }
    }
}

/// Rows of one table, each with the number of its mark and whether nobody was writing it.
type Marked<R> = Vec<(i64, bool, R)>;

impl Mirror {
    /// Brings everything over that is marked, as far as that is possible at once.
    pub async fn flush(&self, shared: &Shared) {
        // A bot that stops right after it has started may be ahead of its mirror.
        if self.secondary.status().readiness == Readiness::Closed
            && let Err(error) = self.secondary.initialize().await
        {
            tracing::warn!(mirror = self.name, %error, "the mirror stays behind");
            return;
        }
        loop {
            match self.step(shared).await {
                Ok(Step::Idle) if lock(&self.flights).is_empty() => return,
                Ok(Step::Moved) => {}
                Ok(Step::Idle | Step::Waits) => sleep(PAUSE).await,
                Err(error) => {
                    tracing::warn!(mirror = self.name, %error, "the mirror stays behind");
                    return;
                }
            }
        }
    }

    async fn step(&self, shared: &Shared) -> Result<Step> {
        let Some(marks) = self.marks() else { return Ok(Step::Idle) };
        let batch = marks.view().oldest_writes(BATCH);
        if batch.is_empty() {
            return Ok(Step::Idle);
        }
        shared.reachable()?;
        let spool = shared.standing().journal;
        let is_spooled = |write: &SpooledWrite| spool.as_ref().is_some_and(|spool| spool.precedes(write));
        let (mut states, mut ownerships) = (Marked::new(), Marked::new());
        for SpoolEntry { sequence, write, .. } in batch {
            if is_spooled(&write) {
                continue;
            }
            // Before the row is read: a write that begins later sets another mark.
            let is_settled = !lock(&self.flights).is_writing(&write);
            match write {
                SpooledWrite::State(state) => states.push((sequence, is_settled, state)),
                SpooledWrite::Ownership(ownership) => ownerships.push((sequence, is_settled, ownership)),
                SpooledWrite::Cleanup { cutoff } if is_settled => {
                    let age = age_until(cutoff, shared.clock.now());
                    self.secondary.cleanup_old_thread_ownerships(age).await?;
                    marks.remove(vec![sequence]).await?;
                    return Ok(Step::Moved);
                }
                SpooledWrite::Cleanup { .. } => {}
            }
        }
        let moved = self.bring(shared, &marks, states).await? + self.bring(shared, &marks, ownerships).await?;
        Ok(if moved > 0 { Step::Moved } else { Step::Waits })
    }

    /// Says how many marks have gone.
    async fn bring<R: Row>(&self, shared: &Shared, marks: &Journal, marked: Marked<R>) -> Result<usize> {
        if marked.is_empty() {
            return Ok(0);
        }
        let rows: Vec<R> = marked.iter().map(|(_, _, row)| row.clone()).collect();
        let found = look_up(&shared.storage, &rows).await?;
        let present: Vec<R> = found.iter().flatten().cloned().collect();
        let (mut newer, mut refused) = (0, Vec::new());
        match R::import(&self.secondary, &present).await {
            Ok(kept) => newer += kept,
            Err(error) if may_be_of_a_row(&error) => {
                let mut taken = 0;
                for ((sequence, _, _), row) in marked.iter().zip(&found) {
                    let Some(row) = row else { continue };
                    match R::import(&self.secondary, std::slice::from_ref(row)).await {
                        Ok(kept) => {
                            newer += kept;
                            taken += 1 - kept.min(1);
                        }
                        Err(error) if may_be_of_a_row(&error) => refused.push((*sequence, error)),
                        Err(error) => return Err(error),
                    }
                }
                // Where it takes no row at all, it is not for the rows.
                if taken == 0 {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        // Another host may have written the row and brought it over in between, and this one an older value after it.
        let again = look_up(&shared.storage, &rows).await?;
        let done: Vec<_> = marked
            .iter()
            .zip(found.iter().zip(&again))
            .filter(|((_, is_settled, _), (before, after))| *is_settled && before == after)
            .map(|((sequence, _, _), (row, _))| (*sequence, row))
            .collect();
        if newer > 0 && done.len() < marked.len() {
            // A row that changed meanwhile may be newer there because it was moved there. It is brought over once more, and
            // counted then.
            let is_refused = |sequence| refused.iter().any(|(other, _)| *other == sequence);
            let taken = done.iter().filter(|(sequence, _)| !is_refused(*sequence));
            let rows: Vec<R> = taken.filter_map(|(_, row)| (*row).clone()).collect();
            newer = R::import(&self.secondary, &rows).await?;
        }
        if newer > 0 {
            self.bring_back(shared, done.iter().filter_map(|(_, row)| row.as_ref())).await?;
        }
        let done: Vec<i64> = done.into_iter().map(|(sequence, _)| sequence).collect();
        for (sequence, error) in refused {
            tracing::error!(mirror = self.name, %error, "the mirror refuses a row");
            self.missed.fetch_add(1, Ordering::Relaxed);
            marks.reject(sequence, error.to_string()).await?;
            self.failed(error);
        }
        let moved = done.len();
        self.newer.fetch_add(newer, Ordering::Relaxed);
        self.mirrored.fetch_add(moved as u64, Ordering::Relaxed);
        marks.remove(done).await?;
        Ok(moved)
    }

    /// Writes rows over those that have a time from the future there, as of now: that time says nothing, and no import replaces
    /// them.
    async fn bring_back<R: Row>(&self, shared: &Shared, rows: impl Iterator<Item = &R>) -> Result<()> {
        for row in rows {
            let there = row.stored(&self.secondary).await?;
            if there.is_some_and(|there| is_future(there.updated_at(), shared.seconds()) && !row.says_the_same(&there))
            {
                row.upsert(&self.secondary).await?;
            }
        }
        Ok(())
    }
}
