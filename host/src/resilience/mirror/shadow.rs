//! Reads whose answers are compared with the mirror's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::Mirror;
use crate::error::Result;
use crate::model::{MessageKey, MessageState, ThreadOwnership};
use crate::resilience::Shared;
use crate::resilience::status::ShadowStatus;
use crate::service::StorageService;

/// The most comparisons at a time; a read that comes while there are as many is not compared.
const AT_A_TIME: usize = 2;

/// How often both are read until they are different: a write may be on its way.
const ATTEMPTS: usize = 4;

const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Shadow {
    share: f64,
    reads: AtomicU64,
    places: Arc<Semaphore>,
    same: AtomicU64,
    different: AtomicU64,
    failed: AtomicU64,
}

/// A read that both databases are asked.
#[derive(Clone, Copy)]
pub(in crate::resilience) enum ShadowRead<'a> {
    State(&'a str, Option<&'a str>),
    States,
    StatesWithin(Duration),
    Ownership(&'a str),
    Ownerships,
}

enum Owned {
    State(MessageKey),
    States,
    StatesWithin(Duration),
    Ownership(String),
    Ownerships,
}

#[derive(PartialEq)]
enum Answer {
    States(Vec<MessageState>),
    Ownerships(Vec<ThreadOwnership>),
}

impl From<ShadowRead<'_>> for Owned {
    fn from(read: ShadowRead<'_>) -> Self {
        match read {
            ShadowRead::State(channel_id, thread_id) => {
                Self::State(MessageKey { channel_id: channel_id.to_owned(), thread_id: thread_id.map(str::to_owned) })
            }
            ShadowRead::States => Self::States,
            ShadowRead::StatesWithin(window) => Self::StatesWithin(window),
            ShadowRead::Ownership(thread_id) => Self::Ownership(thread_id.to_owned()),
            ShadowRead::Ownerships => Self::Ownerships,
        }
    }
}

impl Owned {
    fn name(&self) -> &'static str {
        match self {
            Self::State(_) => "get_message_state",
            Self::States => "get_all_message_states",
            Self::StatesWithin(_) => "get_message_states_within_window",
            Self::Ownership(_) => "get_thread_ownership",
            Self::Ownerships => "get_all_thread_ownerships",
        }
    }

    /// What a database answers, without the ids, which are its own.
    async fn ask(&self, service: &dyn StorageService) -> Result<Answer> {
        let mut answer = match self {
            Self::State(key) => {
                let state = service.get_message_state(&key.channel_id, key.thread_id.as_deref()).await?;
                Answer::States(state.into_iter().collect())
            }
            Self::States => Answer::States(service.get_all_message_states().await?),
            Self::StatesWithin(window) => Answer::States(service.get_message_states_within_window(*window).await?),
            Self::Ownership(thread_id) => {
                Answer::Ownerships(service.get_thread_ownership(thread_id).await?.into_iter().collect())
            }
            Self::Ownerships => Answer::Ownerships(service.get_all_thread_ownerships().await?),
        };
        match &mut answer {
            Answer::States(rows) => rows.iter_mut().for_each(|row| row.id = 0),
            Answer::Ownerships(rows) => rows.iter_mut().for_each(|row| row.id = 0),
        }
        Ok(answer)
    }
}

impl Shadow {
    pub fn new(share: f64) -> Self {
        Self {
            share,
            reads: AtomicU64::new(0),
            places: Arc::new(Semaphore::new(AT_A_TIME)),
            same: AtomicU64::new(0),
            different: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    pub fn status(&self) -> ShadowStatus {
        ShadowStatus {
            same: self.same.load(Ordering::Relaxed),
            different: self.different.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    /// Whether this read is one of the share, which is spread evenly.
    fn takes(&self) -> bool {
        if self.share <= 0.0 {
            return false;
        }
        let read = self.reads.fetch_add(1, Ordering::Relaxed) as f64;
        ((read + 1.0) * self.share).floor() > (read * self.share).floor()
    }
}

impl Mirror {
    /// Compares the answers to a read in the background, where its turn has come.
    pub fn compare(self: &Arc<Self>, shared: &Arc<Shared>, read: ShadowRead<'_>) {
        if !self.shadow.takes() {
            return;
        }
        let (Ok(place), Ok(runtime)) = (self.shadow.places.clone().try_acquire_owned(), Handle::try_current()) else {
            return;
        };
        let (mirror, shared, read) = (self.clone(), shared.clone(), Owned::from(read));
        runtime.spawn(async move {
            let _place = place;
            mirror.compare_now(&shared, &read).await;
        });
    }

    async fn compare_now(&self, shared: &Shared, read: &Owned) {
        for attempt in 1..=ATTEMPTS {
            let own = read.ask(&*shared.storage).await;
            let (Ok(own), Ok(other)) = (own, read.ask(&self.secondary).await) else {
                self.shadow.failed.fetch_add(1, Ordering::Relaxed);
                return;
            };
            if own == other {
                self.shadow.same.fetch_add(1, Ordering::Relaxed);
                return;
            }
            if attempt < ATTEMPTS {
                sleep(PAUSE).await;
            }
        }
        let waiting = self.marks().map_or(0, |marks| marks.depth());
        self.shadow.different.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(mirror = self.name, operation = read.name(), waiting, "the mirror returned a different answer");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(share: f64, reads: usize) -> usize {
        let shadow = Shadow::new(share);
        (0..reads).filter(|_| shadow.takes()).count()
    }

    #[test]
    fn a_share_of_the_reads_is_taken() {
        assert_eq!(taken(0.0, 1000), 0);
        assert_eq!(taken(0.01, 1000), 10);
        assert_eq!(taken(0.3, 1000), 300);
        assert_eq!(taken(1.0, 1000), 1000);
    }
}
