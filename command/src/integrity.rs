//! Looking through a file for damage, and showing that it goes on.

use std::pin::pin;
use std::time::Duration;

use cofferdam::Integrity;
use serde_json::{Value, json};
use tokio::time::{Instant, interval};

use crate::failure::Failure;
use crate::progress::Progress;

/// What is shorter is not shown.
const TICK: Duration = Duration::from_secs(1);

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
    let mut progress = Progress::new();
    loop {
        tokio::select! {
            integrity = &mut look => return integrity,
            _ = ticks.tick() => {}
        }
        let seconds = started.elapsed().as_secs();
        match events {
            Some(events) => events(&json!({ "event": "integrity", "file": name, "seconds": seconds }))?,
            None => progress.say(&format!("checking {name} for damage, {seconds} s")),
        }
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
