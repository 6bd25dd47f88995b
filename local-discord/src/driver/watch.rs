//! What a test sees of what happened.

use std::time::Duration;

use super::Discord;
use crate::app::State;
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

    /// The number of the last entry, after which the next ones come; 0 if there is none.
    pub fn recorded(&self) -> u64 {
        self.app.lock().record.after(0).len() as u64
    }

    /// Waits until every question has an answer, or until `limit` of this machine's time has passed. Says whether they have.
    pub async fn answered(&self, limit: Duration) -> bool {
        self.until(limit, |state| state.questions.all_answered()).await
    }

    /// Waits until the record has such an entry, or until `limit` of this machine's time has passed. Says whether it has.
    pub async fn happened(&self, limit: Duration, such: impl FnMut(&What) -> bool) -> bool {
        self.happened_after(0, limit, such).await
    }

    /// The same of entries after that with this number.
    pub async fn happened_after(&self, number: u64, limit: Duration, mut such: impl FnMut(&What) -> bool) -> bool {
        let mut seen = number;
        self.until(limit, |state| {
            let new = state.record.after(seen);
            seen += new.len() as u64;
            new.iter().any(|entry| such(&entry.what))
        })
        .await
    }

    async fn until(&self, limit: Duration, mut so: impl FnMut(&State) -> bool) -> bool {
        let mut changes = self.app.lock().record.changes();
        let wait = async {
            while !so(&self.app.lock()) {
                // The sender is part of what is locked.
                let _ = changes.changed().await;
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }
}
