//! Where short work runs: on the thread of the caller, and out of the way of a runtime's other tasks as soon as it
//! turns out not to be short.
//!
//! A statement that touches a few rows takes some microseconds, while telling a multi-threaded runtime that a thread is
//! going to block (`block_in_place`) costs tens of them, because another thread takes over. So nothing is told as long
//! as the file answers from memory; a disk that does not keep up costs one slow statement out of some dozens.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::threads::run_slow;

/// What a runtime's other tasks can be made to wait for without notice: well beyond any statement that finds its pages
/// in memory, also where the thread had to wait for the processor in between.
const SLOW: Duration = Duration::from_millis(2);

/// How many pieces of work are taken for slow after one that was.
const WARY: u32 = 32;

/// The recent speed of one kind of work.
#[derive(Default)]
pub(super) struct Pace {
    /// Pieces of work still to be taken for slow.
    wary: AtomicU32,
}

impl Pace {
    /// Runs what should be short.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let wary = self.wary.load(Ordering::Relaxed);
        let result = if wary == 0 { work() } else { run_slow(work) };
        if started.elapsed() >= SLOW {
            self.wary.store(WARY, Ordering::Relaxed);
        } else if wary > 0 {
            self.wary.store(wary - 1, Ordering::Relaxed);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_statement_makes_the_next_ones_wary_for_a_while() {
        let pace = Pace::default();
        let wary = || pace.wary.load(Ordering::Relaxed);
        pace.run(|| std::thread::sleep(SLOW));
        assert_eq!(wary(), WARY);
        // A busy machine may make any of them slow.
        assert!((0..100_000).any(|_| pace.run(|| wary() == 0)));
    }

    #[test]
    fn slow_work_leaves_the_runtime_to_the_other_tasks() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (say, heard) = std::sync::mpsc::channel();
        let pace = Pace::default();
        pace.run(|| std::thread::sleep(SLOW));
        runtime.block_on(async {
            let slow = tokio::spawn(async move {
                tokio::spawn(async move { say.send(()) });
                // Without notice the only worker would wait here for a task that needs it.
                pace.run(|| heard.recv_timeout(Duration::from_secs(30)))
            });
            slow.await.unwrap().unwrap();
        });
    }
}
