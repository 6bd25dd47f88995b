//! The connections of a listener: how many there may be, and which gives way to a new one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

/// What is known of a connection.
pub struct Entry {
    number: u64,
    /// Whether a request is being answered.
    is_busy: AtomicBool,
    /// Whether a request was answered: a client that has shown that it speaks HTTP.
    has_served: AtomicBool,
    /// When that changed last, in milliseconds since the start of the roll.
    since: AtomicU64,
    start: Instant,
    leave: Notify,
}

impl Entry {
    pub fn begin(&self) {
        self.is_busy.store(true, Ordering::Relaxed);
    }

    pub fn end(&self) {
        self.since.store(milliseconds(self.start), Ordering::Relaxed);
        self.has_served.store(true, Ordering::Relaxed);
        self.is_busy.store(false, Ordering::Relaxed);
    }

    pub fn is_busy(&self) -> bool {
        self.is_busy.load(Ordering::Relaxed)
    }

    pub fn has_served(&self) -> bool {
        self.has_served.load(Ordering::Relaxed)
    }

    /// Ends once the connection is to make room.
    pub async fn left(&self) {
        self.leave.notified().await;
    }
}

fn milliseconds(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// All connections of a listener.
pub struct Roll {
    most: usize,
    start: Instant,
    next: AtomicU64,
    entries: Mutex<HashMap<u64, Arc<Entry>>>,
}

/// A place on the roll, until this is dropped.
pub struct Place {
    roll: Arc<Roll>,
    entry: Arc<Entry>,
}

impl Place {
    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.roll.entries().remove(&self.entry.number);
    }
}

impl Roll {
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, start: Instant::now(), next: AtomicU64::new(0), entries: Mutex::default() })
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<u64, Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests are being answered.
    pub fn busy(&self) -> usize {
        self.entries().values().filter(|entry| entry.is_busy()).count()
    }

    /// Gives a connection a place. If all are taken, the one that has been idle longest leaves, those first that have never
    /// sent a request. `None` if all are busy.
    pub fn enter(self: &Arc<Self>) -> Option<Place> {
        let mut entries = self.entries();
        if entries.len() >= self.most && !make_room(&mut entries) {
            return None;
        }
        let entry = Arc::new(Entry {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            is_busy: AtomicBool::new(false),
            has_served: AtomicBool::new(false),
            since: AtomicU64::new(milliseconds(self.start)),
            start: self.start,
            leave: Notify::new(),
        });
        entries.insert(entry.number, entry.clone());
        Some(Place { roll: self.clone(), entry })
    }

    /// Has the connection leave that would leave next, and says whether there is one.
    pub fn make_room(&self) -> bool {
        make_room(&mut self.entries())
    }
}

fn make_room(entries: &mut HashMap<u64, Arc<Entry>>) -> bool {
    let idle = entries.values().filter(|entry| !entry.is_busy());
    let order = |entry: &&Arc<Entry>| (entry.has_served(), entry.since.load(Ordering::Relaxed), entry.number);
    let Some(number) = idle.min_by_key(order).map(|entry| entry.number) else { return false };
    if let Some(entry) = entries.remove(&number) {
        entry.leave.notify_one();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_connections_give_way_first_and_busy_ones_never() {
        let roll = Roll::new(3);
        let places: Vec<_> = (0..3).filter_map(|_| roll.enter()).collect();
        places[0].entry().begin();
        places[1].entry().begin();
        places[1].entry().end();
        let there = |place: &Place| roll.entries().contains_key(&place.entry().number);
        let new = roll.enter().unwrap();
        assert_eq!(places.iter().map(there).collect::<Vec<_>>(), [true, true, false]);
        new.entry().begin();
        let other = roll.enter().unwrap();
        assert_eq!(places.iter().map(there).collect::<Vec<_>>(), [true, false, false]);
        other.entry().begin();
        assert!(roll.enter().is_none() && !roll.make_room());
        assert_eq!(roll.busy(), 3);
        drop(other);
        assert!(roll.enter().is_some());
    }
}
