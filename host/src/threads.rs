//! Threads for work that blocks, on a machine that may have too few of them.
//!
//! Tokio's blocking threads do not work on such a machine: if not even the first can be created, tokio panics, and if only its
//! workers exist, the work waits for one of them to end, which never happens.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

/// How long a thread waits for more to do.
const IDLE: Duration = Duration::from_secs(10);

/// The most threads. What comes while all are at work waits for one of them.
const MOST: usize = 512;

type Job = Box<dyn FnOnce() + Send>;

/// The result of work on another thread.
#[must_use]
#[derive(Debug)]
pub struct Task<T>(oneshot::Receiver<T>);

/// The work panicked.
#[derive(Debug, thiserror::Error)]
#[error("the thread ended early")]
pub struct Ended;

impl<T> Future for Task<T> {
    type Output = Result<T, Ended>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(|_| Ended)
    }
}

/// Starts work on another thread. Dropping the task does not stop it.
///
/// If no thread can be created, the work runs here before this returns, and a multi-threaded runtime is told so.
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Task<T> {
    let (job, task) = prepare(work);
    if let Err((job, error)) = POOL.begin(job) {
        tracing::debug!(%error, "no thread can be created: blocking work runs on the thread of its caller");
        run_slow(|| run(job));
    }
    task
}

/// Starts work on another thread, for work that waits for its caller.
///
/// # Errors
///
/// No thread can be created; see [`limit::explain`](crate::limit::explain).
pub fn try_spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<Task<T>> {
    let (job, task) = prepare(work);
    POOL.begin(job).map_err(|(_, error)| error)?;
    Ok(task)
}

/// What is in a mutex, also where a thread has panicked with it: nothing here is left half changed by a panic.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs what may take long, such as opening a file, on this thread. A multi-threaded runtime is told, so that its
/// other tasks go on.
pub(crate) fn run_slow<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

fn prepare<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> (Job, Task<T>) {
    let (done, result) = oneshot::channel();
    let runtime = Handle::try_current().ok();
    let job = Box::new(move || {
        let _entered = runtime.as_ref().map(Handle::enter);
        // Nobody wants the result of one that was given up.
        let _ = done.send(work());
    });
    (job, Task(result))
}

/// A job that panics does so alone: its owner sees that there is no result.
fn run(job: Job) {
    let _ = catch_unwind(AssertUnwindSafe(job));
}

static POOL: Pool =
    Pool { state: Mutex::new(State { queue: VecDeque::new(), idle: 0, threads: 0 }), arrived: Condvar::new() };

struct Pool {
    state: Mutex<State>,
    arrived: Condvar,
}

struct State {
    queue: VecDeque<Job>,
    /// Threads that wait for a job.
    idle: usize,
    threads: usize,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Gives the job back where there is no thread for it.
    fn begin(&'static self, job: Job) -> Result<(), (Job, io::Error)> {
        let mut state = self.lock();
        if state.idle > state.queue.len() || state.threads >= MOST {
            state.queue.push_back(job);
            drop(state);
            self.arrived.notify_one();
            return Ok(());
        }
        state.threads += 1;
        drop(state);
        // The job is not moved into the thread before that is known to run.
        let (give, take) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("cofferdam-work".to_owned());
        match thread.spawn(move || self.work(take.recv().ok())) {
            Ok(_) => {
                // The thread waits for it.
                let _ = give.send(job);
                Ok(())
            }
            Err(error) => {
                self.lock().threads -= 1;
                Err((job, error))
            }
        }
    }

    fn work(&self, first: Option<Job>) {
        first.into_iter().for_each(run);
        let mut state = self.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                run(job);
                state = self.lock();
                continue;
            }
            state.idle += 1;
            let (back, waited) = self.arrived.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = back;
            state.idle -= 1;
            if waited.timed_out() && state.queue.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_runs_elsewhere_and_a_panic_is_its_own() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let here = std::thread::current().id();
            let there = spawn(move || std::thread::current().id()).await.unwrap();
            assert_ne!(here, there);
            assert!(spawn(|| panic!("on purpose")).await.is_err());
            // Two that wait for each other are on two threads.
            let (say, hear) = std::sync::mpsc::channel();
            let (answer, answered) = std::sync::mpsc::channel();
            let first = try_spawn(move || answer.send(hear.recv().unwrap()).unwrap()).unwrap();
            let second = try_spawn(move || {
                say.send(7).unwrap();
                answered.recv().unwrap()
            });
            assert_eq!(second.unwrap().await.unwrap(), 7);
            first.await.unwrap();
        });
    }
}
