//! What the measurements must show.

use serde::Serialize;

use super::results::{Benchmark, Contestant, Results};

/// A promise about speed: a figure and its limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    pub figure: Figure,
    pub limit: Limit,
}

/// What is compared. Benchmarks and probes go by their names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Figure {
    /// The plugin's time divided by the bare driver's.
    TimeOfDriver(&'static str),
    /// The plugin's operations in a time divided by the bare driver's.
    SpeedOfDriver(&'static str),
    /// The plugin's operations in a time divided by sqlx's.
    SpeedOfSqlx(&'static str),
    /// A probe's value.
    Probe(&'static str),
}

/// What a figure must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    AtMost(f64),
    AtLeast(f64),
    MoreThan(f64),
}

/// Whether a goal is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Met,
    Missed,
    NotMeasured,
}

use Figure::{Probe, SpeedOfDriver, SpeedOfSqlx, TimeOfDriver};
use Limit::{AtLeast, AtMost, MoreThan};

const fn goal(figure: Figure, limit: Limit) -> Goal {
    Goal { figure, limit }
}

/// All goals.
pub const GOALS: [Goal; 39] = [
    goal(TimeOfDriver("sqlite/get/1"), AtMost(1.7)),
    goal(SpeedOfSqlx("sqlite/get/1"), AtLeast(6.0)),
    goal(SpeedOfDriver("sqlite/get/64"), AtLeast(0.4)),
    goal(SpeedOfSqlx("sqlite/get/64"), AtLeast(4.0)),
    goal(TimeOfDriver("sqlite/upsert-existing/1"), AtMost(1.0)),
    goal(SpeedOfSqlx("sqlite/upsert-existing/1"), AtLeast(2.0)),
    goal(SpeedOfDriver("sqlite/upsert-existing/64"), AtLeast(6.0)),
    goal(SpeedOfSqlx("sqlite/upsert-existing/64"), AtLeast(12.0)),
    goal(TimeOfDriver("sqlite/all-10000/1"), AtMost(0.85)),
    goal(SpeedOfSqlx("sqlite/all-10000/1"), AtLeast(4.0)),
    goal(TimeOfDriver("sqlite/window-300/1"), AtMost(0.85)),
    goal(TimeOfDriver("sqlite/all-10000-sorted/1"), AtMost(1.1)),
    goal(TimeOfDriver("sqlite/window-300-sorted/1"), AtMost(1.1)),
    goal(TimeOfDriver("sqlite/cleanup/1"), AtMost(1.2)),
    goal(TimeOfDriver("mysql/get/1"), AtMost(1.08)),
    goal(SpeedOfSqlx("mysql/get/1"), MoreThan(1.0)),
    goal(TimeOfDriver("mysql/upsert-existing/1"), AtMost(1.08)),
    goal(SpeedOfSqlx("mysql/upsert-existing/1"), MoreThan(1.0)),
    goal(SpeedOfDriver("mysql/get/64"), AtLeast(0.9)),
    goal(SpeedOfSqlx("mysql/get/64"), AtLeast(1.2)),
    goal(SpeedOfDriver("mysql/upsert-existing/64"), AtLeast(3.5)),
    goal(SpeedOfSqlx("mysql/upsert-existing/64"), AtLeast(4.0)),
    goal(SpeedOfDriver("mysql/upsert-new/64"), AtLeast(3.5)),
    goal(SpeedOfSqlx("mysql/upsert-new/64"), AtLeast(4.0)),
    goal(SpeedOfDriver("mysql/upsert-existing/8"), AtLeast(1.8)),
    goal(TimeOfDriver("mysql/all-10000/1"), AtMost(1.15)),
    goal(SpeedOfDriver("mysql-2ms/upsert-existing/64"), AtLeast(5.0)),
    goal(Probe("start/cached"), AtMost(25.0)),
    goal(Probe("start/uncached"), AtMost(500.0)),
    goal(Probe("growth/sqlite"), AtMost(1.3)),
    goal(Probe("growth/mysql"), AtMost(1.5)),
    goal(Probe("memory/idle"), AtMost(60.0)),
    goal(Probe("memory/growth"), AtMost(FLAT)),
    goal(Probe("tail/sqlite"), AtMost(10.0)),
    goal(Probe("tail/mysql"), AtMost(10.0)),
    goal(Probe("tail/mysql-upsert"), AtMost(4.0)),
    goal(Probe("connections/steady"), AtMost(10.0)),
    goal(Probe("connections/bursts"), AtMost(10.0)),
    goal(Probe("log/sqlite"), AtMost(68.0)),
];

/// Growth in MiB that still counts as flat after a million operations: a leak of a single small allocation an operation,
/// 16 bytes, makes eight times as much, while what an allocator keeps for reuse moves by less.
const FLAT: f64 = 2.0;

/// The names of all probes.
pub fn probes() -> impl Iterator<Item = &'static str> {
    GOALS.iter().filter_map(|goal| match goal.figure {
        Probe(name) => Some(name),
        _ => None,
    })
}

/// Missed where one goal is, met where all are.
pub fn verdict<'a>(goals: impl IntoIterator<Item = &'a Goal>, results: &Results) -> Verdict {
    let mut all = Verdict::Met;
    for goal in goals {
        match goal.verdict(results) {
            Verdict::Met => {}
            Verdict::Missed => return Verdict::Missed,
            Verdict::NotMeasured => all = Verdict::NotMeasured,
        }
    }
    all
}

impl Goal {
    pub fn verdict(&self, results: &Results) -> Verdict {
        match self.figure.value(results) {
            None => Verdict::NotMeasured,
            Some(value) if self.limit.holds(value) => Verdict::Met,
            Some(_) => Verdict::Missed,
        }
    }
}

impl Figure {
    /// The figure in a run; none where it was not measured.
    pub fn value(self, results: &Results) -> Option<f64> {
        let ratio = |group, above, below| results.ratio(&Benchmark::parse(group)?, above, below);
        match self {
            TimeOfDriver(group) => ratio(group, Contestant::Plugin, Contestant::Driver),
            SpeedOfDriver(group) => ratio(group, Contestant::Driver, Contestant::Plugin),
            SpeedOfSqlx(group) => ratio(group, Contestant::Sqlx, Contestant::Plugin),
            Probe(name) => results.probe(name).map(|probe| probe.value),
        }
    }

    /// The benchmark that gives the figure; none for a probe.
    pub fn benchmark(self) -> Option<Benchmark> {
        match self {
            TimeOfDriver(group) | SpeedOfDriver(group) | SpeedOfSqlx(group) => Benchmark::parse(group),
            Probe(_) => None,
        }
    }

    /// The benchmark or probe.
    pub fn subject(self) -> &'static str {
        match self {
            TimeOfDriver(name) | SpeedOfDriver(name) | SpeedOfSqlx(name) | Probe(name) => name,
        }
    }

    /// What the figure counts, to be written right after a number.
    pub fn unit(self) -> &'static str {
        match self {
            TimeOfDriver(_) => " x driver's time",
            SpeedOfDriver(_) => " x driver's speed",
            SpeedOfSqlx(_) => " x sqlx's speed",
            Probe(name) if name.starts_with("start/") => " ms",
            Probe(name) if name.starts_with("memory/") => " MiB",
            Probe(_) => "",
        }
    }
}

impl Limit {
    /// No figure that is not a number is within a limit.
    pub fn holds(self, value: f64) -> bool {
        match self {
            AtMost(limit) => value <= limit,
            AtLeast(limit) => value >= limit,
            MoreThan(limit) => value > limit,
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AtMost(limit) => write!(out, "<= {limit}"),
            AtLeast(limit) => write!(out, ">= {limit}"),
            MoreThan(limit) => write!(out, "> {limit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::results::{Contestant, Estimate, Probe as Measured};
    use super::*;

    /// The goals of a benchmark or probe together.
    fn judged(subject: &str, results: &Results) -> Verdict {
        verdict(GOALS.iter().filter(|goal| goal.figure.subject() == subject), results)
    }

    fn measured(times: &[(&str, Contestant, f64)]) -> Results {
        let mut results = Results::default();
        for &(group, contestant, median) in times {
            let estimate = Estimate { median, lower: median, upper: median };
            results.add(Benchmark::parse(group).unwrap(), contestant, estimate);
        }
        results
    }

    #[test]
    fn a_goal_is_met_at_its_limits_and_missed_beyond_any_of_them() {
        use Contestant::{Driver, Plugin, Sqlx};
        let get = |plugin, sqlx| {
            let group = "sqlite/get/1";
            judged(group, &measured(&[(group, Driver, 100.0), (group, Plugin, plugin), (group, Sqlx, sqlx)]))
        };
        assert_eq!(get(170.0, 1020.0), Verdict::Met);
        assert_eq!(get(171.0, 2000.0), Verdict::Missed);
        assert_eq!(get(170.0, 1019.0), Verdict::Missed);
    }

    #[test]
    fn speed_is_the_inverse_of_time() {
        use Contestant::{Driver, Plugin, Sqlx};
        let upsert = |driver, sqlx| {
            let group = "sqlite/upsert-existing/64";
            judged(group, &measured(&[(group, Driver, driver), (group, Plugin, 10.0), (group, Sqlx, sqlx)]))
        };
        assert_eq!(upsert(60.0, 120.0), Verdict::Met);
        assert_eq!(upsert(59.0, 120.0), Verdict::Missed);
        assert_eq!(upsert(60.0, 119.0), Verdict::Missed);
    }

    #[test]
    fn faster_means_more_than_as_fast() {
        assert!(!MoreThan(1.0).holds(1.0));
        assert!(AtLeast(1.0).holds(1.0));
        assert!(!AtMost(1.0).holds(f64::NAN) && !AtLeast(1.0).holds(f64::NAN) && !MoreThan(1.0).holds(f64::NAN));
    }

    #[test]
    fn goals_without_all_their_figures_are_not_measured_unless_one_is_missed() {
        use Contestant::{Driver, Plugin, Sqlx};
        let group = "sqlite/get/1";
        assert_eq!(judged(group, &Results::default()), Verdict::NotMeasured);
        // Without the driver there is nothing to compare with.
        assert_eq!(judged(group, &measured(&[(group, Plugin, 1.0)])), Verdict::NotMeasured);
        let with_sqlx = |sqlx| judged(group, &measured(&[(group, Plugin, 100.0), (group, Sqlx, sqlx)]));
        assert_eq!(with_sqlx(600.0), Verdict::NotMeasured);
        assert_eq!(with_sqlx(599.0), Verdict::Missed);
        assert_eq!(judged(group, &measured(&[(group, Driver, 1.0), (group, Plugin, 9.0)])), Verdict::Missed);
    }

    #[test]
    fn a_probe_is_judged_by_its_value() {
        let probe = |value| Results {
            probes: vec![Measured {
                name: "tail/mysql".into(),
                value,
                unit: "ratio".into(),
                details: serde_json::Value::Null,
            }],
            ..Results::default()
        };
        assert_eq!(judged("tail/mysql", &probe(10.0)), Verdict::Met);
        assert_eq!(judged("tail/mysql", &probe(11.0)), Verdict::Missed);
    }

    #[test]
    fn every_goal_is_about_a_known_benchmark_or_a_probe() {
        for goal in &GOALS {
            if let Some(benchmark) = goal.figure.benchmark() {
                assert!(super::super::results::OPERATIONS.contains(&benchmark.operation()), "{benchmark}");
            } else {
                assert!(probes().any(|probe| probe == goal.figure.subject()));
            }
        }
    }
}
