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

/// Moves everything from one database to another, exactly and with a way back.
///
/// Without --execute it only tells what is on both sides and what would happen. With it, it creates or upgrades the
/// destination's schema, moves all rows, and compares both sides. The source is never changed. Interrupted at any moment,
/// the same command goes on where it stopped. For a key on both sides the row with the greater updated_at wins, and equal
/// keeps the destination's. A SQLite file on either side is looked through for damage first, since a damaged index leads past
/// rows without a word.
///
/// A SPEC is sqlite:PATH, mysql://user@host:port/database, or plugin:FILE, whose database comes from the environment as a
/// bot's does. Passwords come from MYSQL_PASSWORD or MYSQL_PASSWORD_FILE, or for one side alone from
/// COFFERDAM_FROM_PASSWORD, COFFERDAM_TO_PASSWORD and the same with _FILE; never from the command line.
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
  0  planned, or everything was moved
  1  it failed
  2  wrong usage, environment, plugin or file
  3  a database is away or too slow, or another migration is running: the same command goes on later
  4  there is no such file
  6  everything was moved but for the rows in the file of rejects; with --stop-on-reject, stopped before the first
  7  rows were not moved, as the comparison at the end or the count of rows tells, or the source was written meanwhile: run it
     again"
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
    /// The database to read
    #[arg(long, value_name = "SPEC")]
    from: String,
    /// The database to write
    #[arg(long, value_name = "SPEC")]
    to: String,
}

#[derive(Args)]
struct RunOptions {
    /// Do it, instead of only telling what would happen
    #[arg(long)]
    execute: bool,
    /// Stop before the first page with a row that cannot be moved
    #[arg(long)]
    stop_on_reject: bool,
    /// Do not compare both sides at the end
    #[arg(long)]
    no_verify: bool,
    /// Do not look through SQLite files for damage first, which takes as long as they are large
    #[arg(long)]
    skip_integrity_check: bool,
    /// Where rows are listed that cannot be moved, a line of JSON each
    #[arg(long, value_name = "FILE", default_value = "cofferdam-migrate-rejects.ndjson")]
    rejects: PathBuf,
    /// Where rows are listed that gave way to a newer one of the same channel, a line of JSON each
    #[arg(long, value_name = "FILE", default_value = "cofferdam-migrate-report.ndjson")]
    report: PathBuf,
    /// How long to keep trying while a database is away or too busy
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = patience)]
    patience: Duration,
    /// Print events as JSON, one a line
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
