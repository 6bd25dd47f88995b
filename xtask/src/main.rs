//! What needs more than one cargo command. `cargo xtask --help` lists it.

mod audit;
mod bench;
mod build;
mod dist;
mod docs;
mod faults;
mod floors;
mod lint;
mod moves;
mod package;
mod release;
mod run;
mod setup;
mod test;
mod tools;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Build, test, measure and package Cofferdam.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the bot and run the demo: against a local Discord it is killed, restarts, and loses nothing.
    ///
    /// Uses SQLite in a scratch folder. If DATABASE_TYPE=mysql and the MYSQL_ variables name a server, the bot moves there.
    #[command(after_help = "Examples:\n  cargo xtask demo\n  cargo xtask demo --seed 7 --keep")]
    Demo {
        /// Passed on to the demo; --help lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Install missing dependencies of the tests and run all tests.
    #[command(
        after_help = "Examples:\n  cargo xtask test\n  cargo xtask test races\n  cargo xtask test --full migrate"
    )]
    Test {
        /// Run every randomized test for its full number of iterations, such as 200 killed migrations.
        #[arg(long)]
        full: bool,
        /// Run only this file or folder of tests/tests, or only tests whose name contains this.
        filter: Option<String>,
    },
    /// Check formatting, the layers of the library, clippy and rustdoc, for host and guests; warnings are errors.
    Lint,
    /// Pack the published packages, and build and run a bot and a backend from them alone.
    Package,
    /// Build the optimised command and plugins into dist/, ready to copy to another machine.
    Dist,
    /// Build the documents as a site into book in the target folder.
    Docs(docs::Arguments),
    /// Check licences, sources and advisories of dependencies, and what the library's interface has changed.
    #[command(after_help = "Examples:\n  cargo xtask audit --offline\n  cargo xtask audit --since v0.2.0")]
    Audit(audit::Arguments),
    /// Make what users download, in dist/: an archive and Debian packages for this platform, with licences, lists of components and
    /// sums.
    ///
    /// Commit first: times in the files are that of the last commit. Takes some minutes.
    #[command(after_help = "Examples:\n  cargo xtask release\n  cargo xtask release --twice")]
    Release(release::Arguments),
    /// Benchmark the plugins against the bare drivers and sqlx, and compare the results with the goals.
    ///
    /// Prints tables and writes report.md and report.json to bench/ in the target folder. Run it on an otherwise idle
    /// machine.
    #[command(
        after_help = "Exit codes: 0 success; 1 failure; 2 wrong command line; 3 with --check, a goal was missed \
        or not measured\n\n\
        Examples:\n  cargo xtask bench --quick\n  cargo xtask bench --check\n  cargo xtask bench --filter sqlite/get \
        --rounds 5"
    )]
    Bench(bench::Arguments),
    /// Inject faults under load and verify that no acknowledged write is lost.
    ///
    /// Starts and stops its own MariaDB servers and mounts small file systems, which needs root. Takes two minutes, or half
    /// an hour with --full.
    #[command(
        after_help = "Exit codes: 0 every guarantee held; 1 a fault could not be injected; 2 wrong command line; 3 a \
        guarantee was broken\n\n\
        Examples:\n  cargo xtask faults\n  cargo xtask faults --filter mysql/kill\n  cargo xtask faults --full \
        --write-docs"
    )]
    Faults(faults::Arguments),
    /// Benchmark migrations from SQLite to MariaDB and back, and compare the results with the goals.
    ///
    /// Fills a SQLite file, starts its own MariaDB with default settings, and runs the optimised command. Run it on an
    /// otherwise idle machine. A million states take a minute, and some 600 MB in the folder for temporary files.
    #[command(
        after_help = "Exit codes: 0 success; 1 failure; 2 wrong command line; 3 with --check, a goal was missed\n\n\
        Examples:\n  cargo xtask moves --check\n  cargo xtask moves --states 5000000 --buffer-pool 2048"
    )]
    Moves(moves::Arguments),
    /// Build the command, the bot, the demo and the plugins into the target folder.
    Build,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Demo { arguments } => build::demo(&arguments),
        Task::Test { full, filter } => test::test(full, filter.as_deref()),
        Task::Lint => lint::lint(),
        Task::Package => package::package(),
        Task::Dist => dist::dist(),
        Task::Docs(arguments) => docs::docs(&arguments),
        Task::Audit(arguments) => audit::audit(&arguments),
        Task::Release(arguments) => release::release(&arguments),
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
