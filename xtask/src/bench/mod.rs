//! Measures the plugins beside the bare drivers and sqlx, and compares the figures with the goals.

mod build;
mod criterion;
mod goals;
mod instructions;
pub mod machine;
mod picture;
mod profile;
mod report;
mod results;
mod run;
mod table;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::run::{root, say, target};
use crate::setup;
use goals::{GOALS, Verdict};
use machine::Machine;
use report::Run;
use results::{Contestant, ENGINES, OPERATIONS, Results};
use run::Measuring;

/// What `--check` ends with where a goal is missed or was not measured. 1 is a run that failed, 2 a wrong command line.
const MISSED: u8 = 3;

/// What each benchmark is measured for in each round.
const SECONDS: f64 = 3.0;
const QUICK_SECONDS: f64 = 0.3;

/// How often everything is measured.
const ROUNDS: u32 = 3;

#[derive(Args)]
pub struct Arguments {
    /// Run only benchmarks and probes whose name contains this, such as sqlite/get or memory.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Run one short round, which takes less than three minutes once everything is built.
    #[arg(long)]
    quick: bool,
    /// Number of rounds; the result is the median of their medians [default: 3; with --quick 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Seconds for which each benchmark is measured in each round [default: 3; with --quick 0.3].
    #[arg(long, value_name = "S", value_parser = seconds)]
    seconds: Option<f64>,
    /// Exit with 3 if a goal is missed or not measured, and name it. With --instructions, exit with 3 if a count has grown by
    /// more than 3 %.
    #[arg(long)]
    check: bool,
    /// Write the tables of this run to docs/performance.md.
    #[arg(long, conflicts_with = "filter")]
    write_docs: bool,
    /// Count instructions on SQLite instead of measuring time, and compare them with benches/instructions.json.
    #[arg(long, conflicts_with_all = ["filter", "quick", "rounds", "seconds", "write_docs"])]
    instructions: bool,
    /// Save the counts of this run to benches/instructions.json.
    #[arg(long, requires = "instructions", conflicts_with = "check")]
    save_baseline: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("give 0.1 to 60".into()),
    }
}

/// Builds, measures, reports.
pub fn bench(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.instructions {
        let grown = instructions::count(arguments.save_baseline)?;
        return Ok(if arguments.check && !grown.is_empty() { MISSED.into() } else { ExitCode::SUCCESS });
    }
    setup::mariadb()?;
    let programs = build::build()?;
    let folder = target().join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;

    let filter = arguments.filter.as_deref();
    let (rounds, seconds) = if arguments.quick { (1, QUICK_SECONDS) } else { (ROUNDS, SECONDS) };
    let (rounds, seconds) = (arguments.rounds.unwrap_or(rounds), arguments.seconds.unwrap_or(seconds));
    let run = Run { machine: Machine::ask(), rounds, seconds, filter: arguments.filter.clone() };
    let measuring = Measuring { programs: &programs, seconds, quick: arguments.quick, filter, folder: &folder };
    let mut results = Results::default();
    let outcome = measure(&measuring, rounds, &mut results);
    // What was measured before a failure is still worth reading.
    if !results.is_empty() {
        report::write(&folder, &run, &results)?;
        println!("{}", report::text(&results));
        say(&format!("Written to {}", folder.join("report.md").display()));
    }
    outcome?;
    if results.is_empty() {
        bail!("nothing was measured: no benchmark and no probe contains {}", filter.unwrap_or_default());
    }
    if arguments.write_docs {
        let document = root().join("docs/performance.md");
        report::write_docs(&document, &run, &results)?;
        say(&format!("Updated {}", document.display()));
        report::write_picture(&root().join("docs/performance.svg"), &run, &results)?;
    }
    Ok(if arguments.check && !check(&results) { MISSED.into() } else { ExitCode::SUCCESS })
}

fn measure(measuring: &Measuring<'_>, rounds: u32, results: &mut Results) -> Result<()> {
    let Wanted { benchmarks, probes } = wanted(measuring.filter.unwrap_or_default());
    if benchmarks {
        for round in 1..=rounds {
            measuring.round(round, rounds, results)?;
        }
    }
    if !probes.is_empty() {
        measuring.probes(&probes, results)?;
    }
    Ok(())
}

/// What a filter lets through: whether there may be a benchmark, and the names of probes.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    benchmarks: bool,
    probes: Vec<&'static str>,
}

fn wanted(filter: &str) -> Wanted {
    let probes: Vec<_> = goals::probes().filter(|probe| probe.contains(filter)).collect();
    let mut benchmarks = ENGINES.into_iter().flat_map(|engine| {
        OPERATIONS.into_iter().flat_map(move |operation| {
            let groups = [1, 8, 64].map(|callers| format!("{engine}/{operation}/{callers}"));
            groups
                .into_iter()
                .flat_map(|group| Contestant::ALL.map(|contestant| format!("{group}/{}", contestant.name())))
        })
    });
    // A name that this list lacks is left to criterion.
    Wanted { benchmarks: probes.is_empty() || benchmarks.any(|id| id.contains(filter)), probes }
}

/// Names each goal that is not met on standard error.
fn check(results: &Results) -> bool {
    let missed: Vec<_> = GOALS.iter().filter(|goal| goal.verdict(results) != Verdict::Met).collect();
    for goal in &missed {
        let value = goal.figure.value(results).map_or_else(|| "not measured".into(), table::figure);
        eprintln!("error: {} is {value}, to be {}", goal.figure.subject(), table::limit(goal));
    }
    missed.is_empty()
}

// The statements of the contestants are compared with the plugins' there, and the benches are no part of the tests.
#[cfg(test)]
#[path = "../../../benches/src/shared/statements.rs"]
#[allow(dead_code, reason = "two constants are not about statements")]
mod statements;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_keeps_programs_from_running_for_nothing() {
        let all = wanted("");
        assert!(all.benchmarks);
        assert_eq!(all.probes.len(), 12);
        for filter in ["sqlite/get", "64/plugin", "mysql-2ms/", "wall/call", "unheard-of"] {
            assert_eq!(wanted(filter), Wanted { benchmarks: true, probes: vec![] }, "{filter}");
        }
        let both = Wanted { benchmarks: true, probes: vec!["growth/sqlite", "tail/sqlite", "log/sqlite"] };
        assert_eq!(wanted("sqlite"), both);
        assert_eq!(wanted("memory"), Wanted { benchmarks: false, probes: vec!["memory/idle", "memory/growth"] });
    }
}
