//! Counting what a client sends.

use std::collections::VecDeque;

/// What a connection is allowed to send: so many frames in so long.
#[derive(Debug)]
pub(crate) struct Frames {
    limit: usize,
    window_ms: u64,
    sent: VecDeque<u64>,
}

impl Frames {
    pub(crate) fn new(limit: u32, window_ms: u64) -> Self {
        Self { limit: usize::try_from(limit).unwrap_or(usize::MAX), window_ms, sent: VecDeque::new() }
    }

    /// Counts one more; false if it is one too many.
    pub(crate) fn count(&mut self, now_ms: u64) -> bool {
        while self.sent.front().is_some_and(|sent| now_ms.saturating_sub(*sent) >= self.window_ms) {
            self.sent.pop_front();
        }
        self.sent.push_back(now_ms);
        self.sent.len() <= self.limit
    }
}
