//! Counts the instructions of operations on SQLite with callgrind, and compares them with a baseline.
//!
//! Counts of two runs differ by less than a percent, whatever else the machine does, so that they show what times on a
//! busy machine hide. They do not show waiting: neither for the disk nor for another thread.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::machine::locked;
use super::profile::{total, within};
use crate::run::{root, say, step, target};
use crate::setup;

const OPERATIONS: [&str; 3] = ["get", "upsert", "list"];
const CONTESTANTS: [&str; 2] = ["rusqlite", "plugin"];

/// The plugin as a bot uses it, and what of the library keeps its metrics: the module, and functions that are not inlined.
const BOT: &str = "bot";
const METRICS: (&str, [&str; 2]) = ("counted", ["begin", "end"]);

/// The growth of a count, in percent, that is pointed out. Runs differ by less than one.
const TOLERANCE: f64 = 3.0;

/// Instructions of one operation, and what they were counted with.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Counts {
    /// Versions that decide what is executed, by name.
    versions: BTreeMap<String, String>,
    /// Instructions by operation and contestant.
    instructions: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Counts {
    fn of(&self, operation: &str, contestant: &str) -> Option<u64> {
        self.instructions.get(operation)?.get(contestant).copied()
    }
}

/// Builds, counts, prints a table. Returns the names of the counts that have grown by more than [`TOLERANCE`].
///
/// # Errors
///
/// Something cannot be built or run.
pub fn count(save_baseline: bool) -> Result<Vec<String>> {
    setup::valgrind()?;
    setup::wasm_target()?;
    let program = super::build::instructions()?;
    let folder = target().join("bench/instructions");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;

    // Under Valgrind too, which offers another processor: compiled components are cached for it separately.
    let mut prepare = valgrind(&["--tool=none"]);
    prepare.arg(&program).arg("instructions").arg(&folder).arg("prepare");
    step("Preparing a file with the rows, and compiled code for Valgrind's processor", &mut prepare)?;

    let mut counts = Counts { versions: versions()?, instructions: BTreeMap::new() };
    for operation in OPERATIONS {
        for contestant in CONTESTANTS {
            say(&format!("Counting {operation} through {contestant}"));
            let count = measure(&program, &folder, operation, contestant)?.all;
            counts.instructions.entry(operation.into()).or_default().insert(contestant.into(), count);
        }
    }

    say(&format!("Counting get through {BOT}"));
    let of_bot = measure(&program, &folder, "get", BOT)?;

    let path = root().join("benches/instructions.json");
    let baseline = read(&path)?;
    let (table, grown) = table(&counts, baseline.as_ref());
    println!("{table}");
    println!("{}", of_bot.sentence());
    println!("Profiles, for callgrind_annotate or kcachegrind: {}", folder.display());
    if let Some(baseline) = &baseline {
        for (name, now) in &counts.versions {
            let then = baseline.versions.get(name).map_or("unknown", String::as_str);
            if then != now {
                println!("The baseline was taken with {name} {then}, this run with {now}.");
            }
        }
    }
    if save_baseline {
        let text = serde_json::to_string_pretty(&counts)? + "\n";
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("The counts are the new baseline: {}", path.display());
    } else if baseline.is_none() {
        println!("There is no baseline {}: save one with --save-baseline.", path.display());
    }
    Ok(grown)
}

fn valgrind(arguments: &[&str]) -> Command {
    let mut command = Command::new("valgrind");
    command.current_dir(root()).arg("--quiet").args(arguments);
    command
}

/// Instructions of one operation.
#[derive(Debug, PartialEq)]
struct Measured {
    all: u64,
    /// Those that keep the metrics.
    of_metrics: u64,
}

impl Measured {
    fn sentence(&self) -> String {
        let Self { all, of_metrics } = self;
        let without = all - of_metrics;
        let share = *of_metrics as f64 / without as f64 * 100.0;
        format!(
            "A get as a bot makes it: {without} instructions, and {of_metrics} to keep metrics, which is {share:.2} % more"
        )
    }
}

fn measure(program: &Path, folder: &Path, operation: &str, contestant: &str) -> Result<Measured> {
    let profile = folder.join(format!("{operation}-{contestant}.callgrind"));
    let mut command = valgrind(&["--tool=callgrind", "--instr-atstart=no"]);
    command.arg(format!("--callgrind-out-file={}", profile.display()));
    command.arg(program).arg("instructions").arg(folder).args([operation, contestant]);
    let output = command.stderr(Stdio::inherit()).output().context("cannot run valgrind")?;
    ensure!(output.status.success(), "{operation} through {contestant} ended with {}", output.status);
    let times: u64 = String::from_utf8(output.stdout)?.trim().parse().context("the bench says how often it ran")?;
    let text = std::fs::read_to_string(&profile).with_context(|| format!("cannot read {}", profile.display()))?;
    let total: u64 = total(&text).with_context(|| format!("{} has no total", profile.display()))?;
    ensure!(total > 0, "nothing was counted: does callgrind know this processor's requests?");
    let (module, functions) = METRICS;
    let keeps = |name: &str| name.contains(module) && functions.iter().any(|function| name.contains(function));
    let of_metrics = within(&text, keeps);
    ensure!(of_metrics > 0 || contestant != BOT, "{} has no function that keeps metrics", profile.display());
    Ok(Measured { all: total / times, of_metrics: of_metrics / times })
}

fn versions() -> Result<BTreeMap<String, String>> {
    let lock = root().join("Cargo.lock");
    let locked = |name: &str| locked(&lock, name).with_context(|| format!("{name} is not in {}", lock.display()));
    Ok(BTreeMap::from([
        ("rusqlite".to_owned(), locked("rusqlite")?),
        ("rustc".to_owned(), first_line(Command::new("rustc").arg("--version").current_dir(root()))?),
        ("valgrind".to_owned(), first_line(Command::new("valgrind").arg("--version"))?),
        ("wasmtime".to_owned(), locked("wasmtime")?),
    ]))
}

fn first_line(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let text = String::from_utf8(output.stdout)?;
    // `rustc 1.95.0 (...)` and `valgrind-3.19.0`
    let line = text.lines().next().unwrap_or_default();
    Ok(line.trim_start_matches("rustc ").trim_start_matches("valgrind-").to_owned())
}

fn read(path: &Path) -> Result<Option<Counts>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(serde_json::from_str(&text).with_context(|| format!("{} is malformed", path.display()))?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// A row for each operation, and the names of the counts that have grown too much.
fn table(counts: &Counts, baseline: Option<&Counts>) -> (String, Vec<String>) {
    let mut text = format!(
        "{:<10}{:>12}{:>12}{:>8}  {:>12}{:>10}  {:>12}{:>10}\n",
        "operation", "rusqlite", "plugin", "ratio", "rusqlite was", "change", "plugin was", "change"
    );
    let mut grown = Vec::new();
    for operation in OPERATIONS {
        let [driver, plugin] = CONTESTANTS.map(|contestant| counts.of(operation, contestant).unwrap_or_default());
        let ratio = plugin as f64 / driver as f64;
        let _ = write!(text, "{operation:<10}{driver:>12}{plugin:>12}{ratio:>8.2}");
        let mut worse = false;
        for (contestant, now) in CONTESTANTS.into_iter().zip([driver, plugin]) {
            let Some(was) = baseline.and_then(|baseline| baseline.of(operation, contestant)) else {
                let _ = write!(text, "  {:>12}{:>10}", "-", "-");
                continue;
            };
            let change = (now as f64 / was as f64 - 1.0) * 100.0;
            let _ = write!(text, "  {was:>12}{:>10}", format!("{change:+.1} %"));
            if change > TOLERANCE {
                worse = true;
                grown.push(format!("{operation} through {contestant} by {change:.1} %"));
            }
        }
        text += if worse { "  worse\n" } else { "\n" };
    }
    (text, grown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(get_plugin: u64) -> Counts {
        let all = |rusqlite, plugin| BTreeMap::from([("rusqlite".into(), rusqlite), ("plugin".into(), plugin)]);
        let instructions = BTreeMap::from([
            ("get".into(), all(100, get_plugin)),
            ("upsert".into(), all(1_000, 2_000)),
            ("list".into(), all(10_000, 20_000)),
        ]);
        Counts { versions: BTreeMap::new(), instructions }
    }

    #[test]
    fn a_count_that_has_grown_is_pointed_out() {
        let (table, grown) = table(&counts(208), Some(&counts(200)));
        assert_eq!(grown, ["get through plugin by 4.0 %"]);
        let worse: Vec<_> = table.lines().filter(|line| line.ends_with("worse")).collect();
        assert_eq!(worse.len(), 1, "{table}");
        assert!(worse[0].starts_with("get ") && worse[0].contains("+4.0 %"), "{table}");
    }

    #[test]
    fn a_count_that_shrank_or_wobbled_is_not() {
        let (_, grown) = table(&counts(100), Some(&counts(200)));
        assert!(grown.is_empty(), "{grown:?}");
        let (_, grown) = table(&counts(202), Some(&counts(200)));
        assert!(grown.is_empty(), "{grown:?}");
    }

    #[test]
    fn without_a_baseline_there_is_no_change() {
        let (table, grown) = table(&counts(208), None);
        assert!(grown.is_empty() && !table.contains('%'), "{table}");
    }

    #[test]
    fn what_metrics_cost_is_told_beside_what_there_is_without_them() {
        let sentence = Measured { all: 40_400, of_metrics: 400 }.sentence();
        assert!(sentence.contains("40000 instructions, and 400") && sentence.contains("1.00 %"), "{sentence}");
    }
}
