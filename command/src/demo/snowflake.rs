//! Discord's ids: a time and 22 bits that make it unique.
//! <https://docs.discord.com/developers/reference#snowflakes>

/// The first second of 2015 in milliseconds since the Unix epoch, where snowflakes begin.
pub const EPOCH_MS: i64 = 1_420_070_400_000;

/// The bits below the time.
const LOW_BITS: u32 = 22;

/// The time of an id in milliseconds since the Unix epoch.
pub fn time_ms(id: u64) -> i64 {
    (id >> LOW_BITS) as i64 + EPOCH_MS
}

/// The smallest id of a time, which Discord documents as the way to ask for what is newer than a time; 0 for a time
/// before 2015.
pub fn first_at(ms: i64) -> u64 {
    ms.saturating_sub(EPOCH_MS).max(0).cast_unsigned() << LOW_BITS
}

/// The same id so much later, if there is one.
pub fn shifted(id: u64, ms: i64) -> Option<u64> {
    let id = i128::from(id) + (i128::from(ms) << LOW_BITS);
    i64::try_from(id).ok().filter(|id| *id > 0).map(i64::cast_unsigned)
}
