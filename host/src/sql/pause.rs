use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Growing pauses between attempts, each between half of its length and all of it, so that those who failed
/// together do not come back together.
pub(super) struct Pause {
    next: Duration,
    longest: Duration,
}

impl Pause {
    /// Pauses that begin with `first` and double up to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// Waits, at the longest until `deadline`. `false` where there is no time left for another attempt.
    pub async fn wait(&mut self, deadline: Instant) -> bool {
        // A fresh hasher is seeded at random: enough to spread attempts, without a dependency.
        let half = self.next / 2;
        let jitter = RandomState::new().hash_one(0) % (half.as_nanos().max(1) as u64);
        sleep_until((Instant::now() + half + Duration::from_nanos(jitter)).min(deadline)).await;
        self.next = (self.next * 2).min(self.longest);
        Instant::now() < deadline
    }
}
