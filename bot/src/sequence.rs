//! Which events of a session have been dealt with. A session that is resumed from there is sent again what was in hand when
//! the process ended; one resumed from the last event *received* would lose it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The events of one session of the gateway.
#[derive(Debug, Default)]
pub struct Sequences(Mutex<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    received: u64,
    in_hand: BTreeSet<u64>,
}

impl Sequences {
    /// A session whose events up to this one have been dealt with.
    pub fn after(received: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Numbers { received, in_hand: BTreeSet::new() })))
    }

    /// Everything up to this event has arrived.
    pub fn received(&self, sequence: u64) {
        self.numbers(|numbers| numbers.received = numbers.received.max(sequence));
    }

    /// Takes an event in hand, before it is reported as received.
    pub fn take(self: &Arc<Self>, sequence: u64) -> Ticket {
        self.numbers(|numbers| numbers.in_hand.insert(sequence));
        Ticket(Arc::new(Event { sequences: self.clone(), sequence, holders: AtomicUsize::new(1) }))
    }

    /// The last event up to which everything has been dealt with.
    pub fn handled(&self) -> u64 {
        self.numbers(|numbers| numbers.in_hand.first().map_or(numbers.received, |first| first.saturating_sub(1)))
    }

    fn numbers<T>(&self, look: impl FnOnce(&mut Numbers) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An event that is in hand. It is dealt with once every copy is [`done`](Self::done), and never if one is dropped before:
/// what is given up in the middle, by a stop or a panic, is to be sent again.
#[derive(Debug)]
pub struct Ticket(Arc<Event>);

#[derive(Debug)]
struct Event {
    sequences: Arc<Sequences>,
    sequence: u64,
    holders: AtomicUsize,
}

impl Ticket {
    /// This share has been dealt with. True for the last of them.
    pub fn done(self) -> bool {
        let is_last = self.0.holders.fetch_sub(1, Ordering::AcqRel) == 1;
        if is_last {
            self.0.sequences.numbers(|numbers| numbers.in_hand.remove(&self.0.sequence));
        }
        is_last
    }
}

impl Clone for Ticket {
    fn clone(&self) -> Self {
        self.0.holders.fetch_add(1, Ordering::AcqRel);
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handled_ends_before_the_first_event_in_hand() {
        let sequences = Sequences::after(7);
        assert_eq!(sequences.handled(), 7);
        let (first, second) = (sequences.take(8), sequences.take(9));
        sequences.received(10);
        assert_eq!(sequences.handled(), 7);
        assert!(second.done());
        assert_eq!(sequences.handled(), 7);
        assert!(first.done());
        assert_eq!(sequences.handled(), 10);
    }

    #[test]
    fn an_event_of_several_holders_waits_for_all_and_a_dropped_one_for_ever() {
        let sequences = Sequences::after(0);
        let ticket = sequences.take(1);
        let other = ticket.clone();
        sequences.received(1);
        assert!(!ticket.done());
        assert_eq!(sequences.handled(), 0);
        assert!(other.done());
        assert_eq!(sequences.handled(), 1);
        drop(sequences.take(2));
        sequences.received(5);
        assert_eq!(sequences.handled(), 1);
    }
}
