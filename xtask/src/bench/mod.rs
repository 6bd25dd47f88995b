//! Runs the benchmarks.

mod instructions;

use anyhow::Result;
use clap::Args;

use crate::build;
use crate::run::{cargo, step};
use crate::setup;

/// What to measure.
#[derive(Args)]
pub struct Options {
    /// Only benchmarks whose name contains this.
    #[arg(conflicts_with = "instructions")]
    filter: Option<String>,
    /// Count instructions on SQLite instead of taking times, and show the change against benches/instructions.json.
    #[arg(long)]
    instructions: bool,
    /// Fail where a count has grown by more than a few percent.
    #[arg(long, requires = "instructions")]
    check: bool,
    /// Make the counts of this run the new benches/instructions.json.
    #[arg(long, requires = "instructions", conflicts_with = "check")]
    save_baseline: bool,
}

/// Runs the benchmarks in the release profile.
pub fn bench(options: &Options) -> Result<()> {
    if options.instructions {
        return instructions::count(options.check, options.save_baseline);
    }
    setup::mariadb()?;
    let plugins = build::plugins()?;
    let mut bench = cargo(["bench", "--package", "cofferdam-benches", "--bench", "backends"]);
    bench.args(["--"]).args(options.filter.as_deref()).env("COFFERDAM_PLUGINS", plugins);
    step("Measuring (the first time compiles everything once more, optimised)", &mut bench)
}
