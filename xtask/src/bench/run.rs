//! Runs the programs that measure, and says how far they are.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::build::Programs;
use super::criterion;
use super::results::{CALL, Contestant, Probe, Results};
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
        let mut groups = Groups::default();
        let mut command = self.command(&self.programs.backends);
        command.arg("--bench").args(self.filter).env("CRITERION_HOME", &home);
        command.env("COFFERDAM_BENCH_TURN", (round - 1).to_string());
        self.follow(command, &self.folder.join(format!("round-{round}.log")), |line| groups.line(line))?;
        groups.end();
        criterion::read(&home, results)
    }

    /// Takes some probes and adds what they print.
    pub fn probes(&self, names: &[&str], results: &mut Results) -> Result<()> {
        say("Taking the probes, which may be quiet for a minute");
        let mut command = self.command(&self.programs.probes);
        command.args(self.quick.then_some("--quick")).args(names);
        self.follow(command, &self.folder.join("probes.log"), |line| {
            if let Ok(probe) = serde_json::from_str::<Probe>(line) {
                eprintln!("    {}: {} {}", probe.name, table::figure(probe.value), probe.unit);
                results.probes.push(probe);
            }
        })
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
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

/// Tells from criterion's lines which group is finished, and prints one line for each.
struct Groups {
    /// An id that stands on a line of its own, because it is long.
    id: Option<String>,
    group: String,
    contestants: Vec<String>,
    started: Instant,
    terminal: bool,
}

impl Default for Groups {
    fn default() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { id: None, group: String::new(), contestants: Vec::new(), started: Instant::now(), terminal }
    }
}

impl Groups {
    fn line(&mut self, line: &str) {
        if let Some((id, time)) = finished(&mut self.id, line) {
            let (group, contestant) = match id.rsplit_once('/') {
                Some(parts) if id != CALL => parts,
                _ => (&*id, Contestant::Plugin.name()),
            };
            if group != self.group {
                self.end();
                group.clone_into(&mut self.group);
            }
            self.contestants.push(format!("{contestant} {time}"));
            if self.terminal {
                self.show();
            }
        }
    }

    /// Prints the line of the group that was open.
    fn end(&mut self) {
        if !self.contestants.is_empty() {
            self.show();
            eprintln!();
        }
        self.contestants.clear();
    }

    fn show(&self) {
        // Back to the start of the line, which grows with each contestant.
        let back = if self.terminal { "\r\x1b[K" } else { "" };
        let elapsed = self.started.elapsed().as_secs();
        eprint!("{back}  {:>2}:{:02}  {}: {}", elapsed / 60, elapsed % 60, self.group, self.contestants.join(", "));
    }
}

/// The id and the typical time of a benchmark that a line of criterion's ends.
fn finished(long: &mut Option<String>, line: &str) -> Option<(String, String)> {
    let Some((before, after)) = line.split_once("time:   [") else {
        *long = (line.contains('/') && !line.contains(' ')).then(|| line.to_owned());
        return None;
    };
    let id = Some(before.trim().to_owned()).filter(|id| !id.is_empty()).or_else(|| long.take())?;
    let mut words = after.trim_end_matches(']').split_whitespace().skip(2);
    Some((id, format!("{} {}", words.next()?, words.next()?.replace('\u{b5}', "u"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_benchmarks_are_found_between_criterions_lines() {
        let lines = "\
Benchmarking sqlite/get/1/driver: Warming up for 1.0000 s
sqlite/get/1/driver     time:   [4.1000 \u{b5}s 4.2000 \u{b5}s 4.3000 \u{b5}s]
Found 2 outliers among 10 measurements (20.00%)
  1 (10.00%) low mild
sqlite/upsert-existing/1/driver
                        time:   [1.0000 ms 2.0000 ms 3.0000 ms]
                        change: [-1.0% +0.1% +1.2%] (p = 0.96 > 0.05)
                        No change in performance detected.";
        let mut long = None;
        let found: Vec<_> = lines.lines().filter_map(|line| finished(&mut long, line)).collect();
        let expected = [("sqlite/get/1/driver", "4.2000 us"), ("sqlite/upsert-existing/1/driver", "2.0000 ms")]
            .map(|(id, time)| (id.into(), time.into()));
        assert_eq!(found, expected);
    }
}
