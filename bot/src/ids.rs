//! Discord's ids, and the time that is in them.

use twilight_model::id::Id;
use twilight_model::id::marker::{ChannelMarker, GuildMarker, MessageMarker, UserMarker};

/// A channel, or a thread, which is a channel of its own.
pub type ChannelId = Id<ChannelMarker>;
/// A server, as users call it.
pub type GuildId = Id<GuildMarker>;
/// A message.
pub type MessageId = Id<MessageMarker>;
/// A user, or a bot.
pub type UserId = Id<UserMarker>;

/// The first millisecond of Discord's ids, since the Unix epoch.
const FIRST_MS: i64 = 1_420_070_400_000;

/// When something with this id was made, in milliseconds since the Unix epoch.
pub fn time_ms(id: u64) -> i64 {
    (id >> 22) as i64 + FIRST_MS
}

/// The least id that something made at this time can have.
pub fn first_at(ms: i64) -> u64 {
    (ms.saturating_sub(FIRST_MS).max(0) as u64) << 22
}

/// The thread that is made from a message has the message's id: so it is found again after a crash, whatever was recorded.
pub fn thread_of(message: MessageId) -> ChannelId {
    message.cast()
}

/// An id as the storage has it. Anything else is not of Discord, and `None`.
pub fn read<T>(text: &str) -> Option<Id<T>> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_its_time() {
        // The example of Discord's documentation.
        assert_eq!(time_ms(175_928_847_299_117_063), 1_462_015_105_796);
        let first = first_at(1_462_015_105_796);
        assert_eq!((time_ms(first), time_ms(first - 1)), (1_462_015_105_796, 1_462_015_105_795));
        assert_eq!(first_at(0), 0);
    }
}
