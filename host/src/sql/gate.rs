use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::error::{ErrorKind, Result, SqlError};
use crate::latency::Histogram;

/// Counts what is out of a pool, and closes the pool once all of it is back.
#[derive(Default)]
pub(super) struct Gate {
    closed: AtomicBool,
    out: AtomicUsize,
    returned: Notify,
}

impl Gate {
    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Counts one more, as long as the ticket lives.
    pub fn ticket(self: &Arc<Self>) -> Ticket {
        self.out.fetch_add(1, Ordering::AcqRel);
        Ticket(Arc::clone(self))
    }

    /// Closes the gate and waits for the tickets that are out, at the longest until `deadline`.
    pub async fn close(&self, deadline: Instant) {
        self.closed.store(true, Ordering::Release);
        loop {
            let returned = self.returned.notified();
            if self.out.load(Ordering::Acquire) == 0 || timeout_at(deadline, returned).await.is_err() {
                return;
            }
        }
    }
}

/// Waits for one of a pool's permits until `deadline`, and no longer than `longest`. `None` where the pool was closed.
/// `of_what` names the pool's connections, for the error;
/// `acquired` learns how long it took.
pub(super) async fn permit(
    permits: &Arc<Semaphore>,
    waiting: &Arc<AtomicUsize>,
    acquired: &Histogram,
    deadline: Instant,
    longest: Duration,
    of_what: impl FnOnce() -> String,
) -> Result<Option<OwnedSemaphorePermit>> {
    if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
        acquired.add_nothing();
        return Ok(Some(permit));
    }
    let _waiting = Counted::new(waiting);
    let began = Instant::now();
    let limit = began + longest;
    let permit = timeout_at(deadline.min(limit), Arc::clone(permits).acquire_owned()).await;
    acquired.add(began.elapsed());
    match permit {
        Ok(permit) => Ok(permit.ok()),
        Err(_) if deadline <= limit => Err(SqlError::timeout("waiting for a connection")),
        Err(_) => {
            let message = format!("none of the {} became free within {longest:?}", of_what());
            Err(SqlError::new(ErrorKind::Unavailable, message))
        }
    }
}

/// Something that has to come back before the pool may close.
pub(super) struct Ticket(Arc<Gate>);

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.0.out.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.returned.notify_waiters();
        }
    }
}

/// One of those that a counter counts, as long as this lives.
pub(super) struct Counted(Arc<AtomicUsize>);

impl Counted {
    /// Counts one more.
    pub fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
