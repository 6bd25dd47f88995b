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

/// Roll back the newest migration into a destination, finished or interrupted.
///
/// Rows that the migration inserted are deleted, and rows that it replaced get their old values. A row that was changed
/// since is listed and left as it is. Tables that the migration created stay. An upgraded schema stays too; older bots work
/// on it.
#[derive(Args)]
#[command(after_help = "\
Example:
  cofferdam migrate rollback --to mysql://bot@db:3306/bot

Exit codes:
  0  the destination is as it was before, or it has no recorded migration
  1  failure
  2  wrong usage, environment, plugin or file
  3  a database is unavailable or too slow, or a migration is running:
     the same command resumes later
  4  the file does not exist
  6  the destination is as it was before, except for the listed rows,
     which were changed since")]
pub struct Rollback {
    /// Database to roll back
    #[arg(long, value_name = "SPEC")]
    to: String,
    /// Roll back every recorded migration, not only the newest
    #[arg(long)]
    all: bool,
    /// NDJSON file for rows that were left as they are
    #[arg(long, value_name = "FILE", default_value = "cofferdam-migrate-left.ndjson")]
    left: PathBuf,
    /// Print events as NDJSON
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
            print("No migration into this database is recorded: there is nothing to roll back.")?;
            if overview.remembers {
                print("The tables that record migrations are still there: `cofferdam migrate forget` drops them.")?;
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
                "{left} rows were changed since and left as they are: {} lists them",
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
        print(&format!(
            "{removed} rows removed, {restored} restored, {left} left as they are, since they were changed \
            meanwhile"
        ))?;
        if *more_runs {
            print("An earlier migration can still be rolled back: run this again, or with --all.")?;
        }
        if let Some(error) = not_forgotten {
            print(&format!(
                "The tables that record migrations were not dropped: {}; run `cofferdam migrate forget` with an \
                 account that has the right to",
                escaped(&error.to_string())
            ))?;
        }
        Ok(())
    }
}

/// Drop the tables that record migrations in a destination. After that, no rollback is possible.
#[derive(Args)]
#[command(after_help = "\
Example:
  cofferdam migrate forget --to mysql://bot@db:3306/bot

Exit codes: those of `migrate rollback`")]
pub struct Forget {
    /// Database that was migrated to
    #[arg(long, value_name = "SPEC")]
    to: String,
}

impl Forget {
    pub async fn run(self) -> Result<(), Failure> {
        let to = open_destination(&self.to).await?;
        let forgot = migrate::forget(&to).await;
        let forgot = forgot?;
        to.close().await?;
        print(if forgot {
            "The record of migrations was dropped: a rollback is no longer possible."
        } else {
            "No \
            migration into this database is recorded."
        })
    }
}
