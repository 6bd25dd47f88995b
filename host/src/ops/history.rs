//! What the last minutes were like, noted every few seconds.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::latency::Latencies;
use crate::resilience::ResilientStorage;
use crate::threads::lock;

/// How often it is noted.
pub const STEP: Duration = Duration::from_secs(10);
/// How many notes are kept: fifteen minutes.
pub const STEPS: usize = 90;

/// Latencies of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    pub reads: Latencies,
    pub writes: Latencies,
    /// Operations that failed.
    pub failed: u64,
}

impl Step {
    pub fn and(&self, other: &Self) -> Self {
        Self {
            reads: self.reads.and(&other.reads),
            writes: self.writes.and(&other.writes),
            failed: self.failed + other.failed,
        }
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            reads: self.reads.since(&before.reads),
            writes: self.writes.since(&before.writes),
            failed: self.failed.saturating_sub(before.failed),
        }
    }

    /// Everything since the storage was made.
    fn of(storage: &ResilientStorage) -> Self {
        storage.observed().iter().fold(Self::default(), |mut all, observed| {
            let sum = if observed.operation.is_write() { &mut all.writes } else { &mut all.reads };
            *sum = sum.and(&observed.latencies);
            if observed.outcome.error().is_some() {
                all.failed += observed.latencies.count();
            }
            all
        })
    }
}

/// The steps of late.
pub struct History(Mutex<Noted>);

struct Noted {
    steps: VecDeque<Step>,
    last: Step,
}

impl History {
    /// Begins with what comes from now on. Outside a runtime nothing is noted but when the page is read.
    pub fn begin(storage: &Arc<ResilientStorage>) -> Arc<Self> {
        let noted = Noted { steps: VecDeque::new(), last: Step::of(storage) };
        let history = Arc::new(Self(Mutex::new(noted)));
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(note(Arc::downgrade(&history), Arc::downgrade(storage)));
        }
        history
    }

    fn note(&self, storage: &ResilientStorage) {
        let now = Step::of(storage);
        let mut noted = lock(&self.0);
        let step = now.since(&noted.last);
        if noted.steps.len() == STEPS {
            noted.steps.pop_front();
        }
        noted.steps.push_back(step);
        noted.last = now;
    }

    /// The steps of late, the newest last, which has only begun.
    pub fn steps(&self, storage: &ResilientStorage) -> Vec<Step> {
        let noted = lock(&self.0);
        let begun = Step::of(storage).since(&noted.last);
        noted.steps.iter().copied().chain([begun]).collect()
    }
}

/// Ends with the router or the storage, whichever is first.
async fn note(history: Weak<History>, storage: Weak<ResilientStorage>) {
    loop {
        tokio::time::sleep(STEP).await;
        let (Some(history), Some(storage)) = (history.upgrade(), storage.upgrade()) else { return };
        history.note(&storage);
    }
}
