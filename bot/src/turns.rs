//! Turns in a channel: one message at a time is dealt with in each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::ids::ChannelId;

/// The turns of all channels. Whoever makes a thread has its turn before it exists, so that what is written there waits for
/// the first answer.
#[derive(Debug, Default)]
pub struct Turns(Mutex<HashMap<ChannelId, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits for the turn, in order.
    pub async fn take(&self, channel: ChannelId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if turns.len() > 1000 {
                turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            }
            turns.entry(channel).or_default().clone()
        };
        turn.lock_owned().await
    }
}
