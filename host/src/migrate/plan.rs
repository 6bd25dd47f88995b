use std::time::Duration;

use super::error::{MigrateError, Result};
use super::side::Side;
use crate::clock::{Clock, SystemClock};
use crate::model::migration::{Overview, RunState};

/// What a destination is expected to take in a second, for an estimate. `docs/migration.md` has measured figures.
const ROWS_PER_SECOND: [(&str, u64); 2] = [("sqlite", 100_000), ("mysql", 60_000)];

/// The content of both sides, and what a run would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The content of the source.
    pub from: Overview,
    /// The content of the destination.
    pub to: Overview,
    /// The estimated duration of a run.
    pub estimate: Duration,
    /// Whether the destination's schema has to be created or upgraded first.
    pub needs_upgrade: bool,
    /// Whether the run would resume one that was interrupted.
    pub resumes: bool,
    /// Why a run would be refused at present.
    pub obstacle: Option<String>,
    /// Remarks on either side for an operator, one sentence each.
    pub remarks: Vec<String>,
}

impl Plan {
    /// Reads both sides. Writes nothing.
    ///
    /// # Errors
    ///
    /// A side cannot be read, or both are the same database.
    pub async fn make(from: &Side, to: &Side) -> Result<Self> {
        if from.is_file_of(to) {
            return Err(same(from, to));
        }
        let (source, destination) = tokio::try_join!(from.survey(), to.survey())?;
        if !source.identity.is_empty() && from.engine() == to.engine() && source.identity == destination.identity {
            return Err(same(from, to));
        }
        let mut remarks = from.remarks().await?;
        remarks.extend(to.remarks().await?);
        for (side, overview) in [(from, &source), (to, &destination)] {
            remarks.extend(from_the_future(side, overview));
        }
        let mut plan = Self {
            estimate: estimate(source.rows(), to.engine()),
            needs_upgrade: destination.schema_version != Some(to.known_schema_version()),
            resumes: false,
            obstacle: None,
            remarks,
            from: source,
            to: destination,
        };
        if let Some(last) = &plan.to.last_run {
            match last.state {
                RunState::Importing if last.source == from.label() => plan.resumes = true,
                RunState::Importing => {
                    plan.obstacle = Some(format!(
                        "a run from {} was interrupted in the destination: run it again to finish it, or roll it back",
                        last.source
                    ));
                }
                RunState::Undoing => {
                    let obstacle = "a rollback was interrupted in the destination: run the rollback again";
                    plan.obstacle = Some(obstacle.into());
                }
                RunState::Finished => {}
            }
        }
        if let Some(obstacle) = to.obstacle().await? {
            plan.obstacle = Some(obstacle);
        }
        Ok(plan)
    }

    /// Rows of the source that cannot be migrated.
    pub fn unfit(&self) -> u64 {
        self.from.message_states.unfit + self.from.thread_ownerships.unfit
    }
}

/// How far ahead of the clock a row may be, in seconds: hosts' clocks differ.
const AHEAD: i64 = 60 * 60;

/// What the plan says of rows that were written by a host whose clock was ahead: no older row replaces them.
fn from_the_future(side: &Side, overview: &Overview) -> Option<String> {
    let now = i64::try_from(SystemClock.now().as_secs()).unwrap_or(i64::MAX);
    let newest = overview.message_states.newest.max(overview.thread_ownerships.newest)?;
    (newest > now.saturating_add(AHEAD)).then(|| {
        format!(
            "{}: it has rows with an updated_at more than an hour in the future, up to {newest}: the clock of the \
             host that wrote \
             them was wrong, or the clock of this host is; of two rows of one key the one with the greater updated_at \
             stays",
            side.label()
        )
    })
}

pub(super) fn same(from: &Side, to: &Side) -> MigrateError {
    MigrateError::SameDatabase { from: from.label().to_owned(), to: to.label().to_owned() }
}

fn estimate(rows: u64, engine: &str) -> Duration {
    let rate = ROWS_PER_SECOND.iter().find(|rate| rate.0 == engine).map_or(50_000, |rate| rate.1);
    Duration::from_secs_f64(rows as f64 / rate as f64)
}
