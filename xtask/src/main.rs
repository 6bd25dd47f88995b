//! What needs more than one cargo command. `cargo xtask --help` lists it.

mod bench;
mod build;
mod dist;
mod faults;
mod floors;
mod lint;
mod moves;
mod run;
mod setup;
mod test;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, tests and packs Cofferdam.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build what is needed and run the demo: a bot that is killed and loses nothing.
    ///
    /// On SQLite in a scratch folder; with DATABASE_TYPE=mysql and a server, there.
    #[command(after_help = "Examples:\n  cargo xtask demo\n  cargo xtask demo --events my-events.ndjson")]
    Demo {
        /// Passed on to `cofferdam demo`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Install what the tests need where it is missing, and run them all.
    #[command(
        after_help = "Examples:\n  cargo xtask test\n  cargo xtask test races\n  cargo xtask test --full migrate"
    )]
    Test {
        /// What is random as often as is promised, such as 200 killed migrations, instead of only enough to test a change.
        #[arg(long)]
        full: bool,
        /// Only the tests of this file or folder of tests/tests, or those whose name contains this.
        filter: Option<String>,
    },
    /// Check formatting, the floors of the library, clippy and documentation of host and guests; warnings are errors.
    Lint,
    /// Put the optimised command and plugins into dist/, ready to be copied to another machine.
    Dist,
    /// Measure the plugins beside the bare drivers and sqlx, and compare the figures with the goals.
    ///
    /// Prints tables and writes report.md and report.json to bench/ in the target folder. Leave the machine alone meanwhile.
    #[command(
        after_help = "Exit codes: 0 measured; 1 something failed; 2 wrong command line; 3 with --check, a goal is \
        missed or was not measured\n\n\
        Examples:\n  cargo xtask bench --quick\n  cargo xtask bench --check\n  cargo xtask bench --filter sqlite/get --rounds 5"
    )]
    Bench(bench::Arguments),
    /// Provoke real faults under load, and check that nothing that was acknowledged is lost.
    ///
    /// Starts and stops MariaDB servers of its own, and mounts small file systems, for which it has to be root. Takes two
    /// minutes, and with --full half an hour.
    #[command(
        after_help = "Exit codes: 0 every promise held; 1 a fault could not be provoked; 2 wrong command line; 3 a promise \
        was broken\n\n\
        Examples:\n  cargo xtask faults\n  cargo xtask faults --filter mysql/kill\n  cargo xtask faults --full --write-docs"
    )]
    Faults(faults::Arguments),
    /// Measure moving a bot's state from SQLite to MariaDB and back, and compare the figures with the goals.
    ///
    /// Fills a SQLite file, starts a MariaDB of its own with its default settings, and runs the optimised command. Leave the
    /// machine alone meanwhile. A million states take a minute, and some 600 MB in the folder for temporary files.
    #[command(
        after_help = "Exit codes: 0 measured; 1 something failed; 2 wrong command line; 3 with --check, a goal is missed\n\n\
        Examples:\n  cargo xtask moves --check\n  cargo xtask moves --states 5000000 --buffer-pool 2048"
    )]
    Moves(moves::Arguments),
    /// Build the command and the plugins into the target folder.
    Build,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Demo { arguments } => build::demo(&arguments),
        Task::Test { full, filter } => test::test(full, filter.as_deref()),
        Task::Lint => lint::lint(),
        Task::Dist => dist::dist(),
        Task::Bench(arguments) => match bench::bench(&arguments) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Task::Moves(arguments) => match moves::moves(&arguments) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Task::Faults(arguments) => match faults::faults(&arguments) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Task::Build => build::build(build::DEVELOPMENT).map(drop),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
