//! Rows that were read beside rows that are there. What a backend or a server cuts off without a word is missing from every
//! page alike: two sides that are read the same way compare equal without it.

use super::error::Result;
use super::side::Side;
use crate::model::migration::Overview;

/// Compares the rows that were read of a side with those that it had `before`. Of one that was written meanwhile nothing can be
/// told: rows come and go on either side of the place that is being read.
///
/// # Errors
///
/// [`MigrateError::Miscounted`](super::MigrateError::Miscounted) where nobody wrote and they differ.
pub(super) async fn compare(side: &Side, read: u64, before: &Overview) -> Result<()> {
    if read == before.rows() {
        return Ok(());
    }
    let after = side.survey().await?;
    let is_still = (before.message_states, before.thread_ownerships) == (after.message_states, after.thread_ownerships);
    if is_still { Err(side.miscounted(read, after.rows())) } else { Ok(()) }
}
