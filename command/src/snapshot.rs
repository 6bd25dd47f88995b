//! What `export` and `import` share: what they show while they work.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam::snapshot::{BrokenRules, Phase, Progress};
use indicatif::{HumanCount, ProgressBar, ProgressState, ProgressStyle};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output;

/// How often a terminal is drawn on.
const TICK: Duration = Duration::from_millis(100);

/// How often `--json` prints an event, and how often there is a line where no terminal is.
const EVENT: Duration = Duration::from_secs(1);
const LINE: Duration = Duration::from_secs(5);

/// Shows how far the work has come, on standard error or as events.
pub struct Watch {
    pub progress: Arc<Progress>,
    events: Option<Events>,
    /// `exporting` or `importing`.
    doing: &'static str,
    file_bytes: u64,
    bar: Option<ProgressBar>,
    started: Instant,
    shown: Instant,
    /// When the phase began that is under way, and at which row.
    phase: (Phase, Instant),
}

/// Where `--json` prints.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Events {
    StandardOutput,
    /// Where standard output is the snapshot.
    StandardError,
}

impl Events {
    pub fn print(self, event: &Value) -> Result<(), Failure> {
        match self {
            Self::StandardOutput => output::print(&event.to_string()),
            Self::StandardError => {
                let mut out = std::io::stderr().lock();
                writeln!(out, "{event}")
                    .map_err(|error| Failure::failed(format!("standard error cannot be written: {error}")))
            }
        }
    }
}

impl Watch {
    pub fn new(doing: &'static str, events: Option<Events>) -> Self {
        let now = Instant::now();
        let bar = (events.is_none() && std::io::stderr().is_terminal()).then(ProgressBar::new_spinner);
        Self {
            progress: Arc::default(),
            events,
            doing,
            file_bytes: 0,
            bar,
            started: now,
            shown: now,
            phase: (Phase::Waiting, now),
        }
    }

    /// How many bytes there are to verify.
    pub fn set_file_bytes(&mut self, bytes: u64) {
        self.file_bytes = bytes;
    }

    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Does the work and shows its progress.
    pub async fn over<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut ticks = tokio::time::interval(TICK);
        let result = loop {
            tokio::select! {
                result = &mut work => break result,
                _ = ticks.tick() => self.look(),
            }
        };
        self.clear();
        result
    }

    fn look(&mut self) {
        let phase = self.progress.phase();
        if phase != self.phase.0 {
            self.phase = (phase, Instant::now());
            self.dress(phase);
        }
        if let Some(bar) = &self.bar {
            match phase {
                Phase::Verifying => bar.set_position(self.progress.bytes()),
                _ => bar.set_position(self.progress.rows()),
            }
            bar.tick();
        } else if self.shown.elapsed() >= if self.events.is_some() { EVENT } else { LINE } {
            self.shown = Instant::now();
            match self.events {
                // What cannot be shown keeps nothing from going on.
                Some(events) => drop(events.print(&self.event())),
                None => output::say(&self.line()),
            }
        }
    }

    fn dress(&self, phase: Phase) {
        let Some(bar) = &self.bar else { return };
        let total = self.progress.total_rows();
        let template = match phase {
            Phase::Verifying => {
                bar.set_length(self.file_bytes);
                "{msg} [{wide_bar}] {percent}%, {binary_bytes_per_sec}"
            }
            _ if total > 0 => {
                bar.set_length(total);
                "{msg} [{wide_bar}] {human_pos} of {human_len} rows, {rate}, {eta} left"
            }
            _ => "{spinner} {msg} {human_pos} rows, {rate}",
        };
        if phase == Phase::MessageStates {
            bar.reset();
        }
        // The templates are good; a bad one would cost the looks.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.with_key("rate", rate));
        }
        bar.set_message(self.what(phase));
    }

    fn what(&self, phase: Phase) -> String {
        match phase {
            Phase::Waiting => "waiting".into(),
            Phase::Verifying => "verifying".into(),
            Phase::MessageStates => format!("{} states", self.doing),
            Phase::ThreadOwnerships => format!("{} ownerships", self.doing),
            Phase::Done => "finishing".into(),
        }
    }

    fn line(&self) -> String {
        let what = self.what(self.phase.0);
        match (self.phase.0, self.progress.total_rows()) {
            (Phase::Verifying, _) => {
                let (done, all) = (self.progress.bytes(), self.file_bytes);
                format!("{what}: {done} of {all} bytes")
            }
            (_, 0) => format!("{what}: {} rows", self.progress.rows()),
            (_, total) => format!("{what}: {} of {total} rows", self.progress.rows()),
        }
    }

    fn event(&self) -> Value {
        let total = self.progress.total_rows();
        let phase = match self.phase.0 {
            Phase::Waiting => "waiting",
            Phase::Verifying => "verifying",
            Phase::MessageStates => "message_states",
            Phase::ThreadOwnerships => "thread_ownerships",
            Phase::Done => "finishing",
        };
        json!({
            "event": "progress",
            "phase": phase,
            "rows": self.progress.rows(),
            "total_rows": (total > 0).then_some(total),
            "bytes": self.progress.bytes(),
            "seconds": self.seconds(),
        })
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Watch {
    /// A signal drops the work; what it says then must not be written behind a bar.
    fn drop(&mut self) {
        self.clear();
    }
}

/// Rows in a second, without the digits that nobody can read.
fn rate(state: &ProgressState, out: &mut dyn std::fmt::Write) {
    // What cannot be shown keeps nothing from going on.
    let _ = write!(out, "{}/s", HumanCount(state.per_sec() as u64));
}

/// Prints the failure as the last event, if events are wanted.
pub fn reported<T>(events: Option<Events>, result: Result<T, Failure>) -> Result<T, Failure> {
    if let (Some(events), Err(failure)) = (events, &result) {
        events.print(&json!({ "event": "failed", "error": failure.json() }))?;
    }
    result
}

/// Says on standard error which rows break a rule.
pub fn warn_of(broken: &BrokenRules, consequence: &str) {
    for (line, rule) in &broken.first {
        output::say(&format!("cofferdam: line {line}: {}; {consequence}", output::escaped(rule)));
    }
    let more = broken.count - broken.first.len() as u64;
    if more > 0 {
        output::say(&format!("cofferdam: {more} more rows break a rule; {consequence}"));
    }
}

pub fn broken_json(broken: &BrokenRules) -> Value {
    let first: Vec<_> = broken.first.iter().map(|(line, rule)| json!({ "line": line, "rule": rule })).collect();
    json!({ "count": broken.count, "first": first })
}
