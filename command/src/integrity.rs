//! Looking through a file for damage, and showing that it goes on.

use std::io::{IsTerminal, Write};
use std::pin::pin;
use std::time::Duration;

use cofferdam::Integrity;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::time::{Instant, interval};

use crate::failure::Failure;
use crate::output::escaped;

/// What is shorter is not shown.
const TICK: Duration = Duration::from_secs(1);

/// Where no terminal shows it, a line this often.
const LINE: u64 = 5;

/// The variable that switches the look off, as `--skip-integrity-check` does.
pub const VARIABLE: &str = "COFFERDAM_INTEGRITY_CHECK";

/// Prints an event of a command that prints such.
type PrintEvent = dyn Fn(&Value) -> Result<(), Failure>;

/// Waits for a look through the file `name`, and shows on standard error, or as `events`, that it goes on.
pub async fn shown(
    name: &str,
    look: impl Future<Output = Result<Integrity, Failure>>,
    events: Option<&PrintEvent>,
) -> Result<Integrity, Failure> {
    let mut look = pin!(look);
    let started = Instant::now();
    let mut ticks = interval(TICK);
    ticks.tick().await;
    let mut bar = None;
    loop {
        tokio::select! {
            integrity = &mut look => return integrity,
            _ = ticks.tick() => {}
        }
        let seconds = started.elapsed().as_secs();
        if let Some(events) = events {
            events(&json!({ "event": "integrity", "file": name, "seconds": seconds }))?;
        } else if std::io::stderr().is_terminal() {
            let bar = bar.get_or_insert_with(|| Spinner(ProgressBar::new_spinner()));
            bar.0.set_message(format!("checking {} for damage, {seconds} s", escaped(name)));
            bar.0.tick();
        } else if seconds % LINE == 1 {
            // What cannot be shown keeps nothing from going on.
            let _ = writeln!(std::io::stderr(), "checking {} for damage, {seconds} s", escaped(name));
        }
    }
}

/// A spinner that goes when it is dropped.
struct Spinner(ProgressBar);

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// For people; nothing of a server.
pub fn words(integrity: Integrity) -> Option<&'static str> {
    match integrity {
        Integrity::Sound => Some("passed the integrity check"),
        Integrity::Skipped => {
            Some("was not checked for damage, because of --skip-integrity-check or COFFERDAM_INTEGRITY_CHECK")
        }
        Integrity::Nothing => None,
    }
}

/// For scripts: whether the file is known to be whole, and nothing of a server.
pub fn json(integrity: Integrity) -> Value {
    match integrity {
        Integrity::Sound => "sound".into(),
        Integrity::Skipped => "skipped".into(),
        Integrity::Nothing => Value::Null,
    }
}
