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

/// Measures plugins side by side: throughput, latencies and errors of reads and writes in a mix of your choice.
///
/// Every plugin gets a database of its own that is removed afterwards, also after an error, Ctrl-C, SIGTERM and SIGHUP; the
/// databases that DATABASE_PATH and MYSQL_DATABASE name are not touched. A SQLite plugin gets a file in a new folder: what
/// that folder's disk does is measured too. A MySQL plugin gets a database named cofferdam_bench_ and 16 random digits on
/// the server that the MYSQL_ variables name, whose account must have the right to make it. Pools and deadlines are those
/// of the environment.
///
/// The plugins take turns of a second or less, in alternating order, so that whatever else the machine does hits all of
/// them alike. Each caller makes one operation after the other and waits for its answer (a closed loop): while a plugin
/// is slow it is asked less, so the percentiles do not tell how long requests that arrive at a fixed rate would wait.
/// Throughput and percentiles are of operations that were answered rightly.
///
/// A read gets the state of a random channel or thread, a write updates one. Every answer is checked: it must be the row
/// that was asked for, whole, and no older than the last write that had been answered before. In the end every row is
/// read and checked again.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cofferdam bench sqlite
  cofferdam bench sqlite mysql --reads 95 --callers 64 --seconds 30
  cofferdam bench plugins/sqlite.wasm build/sqlite.wasm --writes 100 --folder /var/lib/bot --json

A killed run can leave a folder or a database whose name begins with cofferdam_bench_; it may be removed.

Exit codes:
  0  every operation was answered rightly
  1  it could not be measured, or a scratch database could not be made or removed
  2  wrong usage, environment or plugin
  3  the database is away or too slow
  5  it was measured, and operations failed or were answered wrongly
  129, 130 and 143  ended by SIGHUP, SIGINT or SIGTERM; the scratch databases are removed, unless a second one comes")]
pub struct Bench {
    /// The plugins: component files, or sqlite and mysql for those that a bot would load. One that is named twice
    /// shows how much two runs of the same differ
    #[arg(value_name = "PLUGIN", required = true)]
    plugins: Vec<PathBuf>,
    /// How many of a hundred operations read [default: 80]
    #[arg(long, allow_negative_numbers = true, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100), conflicts_with = "writes")]
    reads: Option<u8>,
    /// How many of a hundred operations write [default: 20]
    #[arg(long, allow_negative_numbers = true, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    writes: Option<u8>,
    /// How many call at the same time
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    callers: u32,
    /// How many rows there are
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=rows::MOST_ROWS))]
    rows: u64,
    /// How long each plugin is measured, such as 30 or 0.5
    #[arg(long, allow_negative_numbers = true, value_name = "SECONDS", default_value = "10", value_parser = positive_seconds)]
    seconds: Duration,
    /// How long each plugin is called before that
    #[arg(long, allow_negative_numbers = true, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    warm_up: Duration,
    /// What the random choices come from: the same seed makes each caller choose the same
    #[arg(long, allow_negative_numbers = true, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Where the folder with the SQLite file is made [default: the system's folder for temporary files]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Print the settings and results as a JSON document
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
                        return Err(failure.with_advice(&format!("left behind, to be removed by hand: {names}")));
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
