//! What was measured.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The operations that are measured, in the order in which reports list them.
pub const OPERATIONS: [&str; 11] = [
    "get",
    "upsert-existing",
    "upsert-new",
    "upsert-burst",
    "window-300",
    "all-10000",
    "window-300-sorted",
    "all-10000-sorted",
    "ownership-get",
    "ownership-upsert",
    "cleanup",
];

/// The databases that are measured, in the order in which reports list them.
pub const ENGINES: [&str; 5] = ["sqlite", "mysql", "mysql-relaxed", "mysql-0.5ms", "mysql-2ms"];

/// The benchmark of a call that a plugin answers without its database.
pub const CALL: &str = "wall/call";

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Contestant {
    /// rusqlite or mysql_async, used directly.
    Driver,
    /// sqlx with its pool.
    Sqlx,
    /// The backend's component, through the public interface.
    Plugin,
}

impl Contestant {
    pub const ALL: [Self; 3] = [Self::Driver, Self::Sqlx, Self::Plugin];

    pub fn name(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Sqlx => "sqlx",
            Self::Plugin => "plugin",
        }
    }
}

/// What a benchmark measures: an operation on an engine with some callers, or [`CALL`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Benchmark {
    // In this order they sort as reports list them.
    /// The place among [`ENGINES`]; none where no database is asked.
    engine: Option<usize>,
    callers: u32,
    place: usize,
    operation: String,
}

impl Benchmark {
    /// Reads the id of a criterion group: `engine/operation/callers`, or [`CALL`].
    pub fn parse(group: &str) -> Option<Self> {
        if group == CALL {
            return Some(Self { engine: None, callers: 1, place: 0, operation: "call".into() });
        }
        let (engine, rest) = group.split_once('/')?;
        let engine = Some(ENGINES.iter().position(|known| *known == engine)?);
        let (operation, callers) = rest.rsplit_once('/')?;
        let place = OPERATIONS.iter().position(|known| *known == operation).unwrap_or(OPERATIONS.len());
        Some(Self { engine, callers: callers.parse().ok()?, place, operation: operation.into() })
    }

    /// One of [`ENGINES`]; none where no database is asked.
    pub fn engine(&self) -> Option<&'static str> {
        ENGINES.get(self.engine?).copied()
    }

    /// Whether this is about a server as users have it, on the same machine.
    pub fn is_main(&self) -> bool {
        matches!(self.engine(), None | Some("sqlite" | "mysql"))
    }

    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// How many tasks call at a time.
    pub fn callers(&self) -> u32 {
        self.callers
    }
}

/// The id of the criterion group.
impl fmt::Display for Benchmark {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.engine() {
            None => out.write_str(CALL),
            Some(engine) => write!(out, "{engine}/{}/{}", self.operation, self.callers),
        }
    }
}

/// A median of one round and the interval that contains it with 95 % confidence, in nanoseconds for an operation. With
/// several callers that is the wall time divided by all their operations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    pub median: f64,
    pub lower: f64,
    pub upper: f64,
}

/// The same benchmark, once in each round.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Rounds(pub Vec<Estimate>);

impl Rounds {
    /// The median of the rounds' medians.
    pub fn median(&self) -> Option<f64> {
        let mut medians: Vec<_> = self.0.iter().map(|estimate| estimate.median).collect();
        medians.sort_by(f64::total_cmp);
        let upper = *medians.get(medians.len() / 2)?;
        let lower = medians[(medians.len() - 1) / 2];
        Some((lower + upper) / 2.0)
    }

    /// How far the rounds are apart: the greatest median less the smallest, divided by their median. 0 for one round.
    pub fn spread(&self) -> f64 {
        let medians = || self.0.iter().map(|estimate| estimate.median);
        let (smallest, greatest) = (medians().fold(f64::INFINITY, f64::min), medians().fold(0.0, f64::max));
        self.median().map_or(0.0, |median| (greatest - smallest) / median)
    }
}

/// What is measured otherwise than by repeating an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    #[serde(rename = "probe")]
    pub name: String,
    pub value: f64,
    pub unit: String,
    /// What else the probe saw on its way.
    #[serde(default)]
    pub details: serde_json::Value,
}

/// All that one run measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Results {
    pub benchmarks: BTreeMap<Benchmark, BTreeMap<Contestant, Rounds>>,
    pub probes: Vec<Probe>,
}

impl Results {
    /// Adds what one round measured.
    pub fn add(&mut self, benchmark: Benchmark, contestant: Contestant, estimate: Estimate) {
        self.benchmarks.entry(benchmark).or_default().entry(contestant).or_default().0.push(estimate);
    }

    /// Nanoseconds for an operation.
    pub fn median(&self, benchmark: &Benchmark, contestant: Contestant) -> Option<f64> {
        self.benchmarks.get(benchmark)?.get(&contestant)?.median()
    }

    /// What a contestant's operation takes, divided by what another's takes.
    pub fn ratio(&self, benchmark: &Benchmark, above: Contestant, below: Contestant) -> Option<f64> {
        Some(self.median(benchmark, above)? / self.median(benchmark, below)?)
    }

    pub fn probe(&self, name: &str) -> Option<&Probe> {
        self.probes.iter().find(|probe| probe.name == name)
    }

    pub fn is_empty(&self) -> bool {
        self.benchmarks.is_empty() && self.probes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(medians: &[f64]) -> Rounds {
        Rounds(medians.iter().map(|&median| Estimate { median, lower: median, upper: median }).collect())
    }

    #[test]
    fn the_median_of_the_rounds_counts() {
        assert_eq!(rounds(&[]).median(), None);
        assert_eq!(rounds(&[7.0]).median(), Some(7.0));
        assert_eq!(rounds(&[9.0, 1.0, 2.0]).median(), Some(2.0));
        assert_eq!(rounds(&[9.0, 1.0, 2.0, 4.0]).median(), Some(3.0));
        assert_eq!(rounds(&[7.0]).spread(), 0.0);
        assert_eq!(rounds(&[8.0, 10.0, 13.0]).spread(), 0.5);
    }

    #[test]
    fn a_benchmark_is_read_from_its_group_and_written_back() {
        for group in ["sqlite/get/1", "mysql/all-10000/64", CALL] {
            assert_eq!(Benchmark::parse(group).unwrap().to_string(), group);
        }
        for group in ["", "sqlite", "sqlite/get", "sqlite/get/many", "postgres/get/1", "wall/other"] {
            assert_eq!(Benchmark::parse(group), None, "{group}");
        }
    }

    #[test]
    fn benchmarks_sort_by_engine_then_callers_then_operation() {
        let groups = [CALL, "sqlite/get/1", "sqlite/upsert-new/1", "sqlite/other/1", "sqlite/get/64", "mysql/get/1"];
        let benchmarks: Vec<_> = groups.iter().map(|group| Benchmark::parse(group).unwrap()).collect();
        let mut sorted = benchmarks.clone();
        sorted.reverse();
        sorted.sort();
        assert_eq!(sorted, benchmarks);
    }
}
