//! From the start of the command to its answer.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::runtime::Runtime;

use super::{Finding, Size, median, rounded, say};
use crate::scratch;
use crate::shared::rows::{ROWS, Rows};

/// The variable that names the command. Its plugins are found as the command finds them.
const COMMAND_VARIABLE: &str = "COFFERDAM_BENCH_COMMAND";

/// `cofferdam state get` on a file of 10,000 rows, with compiled code in the cache and with an empty cache.
pub fn take(size: Size) -> Result<Vec<Finding>> {
    let command = scratch::path_from(
        COMMAND_VARIABLE,
        "run `cargo xtask bench`, or build the command with --release and name its file in it",
    )?;
    let (cached_runs, uncached_runs) = size.choose((20, 5), (60, 20));
    say(&format!("starting the command {cached_runs} times with compiled code and {uncached_runs} times without"));
    let folder = Runtime::new()?.block_on(scratch::sqlite())?;
    let rows = Rows::new();
    let cache = tempfile::tempdir()?;
    let run = |index: usize, cache: &Path| {
        let state = rows.state(index as u64);
        let mut command = Command::new(&command);
        command.args(["state", "get", &state.channel_id]).args(&state.thread_id).arg("--json");
        command.env("DATABASE_TYPE", "sqlite").env("DATABASE_PATH", folder.database());
        command.env("COFFERDAM_CACHE", cache.join("compiled"));
        answer(&mut command, &state.last_message_id)
    };
    // Fills the cache, and the system's cache of the files that are read.
    run(0, cache.path())?;
    let (mut cached, mut uncached) = (Vec::new(), Vec::new());
    for index in 0..cached_runs {
        cached.push(run(index, cache.path())?.as_secs_f64() * 1e3);
        if index * uncached_runs / cached_runs != (index + 1) * uncached_runs / cached_runs {
            let empty = tempfile::tempdir()?;
            uncached.push(run(index, empty.path())?.as_secs_f64() * 1e3);
        }
    }
    Ok(vec![finding("start/cached", cached), finding("start/uncached", uncached)])
}

fn finding(probe: &'static str, times: Vec<f64>) -> Finding {
    let details = json!({
        "runs": times.len(),
        "minimum": rounded(times.iter().copied().fold(f64::INFINITY, f64::min)),
        "maximum": rounded(times.iter().copied().fold(0.0, f64::max)),
        "rows": ROWS,
    });
    Finding { probe, value: median(times), unit: "ms", details }
}

/// The time from the start until the answer was read.
fn answer(command: &mut Command, expected: &str) -> Result<Duration> {
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{:?} does not start: does {COMMAND_VARIABLE} name it?", command.get_program()))?;
    let output = BufReader::new(child.stdout.take().context("a command without output")?);
    let mut elapsed = None;
    for line in output.lines() {
        if line?.contains(expected) && elapsed.is_none() {
            elapsed = Some(started.elapsed());
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "the command ended with {status}: are its plugins where COFFERDAM_PLUGINS says?");
    elapsed.context("the command did not print the state")
}
