//! The `cofferdam` command.

mod check;
mod demo;
mod failure;
mod open;
mod output;
mod plugin;
mod state;
mod thread;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use cofferdam::config::VARIABLES;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Keeps a chat bot's state in SQLite or MySQL, through a sandboxed storage plugin.
///
/// The database and the plugin come from environment variables; `cofferdam --help` lists them.
#[derive(Parser)]
#[command(name = "cofferdam", version, arg_required_else_help = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Check),
    #[command(subcommand)]
    Plugin(plugin::Plugin),
    #[command(subcommand)]
    State(state::State),
    #[command(subcommand)]
    Thread(thread::Thread),
    Demo(demo::Demo),
    #[command(hide = true)]
    DemoBot(demo::DemoBot),
}

impl Command {
    async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Check(command) => command.run().await,
            Self::Plugin(command) => command.run().await,
            Self::State(command) => command.run().await,
            Self::Thread(command) => command.run().await,
            Self::Demo(command) => command.run().await,
            Self::DemoBot(command) => command.run().await,
        }
    }
}

const EXIT_CODES: &str = "\
Exit codes:
  0  it worked
  1  it failed
  2  the command line, the environment or a file that they name is wrong
  3  the database is away, too slow or too busy: worth another try
  4  what was asked for is not there";

fn main() -> ExitCode {
    let matches = Cli::command().after_help(EXIT_CODES).after_long_help(long_help()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    log_to_stderr()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the asynchronous runtime does not start: {error}")))?;
    let result = runtime.block_on(async {
        let (mut interrupt, mut terminate) = match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
            (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
            (Err(error), _) | (_, Err(error)) => {
                return Err(Failure::failed(format!("signals cannot be handled: {error}")));
            }
        };
        // A signal drops the command's future, which cancels its operations and removes what it made.
        tokio::select! {
            result = cli.command.run() => result,
            _ = interrupt.recv() => Err(Failure::signal(SignalKind::interrupt())),
            _ = terminate.recv() => Err(Failure::signal(SignalKind::terminate())),
        }
    });
    // A component that is still being compiled, or a read of standard input, must not hold up the end.
    runtime.shutdown_background();
    result
}

fn log_to_stderr() -> Result<(), Failure> {
    let (name, filter) = ["COFFERDAM_LOG", "RUST_LOG"]
        .into_iter()
        .find_map(|name| Some((name, std::env::var(name).ok().filter(|filter| !filter.is_empty())?)))
        .unwrap_or(("COFFERDAM_LOG", "warn".into()));
    let filter = EnvFilter::try_new(&filter).map_err(|error| {
        Failure::usage(format!("{name} is {filter:?}: {error}; use for example warn, info or cofferdam=debug"))
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    Ok(())
}

fn long_help() -> String {
    let mut text = format!("{EXIT_CODES}\n  130 and 143  ended by SIGINT or SIGTERM\n\nEnvironment variables:\n");
    for variable in VARIABLES {
        let meaning = variable.meaning.replace('`', "");
        let default = variable.default.trim_start_matches('(').trim_end_matches(')');
        text.push_str(&format!("  {} [{default}]\n      {meaning}\n", variable.name));
    }
    text
}
