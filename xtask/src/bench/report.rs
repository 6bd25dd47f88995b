//! What is left of a run: files in the target folder, and the table in the documentation.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::goals::GOALS;
use super::machine::Machine;
use super::picture;
use super::results::Results;
use super::table::{self, Form};

/// How a run was made.
pub struct Run {
    pub machine: Machine,
    pub rounds: u32,
    /// What each benchmark was measured for in each round.
    pub seconds: f64,
    pub filter: Option<String>,
}

/// What the document on performance has around the latest table.
const BEGIN: &str = "<!-- begin: written by cargo xtask bench --write-docs -->";
const END: &str = "<!-- end -->";

/// The tables for a terminal.
pub fn text(results: &Results) -> String {
    let mut parts = tables(results, Form::Text);
    parts.extend(table::noise(results));
    parts.push(format!("{}.", table::summary(results)));
    parts.join("\n\n")
}

/// The run and its tables in Markdown.
pub fn markdown(run: &Run, results: &Results) -> String {
    let mut parts = vec![run.machine.sentence()];
    let rounds = if run.rounds == 1 { "One round".into() } else { format!("The median of {} rounds", run.rounds) };
    let filter = run.filter.as_ref().map_or_else(String::new, |filter| format!("; only what contains `{filter}`"));
    parts.push(format!("{rounds}, {} s for each benchmark{filter}.", run.seconds));
    parts.extend(table::noise(results));
    parts.extend(tables(results, Form::Markdown));
    parts.push(format!("{}.", table::summary(results)));
    parts.join("\n\n") + "\n"
}

fn tables(results: &Results, form: Form) -> Vec<String> {
    let mut parts = Vec::new();
    // What users have first, then other servers and networks.
    for is_main in [true, false] {
        let benchmarks = table::benchmarks(results, is_main);
        if !benchmarks.is_empty() {
            parts.push(benchmarks.render(form));
        }
    }
    if !results.probes.is_empty() {
        parts.push(table::probes(results).render(form));
    }
    parts
}

/// Everything that was measured, in the benchmarks' own units.
pub fn json(run: &Run, results: &Results) -> Value {
    let benchmarks = results.benchmarks.iter().flat_map(|(benchmark, contestants)| {
        contestants.iter().map(move |(contestant, rounds)| {
            json!({
                "benchmark": benchmark.to_string(),
                "engine": benchmark.engine(),
                "operation": benchmark.operation(),
                "callers": benchmark.callers(),
                "contestant": contestant,
                "unit": "ns",
                "median": rounds.median(),
                "spread": rounds.spread(),
                "rounds": rounds,
            })
        })
    });
    let goals = GOALS.iter().map(|goal| {
        json!({
            "measured_by": goal.figure.subject(),
            "limit": table::limit(goal),
            "value": goal.figure.value(results),
            "verdict": goal.verdict(results),
        })
    });
    json!({
        "machine": run.machine,
        "rounds": run.rounds,
        "seconds": run.seconds,
        "filter": run.filter,
        "benchmarks": benchmarks.collect::<Vec<_>>(),
        "probes": results.probes,
        "goals": goals.collect::<Vec<_>>(),
    })
}

/// Writes `report.md` and `report.json` into a folder.
pub fn write(folder: &Path, run: &Run, results: &Results) -> Result<()> {
    save(&folder.join("report.md"), &format!("# Performance\n\n{}", markdown(run, results)))?;
    save(&folder.join("report.json"), &format!("{:#}\n", json(run, results)))
}

/// Puts the run's tables in place of the latest ones of the document on performance.
pub fn write_docs(document: &Path, run: &Run, results: &Results) -> Result<()> {
    let text = fs::read_to_string(document).with_context(|| format!("cannot read {}", document.display()))?;
    let Some(text) = replaced(&text, &markdown(run, results)) else {
        bail!("{} has no line {BEGIN} with a line {END} after it: put them where the table goes", document.display());
    };
    save(document, &text)
}

/// Draws the most important figures of the run.
pub fn write_picture(file: &Path, run: &Run, results: &Results) -> Result<()> {
    let Machine { cpu, cores, mysql, date, .. } = &run.machine;
    let day = date.split('T').next().unwrap_or_default();
    let caption =
        format!("Operations in a second. {cpu}, {cores} cores, the server on the same machine ({mysql}), {day}");
    let picture = picture::svg(results, &caption).context("a figure of the picture was not measured")?;
    save(file, &picture)
}

/// A text with something else between the two markers.
fn replaced(text: &str, between: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{between}\n{END}{after}"))
}

fn save(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::super::results::{Benchmark, Contestant, Estimate};
    use super::*;

    fn run() -> Run {
        Run { machine: Machine::ask(), rounds: 2, seconds: 3.0, filter: None }
    }

    fn results() -> Results {
        let mut results = Results::default();
        for (contestant, median) in [(Contestant::Driver, 4_000.0), (Contestant::Plugin, 6_000.0)] {
            for group in ["sqlite/get/1", "mysql/get/64"] {
                for shift in [0.0, 100.0] {
                    let median = median + shift;
                    let estimate = Estimate { median, lower: median - 50.0, upper: median + 50.0 };
                    results.add(Benchmark::parse(group).unwrap(), contestant, estimate);
                }
            }
        }
        results
    }

    #[test]
    fn the_table_replaces_what_is_between_the_markers_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let document = folder.path().join("performance.md");
        fs::write(&document, format!("before\n{BEGIN}\nold\n{END}\nafter\n")).unwrap();
        for _ in 0..2 {
            write_docs(&document, &run(), &results()).unwrap();
            let text = fs::read_to_string(&document).unwrap();
            assert!(text.starts_with(&format!("before\n{BEGIN}\n\n")), "{text}");
            assert!(text.ends_with(&format!(", connections/bursts, log/sqlite.\n\n{END}\nafter\n")), "{text}");
            assert!(text.contains("| SQLite   | get ") && !text.contains("old"), "{text}");
        }
    }

    #[test]
    fn a_document_without_markers_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let document = folder.path().join("performance.md");
        fs::write(&document, format!("{END} {BEGIN}")).unwrap();
        let error = write_docs(&document, &run(), &results()).unwrap_err();
        assert!(error.to_string().contains("has no line"), "{error}");
        assert_eq!(fs::read_to_string(&document).unwrap(), format!("{END} {BEGIN}"));
    }

    #[test]
    fn the_documentation_has_a_place_for_the_table() {
        let text = fs::read_to_string(crate::run::root().join("docs/performance.md")).unwrap();
        assert!(replaced(&text, "").is_some());
    }

    #[test]
    fn a_report_is_for_people_and_for_programs() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &run(), &results()).unwrap();
        let read = |file| fs::read_to_string(folder.path().join(file)).unwrap();

        let json: Value = serde_json::from_str(&read("report.json")).unwrap();
        let driver = &json["benchmarks"][0];
        assert_eq!(driver["benchmark"], "sqlite/get/1");
        assert_eq!(driver["contestant"], "driver");
        assert_eq!(driver["median"], 4_050.0);
        assert_eq!(driver["rounds"][1], json!({ "median": 4_100.0, "lower": 4_050.0, "upper": 4_150.0 }));
        assert_eq!(json["goals"][0]["verdict"], "met");
        assert_eq!(json["goals"][1]["verdict"], "not-measured");

        let markdown = read("report.md");
        assert!(markdown.contains("| MySQL    | get       |      64 |"), "{markdown}");
    }
}
