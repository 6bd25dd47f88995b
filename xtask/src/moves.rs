//! Measures `cofferdam migrate`.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Args;

use crate::build::{self, Built};
use crate::run::{cargo, step, target};
use crate::setup;

#[derive(Args)]
pub struct Arguments {
    /// Number of message states; a tenth as many ownerships come on top.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000_000)]
    states: u64,
    /// Size of MariaDB's buffer pool in MiB; the default is MariaDB's own. Random access to tables that do not fit reads from
    /// the disk.
    #[arg(long, value_name = "MIB", default_value_t = 128)]
    buffer_pool: u64,
    /// Number of rounds; the report has their medians.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// Exit with 3 if a goal is missed.
    #[arg(long)]
    check: bool,
}

/// Builds the optimised command and `cofferdam-moves`, runs it, and ends as that does.
pub fn moves(arguments: &Arguments) -> Result<ExitCode> {
    setup::mariadb()?;
    let Built { command, plugins } = build::build("release")?;
    // Without a package cargo takes the features of all that tests need too, so that wasmtime is compiled once.
    let mut build = cargo(["build", "--bin", "cofferdam-moves"]);
    step("Building the measurement", &mut build)?;
    let mut moves = Command::new(target().join("debug").join("cofferdam-moves"));
    moves.arg("--command").arg(command).arg("--plugins").arg(plugins);
    for (option, number) in
        [("--states", arguments.states), ("--buffer-pool", arguments.buffer_pool), ("--rounds", arguments.rounds)]
    {
        moves.args([option, &number.to_string()]);
    }
    for (flag, is_set) in [("--json", arguments.json), ("--check", arguments.check)] {
        if is_set {
            moves.arg(flag);
        }
    }
    let status = moves.status().with_context(|| format!("cannot run {moves:?}"))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
