//! Writes that arrive together share one commit.
//!
//! A write is put into a queue; then its owner waits for the writer. Whoever gets that first, the leader, runs all
//! that is in the queue in one transaction and hands every result to its owner. All of it happens without an
//! `await`, so that dropping the leader's future cannot cut a group in half.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::codes;
use super::guard::host;
use super::others::busy_pause;
use super::pool::{Held, Pool};
use super::queue::Job;
use super::raw::Raw;
use crate::sql::error::{ErrorKind, Result, SqlError};
use crate::sql::{Statement, Value};

/// Runs a write, alone or in a group.
pub(super) async fn execute(
    pool: &Arc<Pool>,
    statement: &Statement,
    parameters: Vec<Value>,
    deadline: Instant,
) -> Result<u64> {
    pool.check_open()?;
    let (done, mut result) = oneshot::channel();
    let job = Job { statement: statement.clone(), parameters, deadline, done };
    // Nobody else on this thread can arrive while a group runs: let them come first. For one who writes alone that
    // would be time lost.
    if pool.queue.push(job) {
        tokio::task::yield_now().await;
    }
    let mut turn = pin!(pool.writer_lock().lock_owned());
    let turn_or_result = std::future::poll_fn(|cx| {
        if let Poll::Ready(result) = Pin::new(&mut result).poll(cx) {
            return Poll::Ready(Err(result));
        }
        turn.as_mut().poll(cx).map(Ok)
    });
    let waiting = pool.count_waiting();
    let turn = timeout_at(deadline, turn_or_result).await.map_err(|_| pool.waited_too_long())?;
    drop(waiting);
    match turn {
        Ok(guard) => lead(pool, Held::Writer(pool.writer_lease(guard, deadline).await?), result, deadline).await,
        Err(result) => result.unwrap_or_else(|_| Err(abandoned())),
    }
}

/// Runs groups until one of them held the leader's own write.
async fn lead(
    pool: &Arc<Pool>,
    held: Held,
    mut result: oneshot::Receiver<Result<u64>>,
    deadline: Instant,
) -> Result<u64> {
    let mut pause = busy_pause();
    let mut was_busy = false;
    loop {
        match result.try_recv() {
            Ok(Err(error)) if was_busy && error.kind == ErrorKind::Timeout => return Err(pool.busy()),
            Ok(result) => return result,
            Err(oneshot::error::TryRecvError::Closed) => return Err(abandoned()),
            Err(oneshot::error::TryRecvError::Empty) => {}
        }
        match pool.group_pace.run(|| held.raw().and_then(|raw| run_group(pool, raw))) {
            Ok(()) => {}
            Err(error) if codes::is_busy(&error) => {
                let _blocked = pool.others.block();
                was_busy = true;
                if !pause.wait(deadline).await {
                    return Err(pool.busy());
                }
            }
            Err(error) => return Err(error),
        }
    }
}

fn abandoned() -> SqlError {
    SqlError::new(ErrorKind::Unavailable, "the database was closed before the statement ran")
}

/// Runs what is in the queue. Fails where another process holds the lock; then everything is still in the queue.
fn run_group(pool: &Pool, raw: &Raw) -> Result<()> {
    let mut jobs = pool.queue.take();
    if jobs.len() < 2 {
        return match jobs.pop() {
            Some(job) => run_alone(pool, raw, job),
            None => Ok(()),
        };
    }
    match raw.host(host::BEGIN_IMMEDIATE) {
        Ok(()) => {}
        Err(error) if codes::is_busy(&error) => {
            pool.queue.put_back(jobs);
            return Err(error);
        }
        Err(error) => {
            report(jobs.into_iter().map(|job| (job.done, Err(error.clone()))));
            return Ok(());
        }
    }
    let mut results = Vec::with_capacity(jobs.len());
    for index in 0..jobs.len() {
        let result = run_apart(raw, &jobs[index]);
        if !raw.in_transaction() {
            // The error ended the transaction, and took along what the jobs before had done: they, and those
            // after, run again, each for itself.
            let culprit = jobs.remove(index);
            report([(culprit.done, result)]);
            return run_each_alone(pool, raw, jobs);
        }
        results.push(result);
    }
    if let Err(error) = raw.host(host::COMMIT) {
        if raw.roll_back() && !raw.is_spoiled() {
            // A constraint that is checked at the end, such as a deferred foreign key: whose fault it is shows only
            // when each commits for itself.
            return run_each_alone(pool, raw, jobs);
        }
        results = results.into_iter().map(|result| result.and_then(|_| Err(error.clone()))).collect();
    }
    pool.tally.add(jobs.len());
    report(jobs.into_iter().map(|job| job.done).zip(results));
    Ok(())
}

/// Runs a job of a group so that it fails alone.
fn run_apart(raw: &Raw, job: &Job) -> Result<u64> {
    raw.host(host::SAVEPOINT)?;
    let result = job.run(raw);
    if !raw.in_transaction() {
        return result;
    }
    if result.is_err() {
        raw.host(host::ROLLBACK_TO)?;
    }
    raw.host(host::RELEASE)?;
    result
}

fn run_each_alone(pool: &Pool, raw: &Raw, jobs: Vec<Job>) -> Result<()> {
    let mut jobs = jobs.into_iter();
    while let Some(job) = jobs.next() {
        if let Err(error) = run_alone(pool, raw, job) {
            pool.queue.put_back_behind_first(jobs.collect());
            return Err(error);
        }
    }
    Ok(())
}

fn run_alone(pool: &Pool, raw: &Raw, job: Job) -> Result<()> {
    match job.run(raw) {
        Err(error) if codes::is_busy(&error) => {
            pool.queue.put_back(vec![job]);
            Err(error)
        }
        result => {
            report([(job.done, result)]);
            Ok(())
        }
    }
}

/// An owner that is gone does not want its result.
fn report(results: impl IntoIterator<Item = (oneshot::Sender<Result<u64>>, Result<u64>)>) {
    for (done, result) in results {
        let _ = done.send(result);
    }
}
