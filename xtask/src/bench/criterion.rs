//! Reads what criterion wrote.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::results::{Benchmark, Contestant, Estimate, Results};

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
        let contestant = identity
            .function_id
            .as_deref()
            .and_then(|function| Contestant::ALL.into_iter().find(|contestant| contestant.name() == function));
        let (Some(benchmark), Some(contestant)) = (Benchmark::parse(&identity.group_id), contestant) else {
            bail!(
                "{} is about {}/{}, which is no benchmark that this report knows: name it engine/operation/callers and \
                 driver, sqlx or plugin",
                folder.display(),
                identity.group_id,
                identity.function_id.unwrap_or_default()
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
