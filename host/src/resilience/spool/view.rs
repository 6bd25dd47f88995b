//! What waits in the spool, in memory: reads look here before they believe the database.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use super::entry::{SpoolEntry, SpooledWrite};
use crate::model::{MessageKey, MessageState, ThreadOwnership};

/// What identifies a write: a later one takes the place of the one before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::resilience) enum Key {
    State(MessageKey),
    Ownership(String),
}

impl Key {
    pub fn of(write: &SpooledWrite) -> Option<Self> {
        match write {
            SpooledWrite::State(state) => Some(Self::state(&state.channel_id, state.thread_id.as_deref())),
            SpooledWrite::Ownership(ownership) => Some(Self::Ownership(ownership.thread_id.clone())),
            SpooledWrite::Cleanup { .. } => None,
        }
    }

    fn state(channel_id: &str, thread_id: Option<&str>) -> Self {
        Self::State(MessageKey { channel_id: channel_id.to_owned(), thread_id: thread_id.map(str::to_owned) })
    }
}

/// Whether a write has to queue up behind others: one of its row, or a cleanup that may remove it, or what it may remove.
pub(super) fn queues_up(
    write: &SpooledWrite,
    has_row: impl FnOnce(&Key) -> bool,
    has_ownerships: bool,
    has_cleanups: bool,
) -> bool {
    let has_row = || Key::of(write).is_some_and(|key| has_row(&key));
    match write {
        SpooledWrite::State(_) => has_row(),
        SpooledWrite::Ownership(_) => has_cleanups || has_row(),
        SpooledWrite::Cleanup { .. } => has_cleanups || has_ownerships,
    }
}

/// Every write in the spool by its number, and the newest of each row.
#[derive(Clone, Default)]
pub struct View {
    entries: BTreeMap<i64, SpoolEntry>,
    rows: HashMap<Key, i64>,
    /// Cleanups: their numbers and cutoffs.
    cleanups: BTreeMap<i64, i64>,
    ownerships: usize,
}

impl View {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Every write, the oldest first.
    pub fn into_entries(self) -> Vec<SpoolEntry> {
        self.entries.into_values().collect()
    }

    /// Whether a write is still here.
    pub fn holds(&self, sequence: i64) -> bool {
        self.entries.contains_key(&sequence)
    }

    /// When the oldest of them was accepted.
    pub fn oldest(&self) -> Option<i64> {
        self.entries.values().map(|entry| entry.accepted_at).next()
    }

    /// The numbers of those that a new write makes superfluous: the row's earlier one, or earlier cleanups that
    /// remove no more.
    pub fn superseded(&self, write: &SpooledWrite) -> Vec<i64> {
        match write {
            SpooledWrite::Cleanup { cutoff } => {
                self.cleanups.iter().filter(|(_, earlier)| *earlier <= cutoff).map(|(sequence, _)| *sequence).collect()
            }
            _ => Key::of(write).and_then(|key| self.rows.get(&key).copied()).into_iter().collect(),
        }
    }

    pub fn add(&mut self, entry: SpoolEntry) {
        for earlier in self.superseded(&entry.write) {
            self.remove(earlier);
        }
        match &entry.write {
            SpooledWrite::Cleanup { cutoff } => drop(self.cleanups.insert(entry.sequence, *cutoff)),
            SpooledWrite::Ownership(_) => self.ownerships += 1,
            SpooledWrite::State(_) => {}
        }
        if let Some(key) = Key::of(&entry.write) {
            self.rows.insert(key, entry.sequence);
        }
        self.entries.insert(entry.sequence, entry);
    }

    pub fn remove(&mut self, sequence: i64) -> Option<SpoolEntry> {
        let entry = self.entries.remove(&sequence)?;
        match &entry.write {
            SpooledWrite::Cleanup { .. } => drop(self.cleanups.remove(&sequence)),
            SpooledWrite::Ownership(_) => self.ownerships -= 1,
            SpooledWrite::State(_) => {}
        }
        if let Some(key) = Key::of(&entry.write) {
            self.rows.remove(&key);
        }
        Some(entry)
    }

    /// Whether a later write to the row of this one waits.
    pub fn has_later(&self, entry: &SpoolEntry) -> bool {
        let waiting = Key::of(&entry.write).and_then(|key| self.rows.get(&key));
        waiting.is_some_and(|sequence| *sequence > entry.sequence)
    }

    /// Writes that may go to the database before those that wait in front of them: of rows that no cleanup in between removes.
    pub fn movable(&self) -> impl DoubleEndedIterator<Item = &SpoolEntry> {
        self.entries.values().filter(|entry| match &entry.write {
            SpooledWrite::State(_) => true,
            SpooledWrite::Ownership(row) => self.keeps(row),
            SpooledWrite::Cleanup { .. } => false,
        })
    }

    /// The oldest writes, up to `limit`: one cleanup, or those before the next one.
    pub fn oldest_writes(&self, limit: usize) -> Vec<SpoolEntry> {
        let cleanup = self.cleanups.keys().next();
        let before = self.entries.values().take(limit).take_while(|entry| Some(&entry.sequence) != cleanup);
        let before: Vec<_> = before.cloned().collect();
        if before.is_empty() { self.entries.values().take(1).cloned().collect() } else { before }
    }

    /// Whether a write to this row, or of this kind, has to queue up behind one that waits.
    pub fn precedes(&self, write: &SpooledWrite) -> bool {
        queues_up(write, |key| self.rows.contains_key(key), self.ownerships > 0, !self.cleanups.is_empty())
    }

    pub fn state(&self, channel_id: &str, thread_id: Option<&str>) -> Option<&MessageState> {
        let sequence = self.rows.get(&Key::state(channel_id, thread_id))?;
        match &self.entries.get(sequence)?.write {
            SpooledWrite::State(state) => Some(state),
            _ => None,
        }
    }

    /// An ownership that waits. `Some(None)` where a later cleanup removes it.
    pub fn ownership(&self, thread_id: &str) -> Option<Option<&ThreadOwnership>> {
        let sequence = self.rows.get(&Key::Ownership(thread_id.to_owned()))?;
        match &self.entries.get(sequence)?.write {
            SpooledWrite::Ownership(row) => Some(self.survives(row, *sequence).then_some(row)),
            _ => None,
        }
    }

    fn survives(&self, row: &ThreadOwnership, sequence: i64) -> bool {
        self.cleanups.range(sequence..).all(|(_, cutoff)| row.creation_time >= *cutoff)
    }

    /// The cutoffs of the cleanups that wait.
    pub fn cleanups(&self) -> Vec<i64> {
        self.cleanups.values().copied().collect()
    }

    /// Whether a row that is in the database outlives the cleanups that wait.
    pub fn keeps(&self, stored: &ThreadOwnership) -> bool {
        self.survives(stored, i64::MIN)
    }

    /// The first states that wait with a key greater than `after`, up to `limit`, in the order of their keys.
    pub fn states_after(&self, after: Option<&MessageKey>, limit: usize) -> Vec<(MessageKey, Option<MessageState>)> {
        let key =
            |row: &MessageState| MessageKey { channel_id: row.channel_id.clone(), thread_id: row.thread_id.clone() };
        let later = self.entries.values().filter_map(|entry| match &entry.write {
            SpooledWrite::State(row) => {
                let is_later =
                    |after: &MessageKey| (&row.channel_id, &row.thread_id) > (&after.channel_id, &after.thread_id);
                after.is_none_or(is_later).then_some(row)
            }
            _ => None,
        });
        let order =
            |a: &&MessageState, b: &&MessageState| (&a.channel_id, &a.thread_id).cmp(&(&b.channel_id, &b.thread_id));
        first(later.collect(), limit, order).into_iter().map(|row| (key(row), Some(row.clone()))).collect()
    }

    /// As [`states_after`](Self::states_after), with `None` for an ownership that a later cleanup removes.
    pub fn ownerships_after(&self, after: Option<&str>, limit: usize) -> Vec<(String, Option<ThreadOwnership>)> {
        let later = self.entries.iter().filter_map(|(sequence, entry)| match &entry.write {
            SpooledWrite::Ownership(row) => {
                after.is_none_or(|after| *row.thread_id > *after).then_some((*sequence, row))
            }
            _ => None,
        });
        let shown = |(sequence, row): (i64, &ThreadOwnership)| {
            (row.thread_id.clone(), self.survives(row, sequence).then(|| row.clone()))
        };
        first(later.collect(), limit, |a, b| a.1.thread_id.cmp(&b.1.thread_id)).into_iter().map(shown).collect()
    }

    /// The database's states with those that wait in their place.
    pub fn over_states(&self, stored: Vec<MessageState>, shown: impl Fn(&MessageState) -> bool) -> Vec<MessageState> {
        let waits = |row: &MessageState| self.rows.contains_key(&Key::state(&row.channel_id, row.thread_id.as_deref()));
        let waiting = self.entries.values().filter_map(|entry| match &entry.write {
            SpooledWrite::State(state) if shown(state) => Some(state.clone()),
            _ => None,
        });
        let mut rows: Vec<_> = stored.into_iter().filter(|row| !waits(row)).chain(waiting).collect();
        rows.sort_by(|a, b| {
            let newest = b.last_seen_timestamp.cmp(&a.last_seen_timestamp);
            newest.then_with(|| (&a.channel_id, &a.thread_id).cmp(&(&b.channel_id, &b.thread_id)))
        });
        rows
    }

    /// The database's ownerships with those that wait in their place, without those that a cleanup removes.
    pub fn over_ownerships(&self, stored: Vec<ThreadOwnership>) -> Vec<ThreadOwnership> {
        let waits = |row: &ThreadOwnership| self.rows.contains_key(&Key::Ownership(row.thread_id.clone()));
        let waiting = self.entries.iter().filter_map(|(sequence, entry)| match &entry.write {
            SpooledWrite::Ownership(row) if self.survives(row, *sequence) => Some(row.clone()),
            _ => None,
        });
        let mut rows: Vec<_> = stored.into_iter().filter(|row| !waits(row) && self.keeps(row)).chain(waiting).collect();
        rows.sort_by(|a, b| b.creation_time.cmp(&a.creation_time).then_with(|| a.thread_id.cmp(&b.thread_id)));
        rows
    }
}

/// The first of them, sorted. All of them may be many.
fn first<T>(mut all: Vec<T>, limit: usize, order: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    if limit < all.len() {
        all.select_nth_unstable_by(limit, &order);
        all.truncate(limit);
    }
    all.sort_unstable_by(order);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(writes: impl IntoIterator<Item = SpooledWrite>) -> View {
        let mut view = View::default();
        for (sequence, write) in (1..).zip(writes) {
            view.add(SpoolEntry { sequence, accepted_at: sequence, write });
        }
        view
    }

    fn state(channel: &str, seen: i64) -> SpooledWrite {
        SpooledWrite::State(MessageState::new(channel, None, "m", seen))
    }

    fn ownership(thread: &str, made: i64) -> SpooledWrite {
        SpooledWrite::Ownership(ThreadOwnership::new(thread, "u", "b", made))
    }

    fn sequences(entries: &[SpoolEntry]) -> Vec<i64> {
        entries.iter().map(|entry| entry.sequence).collect()
    }

    #[test]
    fn a_row_has_one_write_the_last() {
        let view = view([state("a", 1), state("b", 2), state("a", 3)]);
        assert_eq!(view.len(), 2);
        assert_eq!(view.state("a", None).unwrap().last_seen_timestamp, 3);
        assert_eq!(sequences(&view.oldest_writes(9)), [2, 3]);
        assert_eq!(view.oldest(), Some(2));
        assert!(view.precedes(&state("b", 9)) && !view.precedes(&state("c", 9)));
    }

    #[test]
    fn a_cleanup_stands_between_what_was_written_before_and_after() {
        let cleanup = SpooledWrite::Cleanup { cutoff: 10 };
        let mut view = view([ownership("before", 5), cleanup.clone(), ownership("after", 5)]);
        assert_eq!(view.ownership("before"), Some(None));
        assert!(view.ownership("after").unwrap().is_some());
        assert!(view.precedes(&ownership("other", 5)) && view.precedes(&cleanup));
        assert_eq!(sequences(&view.oldest_writes(9)), [1]);
        view.remove(1);
        assert_eq!(sequences(&view.oldest_writes(9)), [2]);
        view.remove(2);
        assert_eq!(sequences(&view.oldest_writes(9)), [3]);
    }

    #[test]
    fn a_cleanup_takes_the_place_of_those_that_remove_no_more() {
        let cleanup = |cutoff| SpooledWrite::Cleanup { cutoff };
        assert_eq!(view([cleanup(5), cleanup(7)]).len(), 1);
        assert_eq!(view([cleanup(7), cleanup(5)]).len(), 2);
    }

    #[test]
    fn lists_show_what_waits_in_their_order() {
        let view = view([state("b", 5), ownership("new", 9), SpooledWrite::Cleanup { cutoff: 4 }]);
        let stored = vec![MessageState::new("a", None, "x", 5), MessageState::new("b", None, "x", 9)];
        let states = view.over_states(stored, |_| true);
        let shown: Vec<_> = states.iter().map(|row| (&*row.channel_id, &*row.last_message_id)).collect();
        assert_eq!(shown, [("a", "x"), ("b", "m")]);
        let stored = vec![ThreadOwnership::new("old", "x", "b", 3), ThreadOwnership::new("kept", "x", "b", 4)];
        let threads: Vec<_> = view.over_ownerships(stored).into_iter().map(|row| row.thread_id).collect();
        assert_eq!(threads, ["new", "kept"]);
    }

    #[test]
    fn rows_that_wait_come_in_the_order_of_their_keys() {
        let cleanup = SpooledWrite::Cleanup { cutoff: 4 };
        let writes = [state("c", 1), ownership("gone", 3), state("a", 1), cleanup, ownership("made", 3), state("b", 1)];
        let view = view(writes);
        let states = |after: Option<&str>, limit| -> Vec<String> {
            let after = after.map(|channel| MessageKey { channel_id: channel.into(), thread_id: None });
            view.states_after(after.as_ref(), limit).into_iter().map(|(key, _)| key.channel_id).collect()
        };
        assert_eq!(states(None, 9), ["a", "b", "c"]);
        assert_eq!(states(None, 2), ["a", "b"]);
        assert_eq!(states(Some("a"), 1), ["b"]);
        let ownerships = view.ownerships_after(None, 9);
        let shown: Vec<_> = ownerships.iter().map(|(key, row)| (&**key, row.is_some())).collect();
        assert_eq!(shown, [("gone", false), ("made", true)]);
        assert_eq!(view.ownerships_after(Some("gone"), 9).len(), 1);
    }
}
