//! What the answer to a message needs, and how it comes about.

mod answer;
mod attempts;

use std::sync::Arc;

use cofferdam::StorageService;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use self::attempts::Dealt;
use crate::api::Api;
use crate::changes::{Changes, Recent};
use crate::channels::Channels;
use crate::clock::Clock;
use crate::figures::Figures;
use crate::ids::UserId;
use crate::journal::Journal;
use crate::memory::Memory;
use crate::record::Recorder;
use crate::responder::Responder;
use crate::settings::Settings;
use crate::turns::Turns;

/// Where messages are dealt with.
pub struct Desk {
    /// The settings.
    pub settings: Settings,
    /// The bot's own id.
    pub me: UserId,
    /// What answers.
    pub responder: Arc<dyn Responder>,
    /// The storage.
    pub storage: Arc<dyn StorageService>,
    /// Discord.
    pub api: Api,
    /// What survives a crash and is not in the storage.
    pub journal: Arc<Journal>,
    /// What writes to the storage.
    pub recorder: Recorder,
    /// What was read from the storage.
    pub memory: Memory,
    /// The kinds of channels.
    pub channels: Channels,
    /// Edited and deleted messages.
    pub changes: Changes,
    /// Messages to which this process has begun to write an answer.
    pub begun: Recent,
    /// The order within a channel.
    pub turns: Turns,
    /// Questions that may be with the responder at a time.
    pub questions: Semaphore,
    /// Discord's time.
    pub clock: Arc<Clock>,
    /// The counters.
    pub figures: Arc<Figures>,
    /// Cancelled when nothing is to be begun any more.
    pub stop: CancellationToken,
}

/// The nonce of a part of an answer: the same in every life of the bot, so that Discord makes the message once.
pub fn nonce(message: crate::ids::MessageId, part: usize) -> String {
    format!("{message}-{part}")
}

/// The nonce of a notice of failure. Never one of an answer: a notice would stand in its place for ever.
pub fn notice_nonce(message: crate::ids::MessageId) -> String {
    format!("{message}-x")
}

#[cfg(test)]
mod tests {
    use twilight_model::id::Id;

    use super::*;

    #[test]
    fn nonces_are_short_and_differ() {
        let message = Id::new(u64::MAX);
        let mut nonces: Vec<_> = (0..1000).map(|part| nonce(message, part)).collect();
        nonces.push(notice_nonce(message));
        assert!(nonces.iter().all(|nonce| nonce.len() <= 25));
        let count = nonces.len();
        nonces.sort();
        nonces.dedup();
        assert_eq!(nonces.len(), count);
    }
}
