//! Callers that write numbered values, each to a row of its own, and remember what was acknowledged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cofferdam::{ErrorKind, MessageState, Storage, StorageService};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How many callers there are.
pub const CALLERS: usize = 32;

/// What an operation may take beyond its deadline, where the machine has time for this process.
const GRACE: Duration = Duration::from_millis(100);

/// How often it is looked whether the machine has.
const TICK: Duration = Duration::from_millis(5);

/// The callers at work.
pub struct Load {
    callers: Vec<Arc<Caller>>,
    tasks: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    counts: Arc<Mutex<Counts>>,
    deadline: Duration,
}

/// What one caller knows.
struct Caller {
    name: String,
    acknowledged: AtomicU64,
    attempted: AtomicU64,
}

/// What all callers saw since the last look.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub acknowledged: usize,
    pub failed: BTreeMap<&'static str, usize>,
    pub examples: BTreeMap<&'static str, String>,
    pub longest: Duration,
    /// The longest that the machine left a thread waiting that had nothing to do but to wake up.
    pub starved: Duration,
}

impl Load {
    /// Starts them on a storage whose operations have this deadline.
    pub fn start(storage: &Arc<Storage>, deadline: Duration) -> Self {
        let callers: Vec<_> = (0..CALLERS).map(|caller| Arc::new(Caller::new(caller))).collect();
        let (stop, counts) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Counts>>::default());
        let tasks = callers.iter().map(|caller| {
            let (storage, caller) = (Arc::clone(storage), Arc::clone(caller));
            let (stop, counts) = (Arc::clone(&stop), Arc::clone(&counts));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    caller.write(&storage, &counts).await;
                }
            })
        });
        let tasks = tasks.collect();
        watch_machine(Arc::clone(&stop), Arc::clone(&counts));
        Self { callers, tasks, stop, counts, deadline }
    }

    /// Whether the longest operation took longer than its deadline allows.
    pub fn is_late(&self, counts: &Counts) -> bool {
        counts.longest > self.deadline + GRACE + counts.starved
    }

    /// What was seen since the last look.
    pub fn take_counts(&self) -> Counts {
        std::mem::take(&mut self.counts.lock().unwrap())
    }

    /// Waits until every caller had a write acknowledged from now on; how long that took.
    pub async fn all_served(&self, limit: Duration) -> Duration {
        let began = Instant::now();
        let before: Vec<_> = self.callers.iter().map(|caller| caller.acknowledged.load(Ordering::Relaxed)).collect();
        loop {
            let waiting = self
                .callers
                .iter()
                .zip(&before)
                .filter(|(caller, before)| caller.acknowledged.load(Ordering::Relaxed) <= **before);
            let waiting = waiting.count();
            if waiting == 0 {
                return began.elapsed();
            }
            assert!(began.elapsed() < limit, "{waiting} callers wait: {:?}", self.counts.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Lets every caller end its write.
    pub async fn stop(self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        Ledger(self.callers)
    }
}

impl Caller {
    fn new(caller: usize) -> Self {
        Self { name: format!("caller {caller}"), acknowledged: AtomicU64::new(0), attempted: AtomicU64::new(0) }
    }

    async fn write(&self, storage: &Storage, counts: &Mutex<Counts>) {
        let number = self.attempted.fetch_add(1, Ordering::Relaxed) + 1;
        let state = MessageState::new(self.name.as_str(), None, number.to_string(), 1);
        let began = Instant::now();
        let result = storage.upsert_message_state(&state).await;
        let took = began.elapsed();
        let failed = {
            let mut counts = counts.lock().unwrap();
            counts.longest = counts.longest.max(took);
            match result {
                Ok(_) => {
                    counts.acknowledged += 1;
                    self.acknowledged.store(number, Ordering::Relaxed);
                    false
                }
                Err(error) => {
                    // What a caller cannot mend by trying again would be a broken promise in every fault here.
                    assert!(error.is_retryable(), "{error}");
                    assert_ne!(error.kind(), ErrorKind::Conflict, "the host repeats what lost: {error}");
                    *counts.failed.entry(error.kind().name()).or_default() += 1;
                    counts.examples.insert(error.kind().name(), error.to_string());
                    true
                }
            }
        };
        if failed {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A thread of its own, which nothing in this process holds up.
fn watch_machine(stop: Arc<AtomicBool>, counts: Arc<Mutex<Counts>>) {
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let began = std::time::Instant::now();
            std::thread::sleep(TICK);
            let starved = began.elapsed().saturating_sub(TICK);
            let mut counts = counts.lock().unwrap();
            counts.starved = counts.starved.max(starved);
        }
    });
}

/// What was acknowledged and what was attempted, for each row.
pub struct Ledger(Vec<Arc<Caller>>);

impl Ledger {
    /// How many writes were acknowledged, as far as the callers' last numbers tell.
    pub fn check(&self, node: usize, rows: &BTreeMap<String, u64>) {
        for caller in &self.0 {
            let (acknowledged, attempted) =
                (caller.acknowledged.load(Ordering::Relaxed), caller.attempted.load(Ordering::Relaxed));
            let found = rows.get(&caller.name).copied().unwrap_or(0);
            assert!(
                (acknowledged..=attempted).contains(&found),
                "node {node} has {found} of {}, which was told that {acknowledged} is safe, and wrote up to {attempted}",
                caller.name
            );
        }
        assert_eq!(rows.len(), self.0.len(), "each caller has one row");
    }
}
