//! `cofferdam bench`: plugins side by side on databases that are made for it.

mod callers;
mod contestant;
mod report;
mod rows;
mod scratch;
mod tally;

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use self::callers::Callers;
use self::contestant::Contestant;
use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;
use crate::signals::Signals;

/// The longest turn of one plugin.
const LONGEST_SLICE: Duration = Duration::from_secs(1);

/// However short the run is, each plugin has so many turns.
const FEWEST_SLICES: u32 = 5;

/// Benchmark plugins side by side: throughput, latency percentiles and errors for a mix of reads and writes.
///
/// Each plugin gets its own scratch database, which is removed at the end, also after an error, Ctrl-C, SIGTERM or SIGHUP.
/// The databases that DATABASE_PATH and MYSQL_DATABASE name are not touched. A SQLite plugin gets a file in a new folder,
/// so the disk of that folder is part of the measurement. A MySQL plugin gets a database named cofferdam_bench_ and 16
/// random digits on the server that the MYSQL_ variables name; the account needs the right to create it. Connection pool
/// and deadlines come from the environment.
///
/// Plugins take turns of a second or less, in alternating order, so that other load on the machine affects all of them.
/// Callers run a closed loop: each sends its next operation after the answer to the last one. A slow plugin therefore gets
/// fewer requests, and the percentiles do not show how long requests at a fixed rate would wait. Throughput and percentiles
/// count correct answers only.
///
/// A read gets the state of a random channel or thread, and a write updates one. Every answer is verified: it must be the
/// requested row, complete, and no older than the last acknowledged write. At the end every row is read and verified again.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cofferdam bench sqlite
  cofferdam bench sqlite mysql --reads 95 --callers 64 --seconds 30
  cofferdam bench plugins/sqlite.wasm build/sqlite.wasm --writes 100 --folder /var/lib/bot --json

A killed run can leave a folder or a database whose name begins with
cofferdam_bench_. Remove it by hand.

Exit codes:
  0  every operation returned a correct answer
  1  the measurement failed, or a scratch database could not be created or
     removed
  2  wrong usage, environment or plugin
  3  the database is unavailable or too slow
  5  the measurement finished, but operations failed or returned wrong answers
  129, 130 and 143  ended by SIGHUP, SIGINT or SIGTERM; scratch databases are
     removed unless a second signal arrives")]
pub struct Bench {
    /// Component files, or sqlite and mysql for the plugins that a bot would load. Name a plugin twice to see how much two
    /// runs of it differ
    #[arg(value_name = "PLUGIN", required = true)]
    plugins: Vec<PathBuf>,
    /// Percentage of operations that read [default: 80]
    #[arg(long, allow_negative_numbers = true, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100), conflicts_with = "writes")]
    reads: Option<u8>,
    /// Percentage of operations that write [default: 20]
    #[arg(long, allow_negative_numbers = true, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    writes: Option<u8>,
    /// Number of concurrent callers
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    callers: u32,
    /// Number of rows
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=rows::MOST_ROWS))]
    rows: u64,
    /// Time to measure each plugin, such as 30 or 0.5
    #[arg(long, allow_negative_numbers = true, value_name = "SECONDS", default_value = "10", value_parser = positive_seconds)]
    seconds: Duration,
    /// Time to warm up each plugin before the measurement
    #[arg(long, allow_negative_numbers = true, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    warm_up: Duration,
    /// Seed of the random choices: with the same seed, each caller makes the same choices
    #[arg(long, allow_negative_numbers = true, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Folder in which to create the SQLite file [default: the system's folder for temporary files]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Print settings and results as a JSON document
    #[arg(long)]
    json: bool,
}

/// Removes what was made, whatever happened. A signal does not keep it from that, but the second one does.
///
/// Returns what went wrong.
async fn remove(
    contestants: &mut [Contestant],
    signals: &mut Signals,
    mut is_over: bool,
) -> Result<Vec<Failure>, Failure> {
    let mut left: Vec<String> = contestants.iter().filter_map(Contestant::scratch_name).collect();
    let mut failures = Vec::new();
    for contestant in contestants {
        let name = contestant.scratch_name();
        let mut removal = pin!(contestant.remove());
        let removed = loop {
            tokio::select! {
                removed = &mut removal => break removed,
                failure = signals.next() => {
                    if is_over {
                        let names = left.join(", ");
                        return Err(failure.with_advice(&format!("left behind; remove by hand: {names}")));
                    }
                    is_over = true;
                }
            }
        };
        failures.extend(removed.err());
        left.retain(|left| Some(left) != name.as_ref());
    }
    Ok(failures)
}

/// A number of seconds up to a day.
fn seconds(text: &str) -> Result<Duration, String> {
    let day = Duration::from_secs(86_400);
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|seconds| *seconds <= day).ok_or_else(|| "it must be a number from 0 to 86400, such as 0.5".into())
}

/// A number of seconds, and not none: a millisecond is the shortest in which anything happens.
fn positive_seconds(text: &str) -> Result<Duration, String> {
    let enough = |seconds: &Duration| *seconds >= Duration::from_millis(1);
    seconds(text).ok().filter(enough).ok_or_else(|| "it must be a number from 0.001 to 86400, such as 0.5".into())
}

impl Bench {
    pub async fn run(self, signals: &mut Signals) -> Result<(), Failure> {
        let mut progress = Progress::new();
        let mut contestants = Vec::new();
        let measured = signals.or(self.measure(&mut contestants, &mut progress)).await;
        progress.end();
        let is_over = measured.as_ref().is_err_and(Failure::is_signal);
        if is_over {
            progress.begin("removing the databases; another signal ends it at once");
        }
        let left = remove(&mut contestants, signals, is_over).await;
        progress.end();
        let left = left?;
        let result = measured.and_then(|()| self.report(&contestants));
        // The first failure is the one that the exit code tells.
        let mut failures = result.err().into_iter().chain(left);
        let Some(first) = failures.next() else { return Ok(()) };
        for other in failures {
            other.report();
        }
        Err(first)
    }

    async fn measure(&self, contestants: &mut Vec<Contestant>, progress: &mut Progress) -> Result<(), Failure> {
        for (index, plugin) in self.plugins.iter().enumerate() {
            let callers = Callers::new(self.callers as usize, self.reads(), self.seed);
            let mut contestant = Contestant::find(plugin, self.rows as usize, callers).await?;
            let before = self.plugins[..index].iter().filter(|other| *other == plugin).count();
            if before > 0 {
                contestant.name += &format!(" ({})", before + 1);
            }
            contestants.push(contestant);
        }
        let folder = self.folder.clone().unwrap_or_else(std::env::temp_dir);
        for contestant in &mut *contestants {
            contestant.open(&folder).await?;
        }
        for contestant in &*contestants {
            contestant.fill(progress).await?;
        }
        for contestant in &mut *contestants {
            progress.begin(&format!("warming {} up", contestant.name));
            contestant.warm_up(self.warm_up).await?;
        }
        progress.begin("measuring");
        let (slices, slice) = self.slices();
        for turn in 1..=slices {
            for place in 0..contestants.len() {
                // The last of one round is the first of the next, so that nobody always comes after the same.
                let index = if turn % 2 == 1 { place } else { contestants.len() - 1 - place };
                let contestant = &mut contestants[index];
                contestant.measure(slice).await?;
                let (name, tally) = (&contestant.name, &contestant.tally);
                let (all, errors) = (tally.all(), tally.errors());
                progress
                    .say(&format!("{turn}/{slices} {name}: {:.0} a second, {errors} errors", tally.per_second(&all)));
            }
        }
        for contestant in contestants {
            progress.begin(&format!("checking the rows of {}", contestant.name));
            contestant.verify().await?;
        }
        Ok(())
    }

    fn report(&self, contestants: &[Contestant]) -> Result<(), Failure> {
        if self.json {
            output::print_json(&report::json(self, contestants)?)?;
        } else {
            output::print(&report::text(self, contestants))?;
        }
        let errors: u64 = contestants.iter().map(|contestant| contestant.tally.errors()).sum();
        if errors == 0 {
            return Ok(());
        }
        for line in report::problems(contestants) {
            output::say(&line);
        }
        let most_often = report::most_often(contestants);
        Err(Failure::faulty(format!("{errors} operations or rows failed or were wrong, most of them of {most_often}")))
    }

    /// How many of a hundred operations read.
    fn reads(&self) -> u8 {
        match (self.reads, self.writes) {
            (Some(reads), _) => reads,
            (None, Some(writes)) => 100 - writes,
            (None, None) => 80,
        }
    }

    /// How many turns each plugin has, and how long each is.
    fn slices(&self) -> (u32, Duration) {
        // A day has 86,400 turns of a second.
        let slices = (self.seconds.as_secs_f64() / LONGEST_SLICE.as_secs_f64()).ceil() as u32;
        let slices = slices.max(FEWEST_SLICES);
        (slices, self.seconds / slices)
    }

    fn summary(&self) -> String {
        let (slices, slice) = self.slices();
        format!(
            "{} % reads, {} % writes of {} rows by {} callers; {slices} turns of {:.3} s for each plugin; seed {}",
            self.reads(),
            100 - self.reads(),
            self.rows,
            self.callers,
            slice.as_secs_f64(),
            self.seed
        )
    }

    fn json(&self) -> Value {
        let (slices, slice) = self.slices();
        json!({
            "reads_percent": self.reads(),
            "writes_percent": 100 - self.reads(),
            "callers": self.callers,
            "rows": self.rows,
            "seconds": self.seconds.as_secs_f64(),
            "warm_up_seconds": self.warm_up.as_secs_f64(),
            "slices": slices,
            "slice_seconds": slice.as_secs_f64(),
            "seed": self.seed,
        })
    }
}
