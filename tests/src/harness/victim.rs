//! A process of a test's own program that is killed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Set for such a process.
const VARIABLE: &str = "COFFERDAM_TEST_VICTIM";

/// Whether this process is one.
pub fn is_one() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Starts one that runs the test `victim`, and waits for a line on its standard error that begins with `word`. Says what comes
/// after it.
///
/// # Errors
///
/// It does not start, or ends without such a line.
pub fn start(word: &str) -> Result<(Child, String)> {
    let mut victim = Command::new(std::env::current_exe()?)
        .args(["--exact", "victim", "--nocapture"])
        .env(VARIABLE, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut output = BufReader::new(victim.stderr.take().context("output")?);
    let mut line = String::new();
    loop {
        line.clear();
        ensure!(output.read_line(&mut line)? > 0, "the victim ended");
        if let Some(rest) = line.strip_prefix(word) {
            return Ok((victim, rest.trim().to_owned()));
        }
    }
}
