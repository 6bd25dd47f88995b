//! Runs the programs that measure, and says how far they are.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::build::Programs;
use super::criterion;
use super::results::{Probe, Results};
use super::table;
use crate::run::{root, say};

/// How many of a log's last lines an error shows.
const LAST_LINES: usize = 20;

/// What all programs of a run share.
pub struct Measuring<'a> {
    pub programs: &'a Programs,
    /// What each benchmark is measured for.
    pub seconds: f64,
    /// Whether probes do less, for figures that hold less.
    pub quick: bool,
    pub filter: Option<&'a str>,
    /// Where logs and criterion's files go.
    pub folder: &'a Path,
}

impl Measuring<'_> {
    /// Measures every benchmark once and adds the round to the results.
    pub fn round(&self, round: u32, rounds: u32, results: &mut Results) -> Result<()> {
        say(&format!("Measuring, round {round} of {rounds}"));
        // Only what this round measures is to be found afterwards.
        let home = self.folder.join("criterion");
        clear(&home)?;
        let started = Instant::now();
        let mut command = self.command("backends");
        command.args(self.filter).env("CRITERION_HOME", &home);
        command.env("COFFERDAM_BENCH_TURN", (round - 1).to_string());
        self.follow(command, &self.folder.join(format!("round-{round}.log")), |line| {
            if is_result(line) {
                eprintln!("  {:>4.0?}  {line}", started.elapsed());
            }
        })?;
        criterion::read(&home, results)
    }

    /// Takes some probes and adds what they print.
    pub fn probes(&self, names: &[&str], results: &mut Results) -> Result<()> {
        say("Taking the probes, which may be quiet for a minute");
        let mut command = self.command("probes");
        command.args(self.quick.then_some("--quick")).args(names);
        self.follow(command, &self.folder.join("probes.log"), |line| {
            if let Ok(probe) = serde_json::from_str::<Probe>(line) {
                eprintln!("    {}: {} {}", probe.name, table::figure(probe.value), probe.unit);
                results.probes.push(probe);
            }
        })
    }

    fn command(&self, mode: &str) -> Command {
        let mut command = Command::new(&self.programs.benches);
        command
            .arg(mode)
            .current_dir(root().join("benches"))
            .env("COFFERDAM_PLUGINS", &self.programs.plugins)
            .env("COFFERDAM_BENCH_SQLX", &self.programs.sqlx)
            .env("COFFERDAM_BENCH_COMMAND", &self.programs.command)
            .env("COFFERDAM_BENCH_SECONDS", self.seconds.to_string());
        command
    }

    /// Runs a program to its end, hands out the lines of its standard output, and keeps all that it says in a file.
    fn follow(&self, mut command: Command, log: &Path, mut line: impl FnMut(&str)) -> Result<()> {
        let program = PathBuf::from(command.get_program());
        let mut file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file.try_clone()?);
        let mut child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
        if let Some(out) = child.stdout.take() {
            for text in BufReader::new(out).split(b'\n') {
                let text = text.with_context(|| format!("cannot read what {} prints", program.display()))?;
                let text = String::from_utf8_lossy(&text);
                writeln!(file, "{text}").with_context(|| format!("cannot write {}", log.display()))?;
                line(&text);
            }
        }
        let status = child.wait().with_context(|| format!("cannot wait for {}", program.display()))?;
        if !status.success() {
            let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
            let lines: Vec<_> = text.lines().collect();
            let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
            bail!("{} ended with {status}; {} ends with:\n{last}", program.display(), log.display());
        }
        Ok(())
    }
}

/// Removes a folder that may not be there.
fn clear(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Whether a line of criterion's tells a benchmark's time. A long name stands on a line of its own before it.
fn is_result(line: &str) -> bool {
    line.contains("time:   [") || (line.contains('/') && !line.contains(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_found_between_criterions_lines() {
        let lines = "\
Benchmarking sqlite/get/1/driver: Warming up for 1.0000 s
sqlite/get/1/driver     time:   [4.1000 \u{b5}s 4.2000 \u{b5}s 4.3000 \u{b5}s]
Found 2 outliers among 10 measurements (20.00%)
  1 (10.00%) low mild
sqlite/upsert-existing/1/driver
                        time:   [1.0000 ms 2.0000 ms 3.0000 ms]
                        change: [-1.0% +0.1% +1.2%] (p = 0.96 > 0.05)
                        No change in performance detected.";
        let found: Vec<_> = lines.lines().enumerate().filter(|(_, line)| is_result(line)).map(|(at, _)| at).collect();
        assert_eq!(found, [1, 4, 5]);
    }
}
