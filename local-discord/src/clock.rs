//! The time that a local Discord goes by.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::Instant;

/// A clock that runs, stands still, or runs faster, and that can be set. Clones show the same time.
///
/// It is read through tokio's clock, so a test with paused time sees paused time here.
#[derive(Clone, Debug)]
pub struct Clock {
    reading: Arc<watch::Sender<Reading>>,
}

/// Since `anchor`, `rate` seconds have passed for each second; at `anchor` it was `at` after the Unix epoch.
#[derive(Clone, Copy, Debug)]
struct Reading {
    anchor: Instant,
    at: Duration,
    rate: f64,
}

impl Reading {
    fn now(&self) -> Duration {
        self.at + self.anchor.elapsed().mul_f64(self.rate)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl Clock {
    /// The time of this machine.
    pub fn system() -> Self {
        Self::new(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), 1.0)
    }

    /// A clock that stands at `at` (after the Unix epoch) until it is advanced.
    pub fn stopped(at: Duration) -> Self {
        Self::new(at, 0.0)
    }

    /// A clock that starts at `at` (after the Unix epoch) and runs `rate` times as fast as that of this machine. A rate that is
    /// negative or no number counts as 0.
    pub fn new(at: Duration, rate: f64) -> Self {
        let rate = sound(rate);
        Self { reading: Arc::new(watch::Sender::new(Reading { anchor: Instant::now(), at, rate })) }
    }

    /// The time since the Unix epoch.
    pub fn now(&self) -> Duration {
        self.reading.borrow().now()
    }

    /// The time since the Unix epoch in milliseconds.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.now().as_millis()).unwrap_or(u64::MAX)
    }

    /// Moves the clock forward. Everything that waits for a time in between goes on.
    pub fn advance(&self, by: Duration) {
        self.change(|reading| reading.at += by);
    }

    /// Sets the clock to a time after the Unix epoch.
    pub fn set(&self, at: Duration) {
        self.change(|reading| reading.at = at);
    }

    /// Lets the clock run `rate` times as fast as that of this machine; 0 stops it.
    pub fn set_rate(&self, rate: f64) {
        self.change(|reading| reading.rate = sound(rate));
    }

    fn change(&self, change: impl FnOnce(&mut Reading)) {
        self.reading.send_modify(|reading| {
            *reading = Reading { anchor: Instant::now(), at: reading.now(), rate: reading.rate };
            change(reading);
        });
    }

    /// Waits until this clock shows `at`.
    pub async fn sleep_until(&self, at: Duration) {
        let mut changes = self.reading.subscribe();
        loop {
            let reading = *changes.borrow_and_update();
            let left = at.saturating_sub(reading.now());
            if left.is_zero() {
                return;
            }
            // A millisecond more than nothing, so that rounding makes no busy loop.
            let wait = (reading.rate > 0.0).then(|| left.div_f64(reading.rate).max(Duration::from_millis(1)));
            tokio::select! {
                _ = changes.changed() => {}
                () = sleep(wait) => {}
            }
        }
    }

    /// Waits for `time` on this clock.
    pub async fn sleep(&self, time: Duration) {
        self.sleep_until(self.now() + time).await;
    }
}

fn sound(rate: f64) -> f64 {
    if rate.is_finite() { rate.max(0.0) } else { 0.0 }
}

async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
