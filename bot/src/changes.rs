//! Messages that were edited or deleted, so that what waits is answered as it is now, or not at all.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::asked::Asked;
use crate::ids::MessageId;

/// How many changes are remembered: more than ever wait for their turn.
const REMEMBERED: usize = 20_000;

/// The last messages of some kind.
#[derive(Debug, Default)]
pub struct Recent(Mutex<(HashSet<MessageId>, VecDeque<MessageId>)>);

impl Recent {
    /// Adds a message.
    pub fn add(&self, message: MessageId) {
        let (known, order) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.insert(message) {
            order.push_back(message);
        }
        if order.len() > REMEMBERED
            && let Some(oldest) = order.pop_front()
        {
            known.remove(&oldest);
        }
    }

    /// Whether a message is one of them.
    pub fn contains(&self, message: MessageId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.contains(&message)
    }
}

/// What became of messages after they were written.
#[derive(Debug, Default)]
pub struct Changes(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    changes: HashMap<MessageId, Change>,
    order: VecDeque<MessageId>,
}

#[derive(Clone, Debug)]
enum Change {
    Edited(String),
    Deleted,
}

impl Changes {
    /// A message has another content now. A mention in it counts only if it was there before.
    pub fn edited(&self, message: MessageId, content: String) {
        self.note(message, Change::Edited(content));
    }

    /// A message has been deleted.
    pub fn deleted(&self, message: MessageId) {
        self.note(message, Change::Deleted);
    }

    /// The message as it is now, or `None` if it has been deleted.
    pub fn applied(&self, mut asked: Asked) -> Option<Asked> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).changes.get(&asked.id) {
            Some(Change::Deleted) => return None,
            Some(Change::Edited(content)) => asked.content = content.clone(),
            None => {}
        }
        Some(asked)
    }

    /// Whether a message has been deleted.
    pub fn is_deleted(&self, message: MessageId) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(known.changes.get(&message), Some(Change::Deleted))
    }

    fn note(&self, message: MessageId, change: Change) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.changes.insert(message, change).is_none() {
            known.order.push_back(message);
        }
        if known.order.len() > REMEMBERED
            && let Some(oldest) = known.order.pop_front()
        {
            known.changes.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use twilight_model::id::Id;

    use super::*;

    #[test]
    fn the_last_change_counts_and_old_ones_are_forgotten() {
        let asked = |id| Asked {
            id: Id::new(id),
            channel: Id::new(1),
            guild: None,
            author: Id::new(5),
            name: String::new(),
            content: "a".into(),
            is_mention: true,
        };
        let changes = Changes::default();
        changes.edited(Id::new(1), "b".into());
        assert_eq!(changes.applied(asked(1)).unwrap().content, "b");
        changes.deleted(Id::new(1));
        assert_eq!(changes.applied(asked(1)), None);
        assert_eq!(changes.applied(asked(2)), Some(asked(2)));
        for id in 2..REMEMBERED as u64 + 2 {
            changes.deleted(Id::new(id));
        }
        assert!(!changes.is_deleted(Id::new(1)) && changes.is_deleted(Id::new(2)));
    }
}
