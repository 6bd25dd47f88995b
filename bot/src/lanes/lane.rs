//! What waits in one channel, and what has been dealt with.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use super::history::Scan;
use crate::asked::Asked;
use crate::ids::MessageId;
use crate::sequence::Ticket;

/// How many messages a lane remembers to have dealt with: more than can wait in it.
const REMEMBERED: usize = 4 * super::QUEUE;

/// A new message.
#[derive(Debug)]
pub struct Waiting {
    /// The message.
    pub asked: Asked,
    /// Its event.
    pub ticket: Ticket,
    /// When it arrived here.
    pub arrived: Instant,
}

/// What a lane does next.
#[derive(Debug)]
pub enum Work {
    /// Read the history.
    Scan(Scan),
    /// Deal with a new message.
    Message(Waiting),
}

/// One channel.
#[derive(Debug, Default)]
pub struct Lane {
    queue: VecDeque<Waiting>,
    /// What comes after a full queue.
    overflow: Option<Scan>,
    /// Parts of the history that are to be read, before new messages.
    pub scans: VecDeque<Scan>,
    /// Whether a task works on it.
    pub is_running: bool,
    /// Everything up to here was dealt with in another life of the bot, or before the lane was forgotten.
    floor: Option<MessageId>,
    has_begun: bool,
    recent: HashSet<MessageId>,
    order: VecDeque<MessageId>,
    /// The newest message that was dealt with.
    newest: Option<MessageId>,
}

impl Lane {
    /// Sets what was dealt with before, once.
    pub fn begin(&mut self, floor: Option<MessageId>) {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.floor = floor;
        }
    }

    /// Puts a new message behind the others. False if there was no room: then it is read from the history, after them.
    pub fn add(&mut self, asked: Asked, ticket: Ticket) -> bool {
        match &mut self.overflow {
            Some(scan) => scan.extend(asked.id, ticket),
            None if self.queue.len() == super::QUEUE => self.overflow = Some(Scan::of_overflow(asked.id, ticket)),
            None => {
                self.queue.push_back(Waiting { asked, ticket, arrived: Instant::now() });
                return true;
            }
        }
        false
    }

    /// Takes the next piece of work. Without one the lane does not run any more.
    pub fn next(&mut self, is_stopping: bool) -> Option<Work> {
        let work = match is_stopping {
            true => None,
            false => {
                let scan = self.scans.pop_front().map(Work::Scan);
                let message = || self.queue.pop_front().map(Work::Message);
                scan.or_else(message).or_else(|| self.overflow.take().map(Work::Scan))
            }
        };
        self.is_running = work.is_some();
        work
    }

    /// Whether a message has been dealt with. One that is older than others that were is not for that reason: it was late.
    pub fn knows(&self, message: MessageId) -> bool {
        self.floor.is_some_and(|floor| message <= floor) || self.recent.contains(&message)
    }

    /// A message has been dealt with.
    pub fn remember(&mut self, message: MessageId) {
        if self.recent.insert(message) {
            self.order.push_back(message);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.recent.remove(&oldest);
        }
        self.newest = self.newest.max(Some(message));
    }

    /// The last message that needs no more looking at.
    pub fn cursor(&self) -> Option<MessageId> {
        self.newest.max(self.floor)
    }
}

#[cfg(test)]
mod tests {
    use twilight_model::id::Id;

    use super::*;
    use crate::sequence::Sequences;

    #[test]
    fn what_finds_no_room_comes_after_what_did() {
        let sequences = Sequences::after(0);
        let mut lane = Lane::default();
        let count = super::super::QUEUE as u64 + 3;
        for id in 1..=count {
            let asked = Asked {
                id: Id::new(id),
                channel: Id::new(1),
                guild: None,
                author: Id::new(5),
                name: String::new(),
                content: String::new(),
                is_mention: true,
            };
            assert_eq!(lane.add(asked, sequences.take(id)), id <= super::super::QUEUE as u64);
        }
        sequences.received(count);
        let mut done = 0;
        while let Some(Work::Message(waiting)) = lane.next(false) {
            done += 1;
            assert_eq!(waiting.asked.id.get(), done);
            waiting.ticket.done();
        }
        assert_eq!(sequences.handled(), super::super::QUEUE as u64);
        assert!(lane.next(false).is_none(), "the overflow is one piece of work");
    }

    #[test]
    fn a_lane_knows_what_was_before_it_and_what_it_did() {
        let mut lane = Lane::default();
        lane.begin(Some(Id::new(10)));
        lane.begin(Some(Id::new(20)));
        assert!(lane.knows(Id::new(10)) && !lane.knows(Id::new(11)));
        assert_eq!(lane.cursor(), Some(Id::new(10)));
        lane.remember(Id::new(15));
        assert!(lane.knows(Id::new(15)) && !lane.knows(Id::new(14)));
        lane.remember(Id::new(14));
        assert_eq!(lane.cursor(), Some(Id::new(15)));
        assert!(lane.next(false).is_none());
    }
}
