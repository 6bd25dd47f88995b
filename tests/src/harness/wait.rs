//! Waiting for what happens by itself.

use std::time::Duration;

use anyhow::{Result, bail};
use cofferdam::{ErrorKind, Written};
use tokio::time::Instant;

/// For what happens by itself: far more than it takes.
pub const SOON: Duration = Duration::from_secs(20);

/// Asks until the answer is yes; the interval between two questions is a few milliseconds.
///
/// # Errors
///
/// The answer is still no after `limit`, which is there so that a test ends, and not to measure anything.
pub async fn until(what: &str, limit: Duration, mut condition: impl AsyncFnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + limit;
    while !condition().await {
        if Instant::now() >= deadline {
            bail!("{what}: not so after {limit:?}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Writes until the spool has it: little of an operation's time is left for that where the database is locked, and callers whose
/// deadline has passed try again.
///
/// # Errors
///
/// The write is stored, or fails by anything but its deadline.
pub async fn until_spooled(mut write: impl AsyncFnMut() -> cofferdam::Result<Written<()>>) -> Result<()> {
    let deadline = Instant::now() + SOON;
    loop {
        match write().await {
            Ok(Written::Spooled) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Timeout && Instant::now() < deadline => {}
            other => bail!("a write that is to be spooled: {other:?}"),
        }
    }
}
