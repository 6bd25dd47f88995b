//! Rate limits, kept so that Discord never has to answer 429.
//!
//! The limits of a route are read from each of its answers. Its requests go one after the other, so that the first ones do not
//! find out together.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderMap;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until};

/// Requests of a bot in a second, on all routes.
const A_SECOND: u32 = 50;

/// The limit on all requests.
///
/// A request has its place from when it is sent until a second after its answer. Discord counted it somewhere in between, so
/// no second of Discord's has more requests than there are places, whatever the network does. After a pause they are not all
/// sent at once, so that few are on their way if Discord says to wait.
#[derive(Debug)]
pub struct Places {
    free: Arc<Semaphore>,
    most: u32,
    window: Duration,
    /// When the next request may be sent.
    next: Mutex<Instant>,
}

impl Default for Places {
    fn default() -> Self {
        Self::new(A_SECOND, Duration::from_secs(1))
    }
}

/// The place of a request that is under way.
#[derive(Debug)]
pub struct Place(OwnedSemaphorePermit, Duration);

impl Places {
    fn new(most: u32, window: Duration) -> Self {
        let next = Mutex::new(Instant::now());
        Self { free: Arc::new(Semaphore::new(most as usize)), most, window, next }
    }

    /// Waits for a place; in order, so that no channel waits for ever.
    pub async fn take(&self) -> Option<Place> {
        let permit = self.free.clone().acquire_owned().await.ok()?;
        let mut next = self.next.lock().await;
        sleep_until(*next).await;
        *next = Instant::now() + self.window / (4 * self.most);
        Some(Place(permit, self.window))
    }

    /// A process before this one may have taken all places a moment ago.
    pub fn begin_slowly(&self) {
        if let Ok(permit) = self.free.clone().try_acquire_many_owned(self.most) {
            drop(Place(permit, self.window));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The answer is there, or the request was given up, which does not mean that Discord has not counted it.
        if let (Some(permit), Ok(runtime)) = (self.0.split(self.0.num_permits()), tokio::runtime::Handle::try_current())
        {
            let window = self.1;
            runtime.spawn(async move {
                sleep(window).await;
                drop(permit);
            });
        }
    }
}

/// The limit of one route in one channel.
#[derive(Debug, Default)]
pub struct Bucket {
    limit: Option<Limit>,
}

#[derive(Clone, Copy, Debug)]
struct Limit {
    remaining: u32,
    reset: Instant,
}

impl Bucket {
    /// Nothing may be sent for so long.
    pub fn closed_for(time: Duration) -> Self {
        Self { limit: Some(Limit { remaining: 0, reset: Instant::now() + time }) }
    }

    /// Waits until a request may be sent, and counts it.
    pub async fn wait(&mut self) {
        let Some(limit) = &mut self.limit else { return };
        if limit.remaining == 0 {
            // Counted from when the answer was here, which was later than at Discord.
            sleep_until(limit.reset).await;
        }
        match Instant::now() < limit.reset {
            true => limit.remaining = limit.remaining.saturating_sub(1),
            false => self.limit = None,
        }
    }

    /// Learns from the headers of an answer. If the next request must wait, or the one after it, gives how long.
    pub fn learn(&mut self, headers: &HeaderMap) -> Option<Duration> {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let remaining = header("x-ratelimit-remaining")?.parse().ok()?;
        let reset = header("x-ratelimit-reset-after")?.parse().ok()?;
        let reset = Duration::try_from_secs_f64(reset).ok()?;
        let limit = Limit { remaining, reset: Instant::now() + reset };
        self.limit = Some(limit);
        // A request that a crash interrupts may be counted by Discord and not here: so one of them is left.
        (limit.remaining <= 1).then_some(reset)
    }

    /// Whether it knows nothing that counts any more.
    pub fn is_idle(&self) -> bool {
        self.limit.is_none_or(|limit| limit.reset <= Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 5;
    const WINDOW: Duration = Duration::from_millis(40);

    #[tokio::test]
    async fn no_window_has_more_requests_than_places() {
        let places = Arc::new(Places::new(MOST as u32, WINDOW));
        let start = Instant::now();
        places.begin_slowly();
        let requests: Vec<_> = (0..4 * MOST)
            .map(|_| {
                let places = places.clone();
                tokio::spawn(async move {
                    let place = places.take().await;
                    let sent = start.elapsed();
                    // The answer takes a while.
                    sleep(WINDOW / 8).await;
                    drop(place);
                    sent
                })
            })
            .collect();
        let mut sent = Vec::new();
        for request in requests {
            sent.push(request.await.unwrap());
        }
        sent.sort();
        assert!(sent[0] >= WINDOW, "{sent:?}");
        for window in sent.windows(MOST + 1) {
            assert!(window[MOST] - window[0] >= WINDOW, "{window:?}");
        }
    }

    #[tokio::test]
    async fn a_route_waits_when_nothing_remains() {
        let mut bucket = Bucket::default();
        bucket.wait().await;
        let headers = |remaining: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-ratelimit-remaining", remaining.parse().unwrap());
            headers.insert("x-ratelimit-reset-after", "0.05".parse().unwrap());
            headers
        };
        assert_eq!(bucket.learn(&headers("2")), None);
        assert!(!bucket.is_idle());
        let start = Instant::now();
        assert_eq!(bucket.learn(&headers("0")), Some(Duration::from_millis(50)));
        bucket.wait().await;
        assert!(start.elapsed() >= Duration::from_millis(50));
        assert!(bucket.is_idle());
        bucket.wait().await;
        assert_eq!(bucket.learn(&HeaderMap::new()), None);
    }
}
