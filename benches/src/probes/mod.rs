//! What criterion cannot measure: how long the command takes to answer, how operations slow down with the number of
//! rows, how much memory a host takes, how long the slowest callers wait, and how large SQLite's log becomes.
//!
//! Prints one JSON object a line on standard output, `{"probe", "value", "unit", "details"}`, and what it does on
//! standard error.

mod connections;
mod growth;
mod log;
mod memory;
mod start;
mod tail;

use std::io::Write;

use anyhow::{Result, bail};
use serde_json::{Value, json};

/// A probe's name and how it is taken. One function may take several, which share what they run on.
struct Probe {
    names: &'static [&'static str],
    take: fn(Size) -> Result<Vec<Finding>>,
}

const PROBES: [Probe; 8] = [
    Probe { names: &["start/cached", "start/uncached"], take: start::take },
    Probe { names: &["growth/sqlite"], take: growth::sqlite },
    Probe { names: &["growth/mysql"], take: growth::mysql },
    Probe { names: &["memory/idle", "memory/growth"], take: memory::take },
    Probe { names: &["log/sqlite", "log/long-reader"], take: log::take },
    Probe { names: &["tail/sqlite"], take: tail::sqlite },
    Probe { names: &["tail/mysql", "tail/mysql-upsert"], take: tail::mysql },
    Probe { names: &["connections/steady", "connections/bursts"], take: connections::take },
];

/// How much is done for a figure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    /// All together in less than a minute.
    Quick,
    /// Enough for figures that hold.
    Full,
}

impl Size {
    fn choose<T>(self, quick: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

/// What a probe found.
struct Finding {
    probe: &'static str,
    value: f64,
    unit: &'static str,
    details: Value,
}

impl Finding {
    fn print(&self) -> Result<()> {
        let Self { probe, value, unit, details } = self;
        let line = json!({ "probe": probe, "value": rounded(*value), "unit": unit, "details": details });
        let mut output = std::io::stdout().lock();
        writeln!(output, "{line}")?;
        Ok(output.flush()?)
    }
}

/// To three places: more is noise.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// Says what happens.
fn say(what: &str) {
    eprintln!("{what}");
}

/// The middle of some figures.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => figures[length / 2],
        length => f64::midpoint(figures[length / 2 - 1], figures[length / 2]),
    }
}

/// Takes the named probes, or all, with `--quick` in little time.
pub fn run(arguments: &[&str]) -> Result<()> {
    if arguments == [memory::CHILD] {
        return memory::child();
    }
    let known = || PROBES.iter().flat_map(|probe| probe.names);
    let mut size = Size::Full;
    let mut wanted = Vec::new();
    for &argument in arguments {
        match argument {
            "--quick" => size = Size::Quick,
            name if known().any(|known| *known == name) => wanted.push(name),
            other => {
                let known: Vec<_> = known().copied().collect();
                bail!("there is no probe {other}, but {}", known.join(", "))
            }
        }
    }
    for probe in &PROBES {
        if wanted.is_empty() || probe.names.iter().any(|name| wanted.contains(name)) {
            for finding in (probe.take)(size)? {
                if wanted.is_empty() || wanted.contains(&finding.probe) {
                    finding.print()?;
                }
            }
        }
    }
    Ok(())
}
