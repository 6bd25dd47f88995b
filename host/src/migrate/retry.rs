use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::is_worth_another_try;
use crate::error::Error;

/// The pauses before an operation is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Tries of one operation.
pub(super) struct Retry {
    until: Instant,
    pause: Duration,
}

impl Retry {
    /// Tries for as long as `patience`.
    pub fn new(patience: Duration) -> Self {
        Self { until: Instant::now() + patience, pause: FIRST_PAUSE }
    }

    /// Waits after a failure. `false` where another try is no use, or no time is left for it.
    pub async fn again(&mut self, error: &Error) -> bool {
        if !is_worth_another_try(error) || Instant::now() + self.pause >= self.until {
            return false;
        }
        tracing::debug!(%error, "trying again");
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}
