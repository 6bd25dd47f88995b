//! What waits in the spool, in memory: reads look here before they believe the database.

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
        match write {
            SpooledWrite::State(_) => Key::of(write).is_some_and(|key| self.rows.contains_key(&key)),
            SpooledWrite::Ownership(_) => {
                !self.cleanups.is_empty() || Key::of(write).is_some_and(|key| self.rows.contains_key(&key))
            }
            SpooledWrite::Cleanup { .. } => !self.cleanups.is_empty() || self.ownerships > 0,
        }
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
}
