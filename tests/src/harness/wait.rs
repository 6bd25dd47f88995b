//! Waiting for what happens by itself.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

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
