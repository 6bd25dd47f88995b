//! Which rows of an import win.

use std::collections::BTreeMap;

use crate::bindings::exports::cofferdam::storage::transfer::{ImportOutcome, OnEqual};

/// How many rows one statement covers. Few different numbers, so that few texts are prepared. A thousand rows are at most
/// 7,000 parameters, of which SQLite takes 32,766 and MySQL 65,535, and at most 3 MB, of which MariaDB takes 16.
pub(crate) const SIZES: [usize; 4] = [1000, 100, 10, 1];

/// The most keys that one statement looks for: SQLite takes conditions that are nested 1,000 deep.
pub(crate) const FIND: usize = 100;

/// The keys of an import in their order, what is stored for each, and which row is to be written.
///
/// The order is what keeps two imports that run at the same time from locking the same rows in different orders.
pub(crate) struct Merge<K> {
    keys: BTreeMap<K, Slot>,
}

#[derive(Default)]
struct Slot {
    updated_at: Option<i64>,
    winner: Option<usize>,
}

impl<K: Ord> Merge<K> {
    pub fn new(keys: impl Iterator<Item = K>) -> Self {
        Self { keys: keys.map(|key| (key, Slot::default())).collect() }
    }

    pub fn keys(&self) -> impl ExactSizeIterator<Item = &K> {
        self.keys.keys()
    }

    /// Notes what the database has. A key that nobody asked for is of no interest.
    pub fn stored(&mut self, key: K, updated_at: i64) {
        if let Some(slot) = self.keys.get_mut(&key) {
            slot.updated_at = Some(updated_at);
        }
    }

    /// What becomes of each row, one after another, and the positions of those to be written, in the order of their
    /// keys.
    pub fn decide(mut self, rows: impl Iterator<Item = (K, i64)>, on_equal: OnEqual) -> (ImportOutcome, Vec<usize>) {
        let mut outcome = ImportOutcome { inserted: 0, replaced: 0, kept: 0 };
        for (position, (key, updated_at)) in rows.enumerate() {
            let slot = self.keys.entry(key).or_default();
            match slot.updated_at {
                None => outcome.inserted += 1,
                Some(stored) if stored < updated_at => outcome.replaced += 1,
                Some(stored) if stored == updated_at && on_equal == OnEqual::Replace => outcome.replaced += 1,
                Some(_) => {
                    outcome.kept += 1;
                    continue;
                }
            }
            slot.updated_at = Some(updated_at);
            slot.winner = Some(position);
        }
        (outcome, self.keys.into_values().filter_map(|slot| slot.winner).collect())
    }
}

/// Cuts a list into pieces of few different sizes.
pub(crate) fn pieces<T>(mut all: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = SIZES.into_iter().find(|size| *size <= all.len())?;
        let (piece, rest) = all.split_at(size);
        all = rest;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(stored: &[(&str, i64)], rows: &[(&str, i64)]) -> ([u64; 3], Vec<usize>) {
        decide_with(stored, rows, OnEqual::Keep)
    }

    fn decide_with(stored: &[(&str, i64)], rows: &[(&str, i64)], on_equal: OnEqual) -> ([u64; 3], Vec<usize>) {
        let mut merge = Merge::new(rows.iter().map(|row| row.0));
        for (key, updated_at) in stored {
            merge.stored(key, *updated_at);
        }
        let (outcome, winners) = merge.decide(rows.iter().copied(), on_equal);
        ([outcome.inserted, outcome.replaced, outcome.kept], winners)
    }

    #[test]
    fn the_greater_time_wins_and_equal_keeps() {
        let stored = [("older", 1), ("equal", 2), ("newer", 3)];
        assert_eq!(decide(&stored, &[("older", 2), ("equal", 2), ("newer", 2), ("none", 2)]), ([1, 1, 2], vec![3, 0]));
    }

    #[test]
    fn equal_can_be_replaced_and_greater_cannot() {
        let stored = [("older", 1), ("equal", 2), ("newer", 3)];
        let rows = [("older", 2), ("equal", 2), ("newer", 2), ("twice", 2), ("twice", 2)];
        assert_eq!(decide_with(&stored, &rows, OnEqual::Replace), ([1, 3, 1], vec![1, 0, 4]));
    }

    #[test]
    fn a_key_that_comes_twice_is_decided_one_after_the_other() {
        assert_eq!(decide(&[], &[("a", 2), ("a", 1), ("a", 3), ("a", 3)]), ([1, 1, 2], vec![2]));
        assert_eq!(decide(&[("a", 9)], &[("a", 2), ("a", 1)]), ([0, 0, 2], vec![]));
    }

    #[test]
    fn rows_are_written_in_the_order_of_their_keys() {
        assert_eq!(decide(&[], &[("c", 1), ("a", 1), ("b", 1)]).1, [1, 2, 0]);
        let mut merge = Merge::new([("a", Some("x")), ("a", None), ("A", Some(""))].into_iter());
        merge.stored(("z", None), 1);
        assert_eq!(merge.keys().copied().collect::<Vec<_>>(), [("A", Some("")), ("a", None), ("a", Some("x"))]);
    }

    #[test]
    fn pieces_have_few_sizes_and_cover_everything() {
        let all: Vec<usize> = (0..1234).collect();
        let sizes: Vec<usize> = pieces(&all).map(<[usize]>::len).collect();
        assert_eq!(sizes, [1000, 100, 100, 10, 10, 10, 1, 1, 1, 1]);
        assert_eq!(pieces(&all).flatten().copied().collect::<Vec<_>>(), all);
        assert_eq!(pieces::<u8>(&[]).count(), 0);
    }
}
