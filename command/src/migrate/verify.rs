//! `cofferdam migrate verify`

use std::io;
use std::time::{Duration, Instant};

use clap::Args;
use cofferdam::migrate::{self, Difference, DifferenceKind, Overview, Side, Table, Verdict, VerifyObserver};
use serde_json::{Value, json};

use super::progress::{Progress, event, failed};
use super::{Sides, environment, files, open_to_read, plan};
use crate::arguments::positive_duration;
use crate::failure::Failure;
use crate::output::{escaped, print};

/// Differences that are shown; all are counted.
const SHOWN: u64 = 10;

/// How long to wait between two comparisons.
const PAUSE: Duration = Duration::from_millis(500);

/// With more differences than this, everything is compared again rather than each of them.
const FEW: usize = 10_000;

/// Verify that both sides hold the same rows, field by field except for ids. Writes nothing.
///
/// If the source has an older schema, it is compared as it would be migrated: of several rows for one channel the newest
/// counts.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cofferdam migrate verify --from sqlite:data/bot_state.db --to mysql://bot@db:3306/bot
  cofferdam migrate verify --from sqlite:data/bot_state.db --to mysql://bot@db:3306/bot --wait 5m

Exit codes:
  0  both sides are equal
  1  failure
  2  wrong usage, environment, plugin or file
  3  a database is unavailable or too slow
  4  the file does not exist
  6  equal, except for rows of the source that cannot be migrated
  7  both sides differ, or not all rows of a side were read")]
pub struct Verify {
    #[command(flatten)]
    sides: Sides,
    /// Accept additional and newer rows in the destination
    #[arg(long)]
    complete: bool,
    /// Compare differing rows again until they are equal, for at most this long; for use while a bot writes to both sides
    #[arg(long, value_name = "DURATION", value_parser = positive_duration)]
    wait: Option<Duration>,
    /// How long to retry while a database is unavailable or too busy
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = super::patience)]
    patience: Duration,
    /// Print events as NDJSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub async fn run(self) -> Result<(), Failure> {
        let (from, to) = open_to_read(&self.sides, &environment).await?;
        let until = self.wait.map(|wait| Instant::now() + wait);
        let verdict = loop {
            let planned = plan(&from, &to).await?;
            let overviews = (&planned.from, &planned.to);
            let mut watch = Watch::new(self.json, self.complete);
            let verdict = compare(&from, &to, overviews, self.patience, &mut watch, until).await?;
            let is_good = if self.complete { verdict.is_complete() } else { verdict.is_equal() };
            if is_good || until.is_none_or(|until| Instant::now() + PAUSE >= until) {
                break verdict;
            }
            tokio::time::sleep(PAUSE).await;
        };
        to.close().await?;
        from.close().await?;
        let is_good = if self.complete { verdict.is_complete() } else { verdict.is_equal() };
        if !is_good {
            return Err(Failure::different(format!("the sides differ in {} keys", verdict.differences())));
        }
        match verdict.unfit {
            0 => Ok(()),
            unfit => Err(Failure::incomplete(format!("{unfit} rows of the source cannot be moved"))),
        }
    }
}

/// Compares both sides and shows the result. With `until`, what differs is looked at again until it is equal or the time
/// is up.
pub async fn compare(
    from: &Side,
    to: &Side,
    overviews: (&Overview, &Overview),
    patience: Duration,
    watch: &mut Watch,
    until: Option<Instant>,
) -> Result<Verdict, Failure> {
    watch.is_waiting = until.is_some();
    watch.progress.begin("comparing", 0, overviews.0.rows().max(overviews.1.rows()));
    let started = Instant::now();
    let verdict = migrate::verify(from, to, overviews, patience, watch).await;
    watch.progress.end();
    let (verdict, seconds) = (verdict?, started.elapsed().as_secs_f64());
    if watch.as_json {
        event("compared", json!({ "verdict": json(&verdict), "seconds": seconds }))?;
        return watch.settle(from, to, verdict, until).await;
    }
    let Verdict { equal, missing, extra, older, newer, other, unfit } = verdict;
    let mut line = format!("{equal} keys are equal");
    for (count, words) in [
        (missing, DifferenceKind::Missing.words()),
        (older, DifferenceKind::Older.words()),
        (newer, DifferenceKind::Newer.words()),
        (other, DifferenceKind::Other.words()),
        (extra, DifferenceKind::Extra.words()),
        (unfit, "cannot be moved"),
    ] {
        if count > 0 {
            line.push_str(&format!(", {count} {words}"));
        }
    }
    print(&format!("{line}; compared in {seconds:.1} s, {:.0} rows/s", verdict.keys() as f64 / seconds.max(0.001)))?;
    watch.settle(from, to, verdict, until).await
}

/// Shows differences, the first ones of them.
pub struct Watch {
    progress: Progress,
    as_json: bool,
    /// Whether the destination may have rows of its own and newer ones.
    complete: bool,
    /// Whether differences are noted, and not shown yet.
    is_waiting: bool,
    differences: Vec<Difference>,
    shown: u64,
}

impl Watch {
    pub fn new(as_json: bool, complete: bool) -> Self {
        let progress = Progress::new(as_json);
        Self { progress, as_json, complete, is_waiting: false, differences: Vec::new(), shown: 0 }
    }

    /// Looks again at what differed, and says what is left of it.
    async fn settle(
        &mut self,
        from: &Side,
        to: &Side,
        verdict: Verdict,
        until: Option<Instant>,
    ) -> Result<Verdict, Failure> {
        let (Some(until), found) = (until, self.differences.len()) else { return Ok(verdict) };
        let mut left = std::mem::take(&mut self.differences);
        // Where there are more, what was noted of them is not all.
        while found < FEW && !left.is_empty() && Instant::now() + PAUSE < until {
            tokio::time::sleep(PAUSE).await;
            left = migrate::verify_again(from, to, left).await?;
            left.retain(|difference| self.counts(difference));
        }
        if found > 0 && left.is_empty() {
            match found {
                keys if self.as_json => event("settled", json!({ "keys": keys }))?,
                1 => print("1 key that differed was being written, and is equal now")?,
                keys => print(&format!("{keys} keys that differed were being written, and are equal now"))?,
            }
            return Ok(Verdict { equal: verdict.keys(), unfit: verdict.unfit, ..Verdict::default() });
        }
        self.is_waiting = false;
        for difference in &left {
            self.differs(difference).map_err(|error| Failure::failed(error.to_string()))?;
        }
        Ok(verdict)
    }

    fn counts(&self, difference: &Difference) -> bool {
        !self.complete || matches!(difference.kind, DifferenceKind::Missing | DifferenceKind::Older)
    }
}

impl VerifyObserver for Watch {
    fn compared(&mut self, verdict: &Verdict) -> io::Result<()> {
        self.progress.at(verdict.keys(), || json(verdict)).map_err(failed)
    }

    fn differs(&mut self, difference: &Difference) -> io::Result<()> {
        if self.is_waiting {
            if self.counts(difference) && self.differences.len() < FEW {
                self.differences.push(difference.clone());
            }
            return Ok(());
        }
        if self.shown == SHOWN || !self.counts(difference) {
            return Ok(());
        }
        self.shown += 1;
        if self.as_json {
            let columns: Vec<_> = difference
                .columns
                .iter()
                .map(|(name, one, other)| json!({ "column": name, "from": one, "to": other }))
                .collect();
            let fields = json!({
                "table": difference.table.name(), "key": files::key(difference.table, &difference.key),
                "what": difference.kind.words(), "columns": columns,
            });
            return event("difference", fields).map_err(failed);
        }
        self.progress.end();
        print(&line(difference)).map_err(failed)
    }
}

fn line(difference: &Difference) -> String {
    let key = &difference.key;
    let mut line = match (difference.table, &key.thread_id) {
        (Table::MessageStates, Some(thread)) => {
            format!("channel {} thread {}", escaped(&key.channel_id), escaped(thread))
        }
        (Table::MessageStates, None) => format!("channel {}", escaped(&key.channel_id)),
        (Table::ThreadOwnerships, _) => format!("ownership of thread {}", escaped(&key.channel_id)),
    };
    line.push_str(&format!(": {}", difference.kind.words()));
    for (name, one, other) in &difference.columns {
        line.push_str(&format!("; {name} {} -> {}", escaped(one), escaped(other)));
    }
    line
}

fn json(verdict: &Verdict) -> Value {
    let Verdict { equal, missing, extra, older, newer, other, unfit } = verdict;
    json!({
        "equal": equal, "missing": missing, "extra": extra, "older": older, "newer": newer, "other": other,
        "unfit": unfit, "is_equal": verdict.is_equal(), "is_complete": verdict.is_complete(),
    })
}
