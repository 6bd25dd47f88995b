//! `cofferdam migrate rollback` and `forget`

use std::path::PathBuf;

use clap::Args;
use cofferdam::migrate::{self, RolledBack};
use serde_json::json;

use super::files::{self, Lines};
use super::open_destination;
use super::progress::{Progress, event, failed};
use crate::failure::Failure;
use crate::output::{escaped, print};

/// Brings a destination back to what it was before the newest run into it, also one that was interrupted.
///
/// Rows that the run inserted are removed, rows that it replaced get their old values. A row that somebody changed since is
/// not touched, and is listed. Tables that the run created stay, and so does an upgraded schema, on which older bots work.
#[derive(Args)]
#[command(after_help = "\
Example:
  cofferdam migrate rollback --to mysql://bot@db:3306/bot

Exit codes:
  0  the destination is what it was before, or no run is known there
  1  it failed
  2  wrong usage, environment, plugin or file
  3  a database is away or too slow, or a migration is running: the same command goes on later
  4  there is no such file
  6  it is what it was before, but for the listed rows that somebody changed since")]
pub struct Rollback {
    /// The database to bring back
    #[arg(long, value_name = "SPEC")]
    to: String,
    /// Undo every run that was not forgotten, not only the newest
    #[arg(long)]
    all: bool,
    /// Where rows are listed that were not touched, a line of JSON each
    #[arg(long, value_name = "FILE", default_value = "cofferdam-migrate-left.ndjson")]
    left: PathBuf,
    /// Print events as JSON, one a line
    #[arg(long)]
    json: bool,
}

impl Rollback {
    pub async fn run(self) -> Result<(), Failure> {
        let to = open_destination(&self.to).await?;
        let mut lines = Lines::new("--left", &self.left, &to.claims("--to"))?;
        let overview = to.survey().await?;
        let Some(last) = overview.last_run else {
            to.close().await?;
            if self.json {
                return event("rolled-back", json!({ "runs": [] }));
            }
            print("No run into this database is known: there is nothing to undo.")?;
            if overview.remembers {
                print("Tables of runs are left: `cofferdam migrate forget` drops them.")?;
            }
            return Ok(());
        };
        lines.keep(0)?;
        let mut progress = Progress::new(self.json);
        progress.begin("undoing", 0, last.tally.inserted + last.tally.replaced);
        let result = migrate::roll_back(&to, self.all, &mut |total, left| {
            if !left.is_empty() {
                lines.push(left.iter().map(files::left))?;
            }
            progress.at(total.removed + total.restored, || json!({ "left": total.left })).map_err(failed)
        })
        .await;
        progress.end();
        let done = result?;
        to.close().await?;
        self.tell(&done)?;
        match done.left {
            0 => Ok(()),
            left => Err(Failure::incomplete(format!(
                "{left} rows were changed since and not touched: {} lists them",
                self.left.display()
            ))),
        }
    }

    fn tell(&self, done: &RolledBack) -> Result<(), Failure> {
        let RolledBack { runs, removed, restored, left, more_runs, not_forgotten } = done;
        if self.json {
            let fields = json!({
                "runs": runs, "removed": removed, "restored": restored, "left": left, "more_runs": more_runs,
                "not_forgotten": not_forgotten.as_ref().map(ToString::to_string),
            });
            return event("rolled-back", fields);
        }
        print(&format!("{removed} rows removed, {restored} restored, {left} left as somebody changed them since"))?;
        if *more_runs {
            print("An earlier run can still be undone: run this again, or with --all.")?;
        }
        if let Some(error) = not_forgotten {
            print(&format!(
                "The tables in which runs are remembered stay: {}; `cofferdam migrate forget` drops them, by an account that may",
                escaped(&error.to_string())
            ))?;
        }
        Ok(())
    }
}

/// Gives up the way back: drops the tables in which a destination remembers its runs.
#[derive(Args)]
#[command(after_help = "\
Example:
  cofferdam migrate forget --to mysql://bot@db:3306/bot

Exit codes: those of `migrate rollback`")]
pub struct Forget {
    /// The database that runs were written to
    #[arg(long, value_name = "SPEC")]
    to: String,
}

impl Forget {
    pub async fn run(self) -> Result<(), Failure> {
        let to = open_destination(&self.to).await?;
        let forgot = migrate::forget(&to).await;
        let forgot = forgot?;
        to.close().await?;
        print(if forgot { "Forgotten: there is no way back any more." } else { "No run into this database is known." })
    }
}
