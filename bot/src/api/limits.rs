//! The limits of all requests: those of Discord's headers, and those of its answers of 429.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::header::{HeaderMap, RETRY_AFTER};
use tokio::time::{Instant, sleep_until};
use twilight_http::api_error::RatelimitedApiError;
use twilight_http::routing::Route;

use super::pace::{Bucket, Places};
use crate::journal::Journal;

/// The limits.
#[derive(Debug)]
pub struct Limits {
    /// The limit on all requests.
    pub places: Places,
    /// The limit of each route, in each channel.
    buckets: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Bucket>>>>,
    /// Until when nothing is sent, after a 429 of the global limit.
    hold: Mutex<Option<Instant>>,
    journal: Arc<Journal>,
}

impl Limits {
    /// Those that the journal knows of another life, and all others anew.
    pub fn new(journal: Arc<Journal>) -> Self {
        Self { places: Places::default(), buckets: Mutex::default(), hold: Mutex::default(), journal }
    }

    /// The limit of the route with this name.
    pub fn bucket(&self, name: &str) -> Arc<tokio::sync::Mutex<Bucket>> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() > 10_000 {
            buckets.retain(|_, bucket| bucket.try_lock().map_or(true, |bucket| !bucket.is_idle()));
        }
        if let Some(bucket) = buckets.get(name) {
            return bucket.clone();
        }
        // The process before this one may have used it up.
        let left = self.journal.wait_of(name);
        let bucket = if left.is_zero() { Bucket::default() } else { Bucket::closed_for(left) };
        buckets.entry(name.to_owned()).or_insert(Arc::new(tokio::sync::Mutex::new(bucket))).clone()
    }

    /// A process that comes after this one is to wait for this route.
    pub fn keep(&self, name: &str, time: Duration) {
        self.journal.keep_wait(name, time);
    }

    /// Nothing is sent for so long.
    pub fn hold(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        *hold = Some(hold.map_or(until, |before| before.max(until)));
    }

    /// Waits until something may be sent again.
    pub async fn wait_for_hold(&self) {
        loop {
            let hold = *self.hold.lock().unwrap_or_else(PoisonError::into_inner);
            match hold {
                Some(until) if until > Instant::now() => sleep_until(until).await,
                _ => return,
            }
        }
    }
}

/// What a route's limit is called: it is of its own in each channel.
pub fn name_of(route: &Route<'_>) -> String {
    match route {
        Route::CreateMessage { channel_id } => format!("messages of {channel_id}"),
        Route::CreateThreadFromMessage { channel_id, .. } => format!("threads of {channel_id}"),
        Route::GetMessages { channel_id, .. } => format!("history of {channel_id}"),
        Route::CreateTypingTrigger { channel_id } => format!("typing in {channel_id}"),
        Route::GetChannel { channel_id } => format!("channel {channel_id}"),
        Route::UpdateChannel { channel_id } => format!("changes of {channel_id}"),
        _ => route.to_string(),
    }
}

/// How long a 429 asks to wait, and whether for all routes.
pub fn pause_of(headers: &HeaderMap, body: &[u8]) -> (Duration, bool) {
    let header = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body: Option<RatelimitedApiError> = serde_json::from_slice(body).ok();
    let seconds = body.as_ref().map(|body| body.retry_after).or(header).unwrap_or(5.0);
    let is_global = headers.get("x-ratelimit-scope").is_some_and(|scope| scope == "global");
    let pause = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(60));
    // Without a document it is a ban, and not Discord's own answer.
    (pause + Duration::from_millis(10), is_global || body.is_none_or(|body| body.global))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_429_says_how_long_and_for_what() {
        let mut headers = HeaderMap::new();
        let body = br#"{"message": "You are being rate limited.", "retry_after": 1.5, "global": false}"#;
        assert_eq!(pause_of(&headers, body), (Duration::from_millis(1510), false));
        headers.insert(RETRY_AFTER, "7".parse().unwrap());
        assert_eq!(pause_of(&headers, b"<html>"), (Duration::from_millis(7010), true));
        headers.insert("x-ratelimit-scope", "global".parse().unwrap());
        assert!(pause_of(&headers, body).1);
    }
}
