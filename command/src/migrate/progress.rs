//! How far it is: a bar on a terminal, a line now and then elsewhere, events for scripts.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::machine;
use crate::output::{print, say};

/// Where no terminal shows it, a line this often.
const INTERVAL: Duration = Duration::from_secs(5);

/// For scripts, an event this often.
const EVENTS: Duration = Duration::from_secs(1);

/// How often a terminal shows that something is still going on.
const SPIN: Duration = Duration::from_millis(100);

/// Shows one thing after the other.
pub struct Progress {
    as_json: bool,
    bar: Option<ProgressBar>,
    what: &'static str,
    total: u64,
    started: Instant,
    /// What was done before it began.
    before: u64,
    last: Instant,
}

impl Progress {
    pub fn new(as_json: bool) -> Self {
        let now = Instant::now();
        Self { as_json, bar: None, what: "", total: 0, started: now, before: 0, last: now }
    }

    /// Something begins, of which `before` of `total` rows are done.
    pub fn begin(&mut self, what: &'static str, before: u64, total: u64) {
        self.end();
        let now = Instant::now();
        (self.what, self.total, self.before, self.started, self.last) = (what, total, before, now, now);
        if self.as_json || !std::io::stderr().is_terminal() {
            return;
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        if let Ok(style) =
            ProgressStyle::with_template("{msg:>9} [{bar:32}] {human_pos} of {human_len} rows, {per_sec}, {eta} left")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what);
        bar.set_position(before);
        bar.reset_eta();
        self.bar = Some(bar);
    }

    /// So many rows are done, with more about them for scripts.
    pub fn at(&mut self, rows: u64, more: impl FnOnce() -> Value) -> Result<(), Failure> {
        if let Some(bar) = &self.bar {
            bar.set_length(self.total.max(rows));
            bar.set_position(rows);
            return Ok(());
        }
        if self.last.elapsed() < if self.as_json { EVENTS } else { INTERVAL } {
            return Ok(());
        }
        self.last = Instant::now();
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = rows.saturating_sub(self.before) as f64 / seconds.max(0.001);
        let left = self.total.saturating_sub(rows) as f64 / rate.max(1.0);
        if self.as_json {
            let mut fields = Map::new();
            fields.insert("what".into(), self.what.into());
            fields.insert("rows".into(), rows.into());
            fields.insert("total".into(), self.total.into());
            fields.insert("rows_per_second".into(), (rate.round() as u64).into());
            fields.insert("seconds_left".into(), (left.round() as u64).into());
            fields.insert("more".into(), more());
            return event("progress", Value::Object(fields));
        }
        say(&format!("{}: {rows} of {} rows, {rate:.0} rows/s, {left:.0} s left", self.what, self.total));
        Ok(())
    }

    /// All rows are done, and something without steps of its own follows.
    pub fn last_step(&mut self, what: &'static str) -> Result<(), Failure> {
        match &self.bar {
            Some(bar) => {
                if let Ok(style) = ProgressStyle::with_template("{msg} {spinner} {elapsed}") {
                    bar.set_style(style);
                }
                bar.set_message(what);
                // By a thread of its own.
                if machine::can_make_threads(1).is_ok() {
                    bar.enable_steady_tick(SPIN);
                }
            }
            None if self.as_json => event("progress", json!({ "what": what }))?,
            None => say(what),
        }
        Ok(())
    }

    /// Nothing happens any more.
    pub fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

/// Prints an event, in one line.
pub fn event(name: &str, fields: Value) -> Result<(), Failure> {
    let mut event = json!({ "event": name });
    if let (Value::Object(event), Value::Object(fields)) = (&mut event, fields) {
        event.extend(fields);
    }
    print(&event.to_string())
}

/// A failure to show something, in the words of an observer.
pub fn failed(failure: Failure) -> io::Error {
    io::Error::other(failure.to_string())
}
