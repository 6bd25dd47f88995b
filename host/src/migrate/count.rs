//! Rows that were read beside rows that are there. What an index lacks, and what a server cuts off without a word, is missing
//! from every page alike: two sides that are read the same way compare equal without it.

use super::error::Result;
use super::side::Side;

/// Compares the rows that were read of a side with those that it had `before`, and where it was written meanwhile with those
/// that it has now.
///
/// # Errors
///
/// [`MigrateError::Miscounted`](super::MigrateError::Miscounted) where it never had so many.
pub(super) async fn compare(side: &Side, read: u64, before: u64) -> Result<()> {
    if read == before {
        return Ok(());
    }
    let after = side.survey().await?.rows();
    if is_plausible(read, before, after) { Ok(()) } else { Err(side.miscounted(read, after)) }
}

/// Whether so many rows can be all that there were while their number went from one to the other.
pub(super) fn is_plausible(read: u64, before: u64, after: u64) -> bool {
    (before.min(after)..=before.max(after)).contains(&read)
}

#[cfg(test)]
mod tests {
    use super::is_plausible;

    #[test]
    fn rows_may_come_and_go_while_they_are_read_but_not_be_fewer_than_ever() {
        for (read, before, after, expected) in
            [(4, 4, 4, true), (2, 4, 4, false), (5, 4, 6, true), (5, 6, 4, true), (3, 4, 6, false), (7, 4, 6, false)]
        {
            assert_eq!(is_plausible(read, before, after), expected, "{read} of {before} to {after}");
        }
    }
}
