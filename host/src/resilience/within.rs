//! Operations whose callers wait for less than the configuration lets them take.

use tokio::time::{Instant, timeout_at};

use super::ResilientStorage;
use super::attempt::late;
use crate::error::Result;

tokio::task_local! {
    static DEADLINE: Instant;
}

impl ResilientStorage {
    /// Runs one of this storage's operations, whose caller waits until `deadline`, and cancels it then. The configuration's own
    /// deadline still applies. A write that the database does not take leaves itself time for the spool, so that its caller
    /// hears that it is spooled, and not that it is late:
    ///
    /// ```no_run
    /// # async fn example(storage: cofferdam::ResilientStorage, state: cofferdam::MessageState) -> cofferdam::Result<()> {
    /// use std::time::Duration;
    /// use cofferdam::StorageService;
    /// use tokio::time::Instant;
    ///
    /// let deadline = Instant::now() + Duration::from_secs(1);
    /// storage.within(deadline, storage.upsert_message_state(&state)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the operation, and [`Timeout`](crate::ErrorKind::Timeout) at the deadline. Whether a write took effect is
    /// unknown then.
    pub async fn within<T>(&self, deadline: Instant, operation: impl Future<Output = Result<T>>) -> Result<T> {
        match timeout_at(deadline, DEADLINE.scope(deadline, operation)).await {
            Ok(result) => result,
            Err(_) => Err(late(None)),
        }
    }
}

/// The deadline of the caller, where it is before this one.
pub(super) fn earlier_than(deadline: Instant) -> Option<Instant> {
    DEADLINE.try_with(|given| *given).ok().filter(|given| *given < deadline)
}
