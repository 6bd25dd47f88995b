//! Reads what criterion wrote.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::results::{Benchmark, CALL, Contestant, Estimate, Results};

/// `benchmark.json`: what was measured.
#[derive(Deserialize)]
struct Identity {
    group_id: String,
    function_id: Option<String>,
}

/// `estimates.json`: times in nanoseconds.
#[derive(Deserialize)]
struct Estimates {
    median: Median,
}

#[derive(Deserialize)]
struct Median {
    point_estimate: f64,
    confidence_interval: Interval,
}

#[derive(Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

/// Adds the latest measurement of every benchmark under a folder, criterion's home, as one round.
pub fn read(home: &Path, results: &mut Results) -> Result<()> {
    for folder in latest(home)? {
        let identity: Identity = json(&folder.join("benchmark.json"))?;
        let name = match identity.function_id {
            // It has one contestant, and no name for it.
            None if identity.group_id == CALL => Contestant::Plugin.name().into(),
            function => function.unwrap_or_default(),
        };
        let contestant = Contestant::ALL.into_iter().find(|contestant| contestant.name() == name);
        let (Some(benchmark), Some(contestant)) = (Benchmark::parse(&identity.group_id), contestant) else {
            bail!(
                "{} is about {}/{}, which is no benchmark that this report knows: name it engine/operation/callers and \
                 driver, sqlx or plugin",
                folder.display(),
                identity.group_id,
                name
            );
        };
        let Estimates { median } = json(&folder.join("estimates.json"))?;
        let interval = median.confidence_interval;
        let estimate =
            Estimate { median: median.point_estimate, lower: interval.lower_bound, upper: interval.upper_bound };
        results.add(benchmark, contestant, estimate);
    }
    Ok(())
}

/// All folders `new` that hold a measurement. Criterion keeps others beside them for comparisons of its own.
fn latest(home: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![home.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            // Nothing was measured.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
        };
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
            let path = entry.path();
            if !path.is_dir() {
                continue;
            }
            if entry.file_name() == "new" && path.join("benchmark.json").is_file() {
                found.push(path);
            } else {
                folders.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn json<T: DeserializeOwned>(file: &Path) -> Result<T> {
    let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not what criterion 0.8 writes", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Criterion 0.8 wrote these.
    fn fixtures() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bench/fixtures")
    }

    #[test]
    fn each_benchmark_is_read_once_a_round() {
        let mut results = Results::default();
        read(&fixtures(), &mut results).unwrap();
        let found: Vec<_> = results
            .benchmarks
            .iter()
            .flat_map(|(benchmark, contestants)| {
                contestants.iter().map(move |(contestant, rounds)| (benchmark.to_string(), *contestant, rounds.0.len()))
            })
            .collect();
        let expected = [
            ("wall/call", Contestant::Plugin),
            ("sqlite/get/1", Contestant::Driver),
            ("sqlite/get/1", Contestant::Sqlx),
            ("sqlite/get/1", Contestant::Plugin),
            ("sqlite/upsert-existing/64", Contestant::Plugin),
        ];
        assert_eq!(found, expected.map(|(benchmark, contestant)| (benchmark.to_owned(), contestant, 1)));

        let get = Benchmark::parse("sqlite/get/1").unwrap();
        let [driver] = results.benchmarks[&get][&Contestant::Driver].0[..] else { panic!("{results:?}") };
        assert_eq!([driver.lower, driver.median, driver.upper].map(f64::round), [9051.0, 11278.0, 12826.0]);

        read(&fixtures(), &mut results).unwrap();
        assert_eq!(results.benchmarks[&get][&Contestant::Driver].0, [driver, driver]);
    }

    #[test]
    fn nothing_measured_is_nothing_read() {
        let mut results = Results::default();
        read(&fixtures().join("absent"), &mut results).unwrap();
        assert!(results.is_empty());
    }

    #[test]
    fn what_is_not_known_is_named() {
        let refused = |group: &str, function: &str, estimates: &str| {
            let home = tempfile::tempdir().unwrap();
            let folder = home.path().join("some/new");
            fs::create_dir_all(&folder).unwrap();
            let identity = serde_json::json!({ "group_id": group, "function_id": function });
            fs::write(folder.join("benchmark.json"), identity.to_string()).unwrap();
            fs::write(folder.join("estimates.json"), estimates).unwrap();
            read(home.path(), &mut Results::default()).unwrap_err().to_string()
        };
        let error = refused("sqlite/get/1", "rusqlite", "{}");
        assert!(error.contains("sqlite/get/1/rusqlite"), "{error}");
        let error = refused("postgres/get/1", "driver", "{}");
        assert!(error.contains("postgres/get/1/driver"), "{error}");
        let error = refused("sqlite/get/1", "driver", r#"{"mean": 1}"#);
        assert!(error.contains("estimates.json is not what criterion 0.8 writes"), "{error}");
    }
}
