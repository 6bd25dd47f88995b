//! `cofferdam migrate --execute`

use std::io;
use std::time::{Duration, Instant};

use cofferdam::MessageState;
use cofferdam::config::Claim;
use cofferdam::files::is_same;
use cofferdam::migrate::{self, Mode, Observer, Options, Reject, Role, Run, Side, Tally};
use serde_json::json;

use super::files::{self, Lines};
use super::progress::{Progress, event, failed};
use super::{RunOptions, Sides, environment, look_through, open_to_read, plan, spec, verify, without_integrity};
use crate::failure::Failure;
use crate::output::print;

/// How long rows that a bot writes to both sides may be on their way.
const SETTLE: Duration = Duration::from_secs(5);

pub async fn run(sides: &Sides, options: &RunOptions) -> Result<(), Failure> {
    let environment = if options.skip_integrity_check { without_integrity } else { environment };
    let (from, to) = open_to_read(sides, &environment).await?;
    let mut watch = Watch::new(options, &[from.claims("--from"), to.claims("--to")].concat())?;
    let integrity = [look_through(&from, options.json).await?, look_through(&to, options.json).await?];
    let planned = plan(&from, &to).await?;
    if options.json {
        event("plan", super::plan::json(&planned, (&from, &to), integrity))?;
    } else if !options.execute {
        print(&super::plan::text(&planned, &from, &to, integrity))?;
    }
    to.close().await?;
    if !options.execute {
        return Ok(from.close().await?);
    }
    if let Some(obstacle) = planned.obstacle {
        return Err(Failure::usage(obstacle));
    }
    // Its file was looked through just now.
    let to = Side::open(Role::To, &spec("--to", &sides.to)?, Mode::Write, &without_integrity).await?;
    let destination = to.survey().await?;
    watch.total = planned.from.rows();
    let how = Options { stop_on_reject: options.stop_on_reject, patience: options.patience, count: options.no_verify };
    let result = migrate::run(&from, &to, (&planned.from, &destination), how, &mut watch).await;
    watch.progress.end();
    let run = result?;
    watch.tell_end(&run.tally)?;
    let mut verdict = None;
    if !options.no_verify {
        let moved = to.survey().await?;
        let overviews = (&planned.from, &moved);
        let mut watch = verify::Watch::new(options.json, true);
        let until = Some(Instant::now() + SETTLE);
        verdict = Some(verify::compare(&from, &to, overviews, options.patience, &mut watch, until).await?);
    }
    to.close().await?;
    from.close().await?;
    if verdict.is_some_and(|verdict| !verdict.is_complete()) {
        return Err(Failure::different(
            "rows of the source are missing in the destination, because the source was written meanwhile: the same \
             command moves them",
        ));
    }
    match run.tally.rejected {
        0 => Ok(()),
        rejected => Err(Failure::incomplete(format!(
            "{rejected} rows cannot be moved: {} lists them, each with its reason",
            options.rejects.display()
        ))),
    }
}

/// Writes down and shows what happens.
struct Watch {
    progress: Progress,
    report: Lines,
    rejects: Lines,
    as_json: bool,
    total: u64,
    started: Instant,
    before: u64,
}

impl Watch {
    /// `claims` are the files of both sides.
    fn new(options: &RunOptions, claims: &[Claim]) -> Result<Self, Failure> {
        let report = Lines::new("--report", &options.report, claims)?;
        let rejects = Lines::new("--rejects", &options.rejects, claims)?;
        if is_same(report.path(), rejects.path()) {
            return Err(Failure::usage("--rejects and --report are the same file: give each its own file"));
        }
        Ok(Self {
            progress: Progress::new(options.json),
            report,
            rejects,
            as_json: options.json,
            total: 0,
            started: Instant::now(),
            before: 0,
        })
    }

    fn tell_end(&self, tally: &Tally) -> Result<(), Failure> {
        let seconds = self.started.elapsed().as_secs_f64();
        let rows = tally.read - self.before;
        let files = [&self.report, &self.rejects].map(|file| (file.count() > 0).then(|| file.path().to_owned()));
        if self.as_json {
            return event(
                "moved",
                json!({
                    "tally": super::plan::tally(tally), "seconds": seconds, "rows": rows,
                    "report": files[0], "rejects": files[1],
                }),
            );
        }
        let Tally { inserted, replaced, kept, merged, rejected, .. } = tally;
        print(&format!(
            "{inserted} rows inserted, {replaced} replaced, {kept} kept as the destination had them; {rows} rows in \
             {seconds:.1} s, {:.0} rows/s",
            rows as f64 / seconds.max(0.001)
        ))?;
        if let Some(path) = &files[0] {
            print(&format!("{merged} rows were merged into a newer one of the same channel: see {}", path.display()))?;
        }
        if let Some(path) = &files[1] {
            print(&format!("{rejected} rows cannot be moved: see {}", path.display()))?;
        }
        Ok(())
    }
}

fn done(tally: &Tally) -> u64 {
    tally.rows()
}

impl Observer for Watch {
    fn begins(&mut self, run: &Run) -> io::Result<()> {
        self.report.keep(run.tally.merged)?;
        self.rejects.keep(run.tally.rejected)?;
        self.before = run.tally.read;
        self.started = Instant::now();
        self.progress.begin("moving", done(&run.tally), self.total);
        if self.as_json {
            event("begins", super::plan::run(run)).map_err(failed)?;
        }
        Ok(())
    }

    fn merged(&mut self, rows: &[MessageState]) -> io::Result<()> {
        self.report.push(rows.iter().map(files::merged))
    }

    fn rejected(&mut self, rows: &[Reject]) -> io::Result<()> {
        self.rejects.push(rows.iter().map(files::rejected))
    }

    fn written(&mut self, run: &Run) -> io::Result<()> {
        self.progress.at(done(&run.tally), || super::plan::tally(&run.tally)).map_err(failed)
    }

    fn creates_indexes(&mut self) -> io::Result<()> {
        self.progress.last_step("creating indexes").map_err(failed)
    }
}
