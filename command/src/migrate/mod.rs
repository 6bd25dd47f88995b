//! `cofferdam migrate`

mod files;
mod plan;
mod progress;
mod rollback;
mod run;
mod verify;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use cofferdam::Integrity;
use cofferdam::config::parse_duration;
use cofferdam::files::is_same;
use cofferdam::migrate::{MigrateError, Mode, Plan, Role, Side, Spec};
use serde_json::Value;

use crate::arguments::positive_duration;
use crate::failure::Failure;
use crate::integrity;
use crate::output::print;

/// Migrate all rows from one database to another, exactly and with a rollback.
///
/// Without --execute, print a plan and write nothing. With --execute, create or upgrade the destination's schema, copy all
/// rows and verify both sides. The source is never changed. After an interruption, the same command resumes. If a key is
/// on both sides, the row with the greater updated_at wins; if they are equal, the destination keeps its own. A SQLite
/// file on either side is checked for damage first, because reads through a damaged index miss rows without an error.
///
/// A SPEC is sqlite:PATH, mysql://user@host:port/database or plugin:FILE. The database of a plugin: side comes from the
/// same variables as a bot's. Passwords come from MYSQL_PASSWORD or MYSQL_PASSWORD_FILE, or for one side from
/// COFFERDAM_FROM_PASSWORD or COFFERDAM_TO_PASSWORD, or the same with _FILE; never from the command line.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  cofferdam migrate --from sqlite:data/bot_state.db --to mysql://bot@db:3306/bot
  cofferdam migrate --from sqlite:data/bot_state.db --to mysql://bot@db:3306/bot --execute
  cofferdam migrate verify --from sqlite:data/bot_state.db --to mysql://bot@db:3306/bot
  cofferdam migrate rollback --to mysql://bot@db:3306/bot

Exit codes:
  0  the plan was printed, or all rows were migrated
  1  failure
  2  wrong usage, environment, plugin or file
  3  a database is unavailable or too slow, or another migration is running:
     the same command resumes later
  4  the file does not exist
  6  all rows were migrated except those in the file of rejects;
     with --stop-on-reject, the run stopped before the first of them
  7  the final comparison or the count found missing rows, or the source was
     written meanwhile: run it again"
)]
pub struct Migrate {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    sides: Option<Sides>,
    #[command(flatten)]
    options: RunOptions,
}

#[derive(Subcommand)]
enum Command {
    Verify(verify::Verify),
    Rollback(rollback::Rollback),
    Forget(rollback::Forget),
}

/// Both sides.
#[derive(Args)]
struct Sides {
    /// Source database
    #[arg(long, value_name = "SPEC")]
    from: String,
    /// Destination database
    #[arg(long, value_name = "SPEC")]
    to: String,
}

#[derive(Args)]
struct RunOptions {
    /// Execute the migration instead of printing the plan
    #[arg(long)]
    execute: bool,
    /// Stop before the first page with a row that cannot be migrated
    #[arg(long)]
    stop_on_reject: bool,
    /// Skip the comparison of both sides at the end
    #[arg(long)]
    no_verify: bool,
    /// Skip the integrity check of SQLite files, which reads them whole
    #[arg(long)]
    skip_integrity_check: bool,
    /// NDJSON file for rows that cannot be migrated
    #[arg(long, value_name = "FILE", default_value = "cofferdam-migrate-rejects.ndjson")]
    rejects: PathBuf,
    /// NDJSON file for rows that were merged into a newer row of the same channel
    #[arg(long, value_name = "FILE", default_value = "cofferdam-migrate-report.ndjson")]
    report: PathBuf,
    /// How long to retry while a database is unavailable or too busy
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = patience)]
    patience: Duration,
    /// Print events as NDJSON
    #[arg(long)]
    json: bool,
}

/// A duration that may be 0.
fn patience(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_or_else(|| positive_duration(text), Ok)
}

impl Migrate {
    pub async fn run(self) -> Result<(), Failure> {
        match (self.command, self.sides) {
            (Some(Command::Verify(command)), _) => command.run().await,
            (Some(Command::Rollback(command)), _) => command.run().await,
            (Some(Command::Forget(command)), _) => command.run().await,
            (None, Some(sides)) => run::run(&sides, &self.options).await,
            (None, None) => Err(Failure::usage("name both sides: --from SPEC --to SPEC")),
        }
    }
}

/// Reads the name of a side. Not in the hands of clap, whose message would repeat a password.
fn spec(option: &str, text: &str) -> Result<Spec, Failure> {
    Spec::parse(text).map_err(|error| Failure::usage(format!("{option}: {error}")))
}

fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The environment where files are not looked through for damage.
fn without_integrity(name: &str) -> Option<OsString> {
    if name == integrity::VARIABLE { Some("off".into()) } else { environment(name) }
}

/// Opens both sides for reading.
async fn open_to_read(
    sides: &Sides,
    environment: &(dyn Fn(&str) -> Option<OsString> + Sync),
) -> Result<(Side, Side), Failure> {
    let (from, to) = (spec("--from", &sides.from)?, spec("--to", &sides.to)?);
    // Before either is opened, and before one of them is refused for its two names.
    if let (Spec::Sqlite(one), Spec::Sqlite(other)) = (&from, &to)
        && is_same(one, other)
    {
        return Err(MigrateError::SameDatabase { from: from.to_string(), to: to.to_string() }.into());
    }
    let from = Side::open(Role::From, &from, Mode::Read, environment).await?;
    let to = Side::open(Role::To, &to, Mode::Read, environment).await?;
    Ok((from, to))
}

/// Looks through a side's file for damage, and shows that it goes on.
async fn look_through(side: &Side, as_json: bool) -> Result<Integrity, Failure> {
    let events = |event: &Value| print(&event.to_string());
    let look = async { Ok(side.check_integrity().await?) };
    integrity::shown(side.label(), look, as_json.then_some(&events)).await
}

/// Opens the destination of an earlier run.
async fn open_destination(to: &str) -> Result<Side, Failure> {
    Ok(Side::open(Role::To, &spec("--to", to)?, Mode::Attach, &environment).await?)
}

/// What is on both sides.
async fn plan(from: &Side, to: &Side) -> Result<Plan, MigrateError> {
    Plan::make(from, to).await
}
