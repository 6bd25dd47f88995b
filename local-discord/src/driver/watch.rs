//! What a test sees of what happened.

use std::time::Duration;

use super::Discord;
use crate::record::{Entry, What};
use crate::report::Report;

impl Discord {
    /// Connections to the gateway there are.
    pub fn connections(&self) -> usize {
        self.app.lock().gateway.open.len()
    }

    /// Everything that happened so far.
    pub fn record(&self) -> Vec<Entry> {
        self.record_after(0)
    }

    /// What happened after the entry with this number.
    pub fn record_after(&self, number: u64) -> Vec<Entry> {
        self.app.lock().record.after(number).to_vec()
    }

    /// What became of the questions.
    pub fn report(&self) -> Report {
        let state = self.app.lock();
        state.questions.report(state.record.after(0))
    }

    /// Waits until every question has an answer, or until `limit` of this machine's time has passed. Says whether they have.
    pub async fn answered(&self, limit: Duration) -> bool {
        let all = async {
            while !self.app.lock().questions.all_answered() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(limit, all).await.is_ok()
    }

    /// Waits until the record has such an entry, or until `limit` of this machine's time has passed. Says whether it has.
    pub async fn happened(&self, limit: Duration, mut such: impl FnMut(&What) -> bool) -> bool {
        let mut seen = 0;
        let wait = async {
            loop {
                let new = self.record_after(seen);
                if new.iter().any(|entry| such(&entry.what)) {
                    return;
                }
                seen += new.len() as u64;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }
}
