//! The `cofferdam` command.
// They panic where nobody can be told.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod admin;
mod arguments;
mod bench;
mod check;
mod export;
mod failure;
mod generate;
mod import;
mod integrity;
mod log;
mod machine;
mod migrate;
mod open;
mod output;
mod plugin;
mod progress;
mod serve;
mod signals;
mod snapshot;
mod spool;
mod state;
mod status;
mod terminal;
mod thread;

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use cofferdam::config::VARIABLES;

use crate::failure::Failure;
use crate::log::Log;
use crate::signals::Signals;

/// Operate a chat bot's state in SQLite or MySQL, through a sandboxed storage plugin.
///
/// Environment variables name the database and the plugin. `cofferdam --help` lists them.
#[derive(Parser)]
#[command(name = "cofferdam", version, arg_required_else_help = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Check),
    Status(status::Status),
    #[command(subcommand)]
    Plugin(plugin::Plugin),
    #[command(subcommand)]
    State(state::State),
    #[command(subcommand)]
    Thread(thread::Thread),
    Export(export::Export),
    Import(import::Import),
    #[command(subcommand)]
    Spool(spool::Spool),
    Migrate(migrate::Migrate),
    Serve(serve::Serve),
    Bench(bench::Bench),
    #[command(hide = true)]
    Generate(generate::Generate),
}

impl Command {
    async fn run(self, signals: &mut Signals) -> Result<(), Failure> {
        match self {
            Self::Check(command) => signals.or(command.run()).await,
            Self::Status(command) => signals.or(command.run()).await,
            Self::Plugin(command) => signals.or(command.run()).await,
            Self::State(command) => signals.or(command.run()).await,
            Self::Thread(command) => signals.or(command.run()).await,
            Self::Export(command) => signals.or(command.run()).await,
            Self::Import(command) => signals.or(command.run()).await,
            Self::Spool(command) => signals.or(command.run()).await,
            Self::Migrate(command) => signals.or(command.run()).await,
            // Ends in order.
            Self::Serve(command) => command.run(signals).await,
            // Removes databases in the end, for which it must wait.
            Self::Bench(command) => command.run(signals).await,
            Self::Generate(command) => command.run(cli()),
        }
    }
}

const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  failure
  2  the command line, the environment or a file that they name is wrong
  3  the database is unavailable, too slow or too busy: retry
  4  not found: a row, a database, a file
  5  bench finished, but operations failed or returned wrong answers
  6  migrate or import finished, except for rows that it lists
  7  migrate compared both sides, and they differ
  8  a snapshot is truncated or damaged, or a row in it breaks a rule";

fn main() -> ExitCode {
    machine::prepare();
    machine::report_panics();
    // What a panic was has been said by then.
    match catch_unwind(|| machine::with_stack(begin)) {
        Ok(ended) => ended.unwrap_or_else(Failure::report),
        Err(_) => ExitCode::from(failure::FAILED),
    }
}

fn begin() -> ExitCode {
    let matches = cli().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn cli() -> clap::Command {
    Cli::command().after_help(EXIT_CODES).after_long_help(long_help())
}

fn run(cli: Cli) -> Result<(), Failure> {
    let log = if matches!(cli.command, Command::Serve(_)) { Log::lines_and_traces()? } else { Log::lines()? };
    machine::examine()?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    match cli.command {
        // Those for which throughput counts have a worker for each core. No two of them wait for each other in the allocator, and what a
        // swapped plugin leaves there the next one takes.
        Command::Serve(_) => machine::share_memory(
            std::thread::available_parallelism().map_or(machine::FEW, usize::from).max(machine::FEW),
        ),
        Command::Bench(_) => {}
        Command::Migrate(_) => {
            // Each thread that worked on a page keeps memory for the next; more than these have nothing to do.
            builder.worker_threads(2).max_blocking_threads(4);
            machine::share_memory(machine::FEW);
        }
        _ => {
            builder.worker_threads(2);
        }
    }
    let runtime = builder
        .enable_all()
        // The reserved one stays.
        .thread_keep_alive(Duration::from_secs(u32::MAX.into()))
        .build()
        .map_err(|error| Failure::from(error).while_doing("the asynchronous runtime does not start"))?;
    machine::reserve_thread(&runtime)?;
    let result = runtime.block_on(log.during(async { cli.command.run(&mut Signals::listen()?).await }));
    // A component that is still being compiled, or a read of standard input, must not hold up the end.
    runtime.shutdown_background();
    result
}

fn long_help() -> String {
    let mut text =
        format!("{EXIT_CODES}\n  129, 130 and 143  ended by SIGHUP, SIGINT or SIGTERM\n\nEnvironment variables:\n");
    for variable in VARIABLES {
        let meaning = variable.meaning.replace('`', "");
        let default = variable.default.trim_start_matches('(').trim_end_matches(')');
        text.push_str(&format!("  {} [{default}]\n      {meaning}\n", variable.name));
    }
    text
}
