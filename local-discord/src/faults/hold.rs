//! What is held at a moment until somebody releases it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::{oneshot, watch};

use super::Moment;
use crate::id::Id;

/// Something that waits to be released.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Held {
    /// Its number, to release it by.
    pub number: u64,
    /// Where it waits.
    pub at: Moment,
    /// The channel that it is about.
    pub channel: Option<Id>,
    /// The path of a request, or the text of an event.
    pub what: String,
}

#[derive(Debug, Default)]
struct Inside {
    last: u64,
    held: BTreeMap<u64, (Held, oneshot::Sender<()>)>,
}

/// All that is held.
#[derive(Clone, Debug)]
pub(crate) struct Holds {
    inside: Arc<Mutex<Inside>>,
    changed: Arc<watch::Sender<()>>,
}

/// Forgets what is held if whoever waits goes away.
struct Place {
    holds: Holds,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.holds.release(self.number);
    }
}

impl Default for Holds {
    fn default() -> Self {
        Self { inside: Arc::default(), changed: Arc::new(watch::Sender::new(())) }
    }
}

impl Holds {
    /// Waits here until released.
    pub(crate) async fn hold(&self, at: Moment, channel: Option<Id>, what: String) {
        let (release, released) = oneshot::channel();
        let number = {
            let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
            inside.last += 1;
            let number = inside.last;
            inside.held.insert(number, (Held { number, at, channel, what }, release));
            number
        };
        let _place = Place { holds: self.clone(), number };
        self.changed.send_replace(());
        let _ = released.await;
    }

    pub(crate) fn list(&self) -> Vec<Held> {
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.held.values().map(|(held, _)| held.clone()).collect()
    }

    /// Waits until something is held, and says what: the oldest first.
    pub(crate) async fn wait(&self) -> Held {
        let mut changes = self.changed.subscribe();
        loop {
            if let Some(held) = self.list().into_iter().next() {
                return held;
            }
            // The sender lives as long as this.
            let _ = changes.changed().await;
        }
    }

    pub(crate) fn release(&self, number: u64) {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner).held.remove(&number);
        self.changed.send_replace(());
    }

    pub(crate) fn release_all(&self) {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner).held.clear();
        self.changed.send_replace(());
    }
}
