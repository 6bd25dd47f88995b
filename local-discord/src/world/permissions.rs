//! What the bot may do in a channel.

use super::World;
use super::channel::Channel;

/// Bits of Discord's permissions.
pub const ADD_REACTIONS: u64 = 1 << 6;
/// See a channel at all.
pub const VIEW_CHANNEL: u64 = 1 << 10;
/// Create messages in a channel.
pub const SEND_MESSAGES: u64 = 1 << 11;
/// Delete messages of others.
pub const MANAGE_MESSAGES: u64 = 1 << 13;
/// Change and delete channels.
pub const MANAGE_CHANNELS: u64 = 1 << 4;
/// Links become embeds.
pub const EMBED_LINKS: u64 = 1 << 14;
/// Files with messages.
pub const ATTACH_FILES: u64 = 1 << 15;
/// Read messages that were made earlier.
pub const READ_MESSAGE_HISTORY: u64 = 1 << 16;
/// Archive, lock, rename and delete threads of others.
pub const MANAGE_THREADS: u64 = 1 << 34;
/// Create public threads.
pub const CREATE_PUBLIC_THREADS: u64 = 1 << 35;
/// Create private threads.
pub const CREATE_PRIVATE_THREADS: u64 = 1 << 36;
/// Create messages in threads.
pub const SEND_MESSAGES_IN_THREADS: u64 = 1 << 38;

/// What everybody may do where nothing was taken away.
pub const EVERYBODY: u64 = ADD_REACTIONS
    | VIEW_CHANNEL
    | SEND_MESSAGES
    | EMBED_LINKS
    | ATTACH_FILES
    | READ_MESSAGE_HISTORY
    | CREATE_PUBLIC_THREADS
    | CREATE_PRIVATE_THREADS
    | SEND_MESSAGES_IN_THREADS;

impl World {
    /// What the bot may do there. A thread has the permissions of its parent.
    pub(crate) fn permissions(&self, channel: &Channel) -> u64 {
        let Some(guild) = channel.guild else { return EVERYBODY };
        let everybody = self.guilds.get(&guild).map_or(0, |guild| guild.permissions);
        let place = channel.parent.and_then(|parent| self.channels.get(&parent)).unwrap_or(channel);
        everybody & !place.denied
    }

    pub(crate) fn may(&self, channel: &Channel, permission: u64) -> bool {
        self.permissions(channel) & permission == permission
    }
}
