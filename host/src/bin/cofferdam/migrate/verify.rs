//! `cofferdam migrate verify`

use std::io;
use std::time::{Duration, Instant};

use clap::Args;
use cofferdam::migrate::{self, Difference, DifferenceKind, Overview, Side, Table, Verdict, VerifyObserver};
use serde_json::{Value, json};

use super::progress::{Progress, event};
use super::run::failed;
use super::{Sides, files, open_to_read, plan};
use crate::check::positive_duration;
use crate::failure::Failure;
use crate::output::{escaped, print};

/// Differences that are shown; all are counted.
const SHOWN: u64 = 10;

/// How long to wait between two comparisons.
const PAUSE: Duration = Duration::from_millis(500);

/// Compares both sides, field by field but for ids. Writes nothing to either.
///
/// A source of an older schema is compared as it would be moved: the newest of several rows of one channel counts.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cofferdam migrate verify --from sqlite:data/bot_state.db --to mysql://bot@db:3306/bot
  cofferdam migrate verify --from sqlite:data/bot_state.db --to mysql://bot@db:3306/bot --wait 5m

Exit codes:
  0  both sides are equal
  1  it failed
  2  wrong usage, environment, plugin or file
  3  a database is away or too slow
  4  there is no such file
  6  equal, but for rows of the source that cannot be moved
  7  they differ")]
pub struct Verify {
    #[command(flatten)]
    sides: Sides,
    /// Let the destination have rows of its own and newer ones: everything was moved that is to be moved
    #[arg(long)]
    complete: bool,
    /// Compare again and again until both sides are equal, for at most this long
    #[arg(long, value_name = "DURATION", value_parser = positive_duration)]
    wait: Option<Duration>,
    /// How long to keep trying while a database is away or too busy
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = super::patience)]
    patience: Duration,
    /// Print events as JSON, one a line
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub async fn run(self) -> Result<(), Failure> {
        let (from, to) = open_to_read(&self.sides).await?;
        let until = self.wait.map(|wait| Instant::now() + wait);
        let verdict = loop {
            let planned = plan(&from, &to).await?;
            let overviews = (&planned.from, &planned.to);
            let verdict = compare(&from, &to, overviews, self.patience, self.json, self.complete).await?;
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

/// Compares both sides and shows the result. `complete` leaves out what the destination may have of its own.
pub async fn compare(
    from: &Side,
    to: &Side,
    overviews: (&Overview, &Overview),
    patience: Duration,
    as_json: bool,
    complete: bool,
) -> Result<Verdict, Failure> {
    let mut watch = Watch { progress: Progress::new(as_json), as_json, complete, shown: 0 };
    watch.progress.begin("comparing", 0, overviews.0.rows().max(overviews.1.rows()));
    let started = Instant::now();
    let verdict = migrate::verify(from, to, overviews, patience, &mut watch).await;
    watch.progress.end();
    let (verdict, seconds) = (verdict?, started.elapsed().as_secs_f64());
    if as_json {
        event("compared", json!({ "verdict": json(&verdict), "seconds": seconds }))?;
        return Ok(verdict);
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
    Ok(verdict)
}

struct Watch {
    progress: Progress,
    as_json: bool,
    complete: bool,
    shown: u64,
}

impl VerifyObserver for Watch {
    fn compared(&mut self, verdict: &Verdict) -> io::Result<()> {
        self.progress.at(verdict.keys(), || json(verdict)).map_err(failed)
    }

    fn differs(&mut self, difference: &Difference) -> io::Result<()> {
        let is_own = !matches!(difference.kind, DifferenceKind::Missing | DifferenceKind::Older);
        if self.shown == SHOWN || self.complete && is_own {
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
