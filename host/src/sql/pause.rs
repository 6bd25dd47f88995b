use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{Instant, sleep, sleep_until};

/// Growing pauses between attempts, each between half of its length and all of it, so that those who failed
/// together do not come back together.
pub(super) struct Pause(<ExponentialBuilder as BackoffBuilder>::Backoff);

impl Pause {
    /// Pauses that begin with `first` and double up to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        // The jitter comes on top: up to as much again.
        let half = ExponentialBuilder::new().with_min_delay(first / 2).with_max_delay(longest / 2);
        Self(half.with_jitter().without_max_times().build())
    }

    /// Waits for the next pause.
    pub async fn once(&mut self) {
        if let Some(pause) = self.0.next() {
            sleep(pause).await;
        }
    }

    /// Waits, at the longest until `deadline`. `false` where there is no time left for another attempt.
    pub async fn wait(&mut self, deadline: Instant) -> bool {
        let Some(pause) = self.0.next() else { return false };
        sleep_until((Instant::now() + pause).min(deadline)).await;
        Instant::now() < deadline
    }
}
