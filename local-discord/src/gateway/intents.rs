//! Intents: what a bot asked to hear of.

/// Guilds, channels and threads.
pub const GUILDS: u64 = 1 << 0;
/// Members; privileged.
pub const GUILD_MEMBERS: u64 = 1 << 1;
/// Presences; privileged.
pub const GUILD_PRESENCES: u64 = 1 << 8;
/// Messages in guilds.
pub const GUILD_MESSAGES: u64 = 1 << 9;
/// Typing in guilds.
pub const GUILD_MESSAGE_TYPING: u64 = 1 << 11;
/// Direct messages.
pub const DIRECT_MESSAGES: u64 = 1 << 12;
/// Typing in direct messages.
pub const DIRECT_MESSAGE_TYPING: u64 = 1 << 14;
/// The content of messages that are not meant for the bot; privileged.
pub const MESSAGE_CONTENT: u64 = 1 << 15;

/// Those that an application has to be granted.
pub const PRIVILEGED: u64 = GUILD_MEMBERS | GUILD_PRESENCES | MESSAGE_CONTENT;

/// All that exist: bits 0 to 16, 20, 21, 24 and 25.
pub(crate) const ALL: u64 = 0x1_ffff | 1 << 20 | 1 << 21 | 1 << 24 | 1 << 25;
