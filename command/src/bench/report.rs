//! What is printed in the end.

use std::time::Duration;

use cofferdam::ops::json;
use serde_json::{Value, json};

use super::Bench;
use super::contestant::Contestant;
use super::tally::{Operations, Tally};
use crate::failure::Failure;
use crate::output::{self, escaped};

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)];

impl Tally {
    fn kinds(&self) -> [(&'static str, Operations); 3] {
        [("reads", self.reads.clone()), ("writes", self.writes.clone()), ("all", self.all())]
    }
}

pub fn text(bench: &Bench, contestants: &[Contestant]) -> String {
    let mut columns = output::Columns::new(
        &["PLUGIN", "DATABASE", "OPERATION", "PER SECOND", "P50 us", "P95 us", "P99 us", "MAX us", "ERRORS"],
        &[3, 4, 5, 6, 7, 8],
    );
    for contestant in contestants {
        let server = contestant.server.as_ref();
        let database = server.map_or_else(String::new, |server| format!("{} {}", server.engine.name(), server.version));
        for (kind, operations) in contestant.tally.kinds() {
            let mut row = vec![escaped(&contestant.name), escaped(&database), kind.to_owned()];
            row.push(format!("{:.0}", contestant.tally.per_second(&operations)));
            for (_, share) in QUANTILES {
                row.push(operations.quantile(share).map_or_else(|| "-".into(), microseconds));
            }
            row.push(operations.errors.to_string());
            columns.add(row);
        }
    }
    format!("{}\n\n{}", bench.summary(), columns.text())
}

/// What went wrong, a line each.
pub fn problems(contestants: &[Contestant]) -> Vec<String> {
    let mut lines = Vec::new();
    for Contestant { name, tally, .. } in contestants {
        let name = escaped(name);
        for (problem, count) in &tally.problems {
            lines.push(format!("{name}: {count} x {}", escaped(problem)));
        }
        if tally.warm_up_errors > 0 {
            lines.push(format!("{name}: {} errors were in the warm-up", tally.warm_up_errors));
        }
        if tally.wrong_rows > 0 {
            lines.push(format!("{name}: {} rows were missing or wrong in the end", tally.wrong_rows));
        }
    }
    lines
}

/// What went wrong most often: a plugin and its problem.
pub fn most_often(contestants: &[Contestant]) -> String {
    let problems = contestants.iter().flat_map(|Contestant { name, tally, .. }| {
        let wrong = (tally.wrong_rows, "rows were missing or wrong in the end");
        let noted = tally.problems.iter().map(|(problem, count)| (*count, problem.as_str()));
        noted.chain([wrong]).map(move |(count, problem)| (count, name, problem))
    });
    problems
        .max_by_key(|(count, ..)| *count)
        .map_or_else(String::new, |(_, name, problem)| format!("{}: {}", escaped(name), escaped(problem)))
}

pub fn json(bench: &Bench, contestants: &[Contestant]) -> Result<Value, Failure> {
    let mut list = Vec::new();
    for contestant in contestants {
        let (storage, tally) = (contestant.storage()?, &contestant.tally);
        let (backend, plugin) = (storage.backend(), storage.plugin());
        let mut entry = json!({
            "name": contestant.name,
            "plugin": {
                "path": plugin.origin.path().map(json::file),
                "embedded": plugin.origin.path().is_none(),
                "sha256": plugin.sha256,
                "name": backend.name,
                "version": backend.version,
            },
            "server": contestant.server.as_ref().map(|server| json!({
                "engine": server.engine.name(), "version": server.version,
            })),
            "measured_seconds": tally.elapsed.as_secs_f64(),
            "pool": storage.status().pool.map(|pool| json!({ "groups": pool.groups, "grouped": pool.grouped })),
            "warm_up_errors": tally.warm_up_errors,
            "wrong_rows": tally.wrong_rows,
            "problems": tally.problems.iter().map(|(problem, count)| json!({
                "message": problem, "count": count,
            })).collect::<Vec<_>>(),
        });
        for (kind, operations) in tally.kinds() {
            let seconds: serde_json::Map<_, _> = QUANTILES
                .iter()
                .map(|(name, share)| {
                    ((*name).to_owned(), json!(operations.quantile(*share).map(|time| time.as_secs_f64())))
                })
                .collect();
            entry[kind] = json!({
                "operations": operations.count(),
                "errors": operations.errors,
                "per_second": tally.per_second(&operations),
                "seconds": seconds,
            });
        }
        list.push(entry);
    }
    let errors: u64 = contestants.iter().map(|contestant| contestant.tally.errors()).sum();
    Ok(json!({ "ok": errors == 0, "errors": errors, "settings": bench.json(), "contestants": list }))
}

fn microseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e6)
}
