//! What a local Discord is started with.

use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::Clock;
use crate::gateway::intents;

/// What a local Discord is started with. The defaults are Discord's, with one bot and nothing else; a test that is to be quick
/// asks for less patience.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; port 0 is any free one.
    pub listen: SocketAddr,
    /// The bot's token, without the word `Bot`.
    pub token: String,
    /// The bot's user name.
    pub bot: String,
    /// Guilds, each with its text channels, by name. More can be made later.
    pub guilds: Vec<(String, Vec<String>)>,
    /// The privileged intents that the bot may ask for: presences, members, message content.
    pub privileged: u64,
    /// Limits of gateway and REST.
    pub limits: Limits,
    /// The clock of everything: ids, limits, sessions, heartbeats.
    pub time: Clock,
    /// The interval of heartbeats that HELLO asks for.
    pub heartbeat: Duration,
    /// How many events each session remembers for a resume.
    pub event_buffer: usize,
    /// How long a session lives without a connection.
    pub session_memory: Duration,
    /// How long a nonce is remembered for `enforce_nonce`.
    pub nonce_memory: Duration,
    /// The number of shards that `GET /gateway/bot` recommends.
    pub shards: u32,
    /// The guilds that one shard may have, beyond which IDENTIFY is refused with 4011.
    pub guilds_per_shard: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: "local-token".to_owned(),
            bot: "local-bot".to_owned(),
            guilds: Vec::new(),
            privileged: intents::PRIVILEGED,
            limits: Limits::default(),
            time: Clock::system(),
            heartbeat: Duration::from_millis(41_250),
            event_buffer: 10_000,
            session_memory: Duration::from_secs(180),
            nonce_memory: Duration::from_secs(300),
            shards: 1,
            guilds_per_shard: 2_500,
        }
    }
}

/// Limits of gateway and REST.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The pause between two IDENTIFYs of the same key, `shard_id % max_concurrency`.
    pub identify_interval: Duration,
    /// How many keys there are.
    pub max_concurrency: u32,
    /// IDENTIFYs in 24 hours.
    pub identifies: u32,
    /// Frames of one connection in 60 seconds.
    pub frames: u32,
    /// The largest frame of a client in bytes.
    pub frame_size: usize,
    /// Requests of all routes in one second.
    pub global: u32,
    /// Buckets of routes, as in `POST /channels/{channel_id}/messages`; each channel or guild has its own.
    pub buckets: Vec<Bucket>,
    /// The bucket of all other routes.
    pub bucket: (u32, Duration),
    /// Answers of 401, 403 or 429 in ten minutes, beyond which the address is banned.
    pub invalid_requests: u32,
    /// How long a ban lasts.
    pub ban: Duration,
}

/// The bucket of one route.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// The method and the path as Discord's documents write it.
    pub route: String,
    /// Requests in each window.
    pub limit: u32,
    /// The window, which starts with its first request.
    pub window: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        // Discord publishes no numbers and changes them; these were seen by clients.
        let bucket = |route: &str, limit, seconds| Bucket {
            route: route.to_owned(),
            limit,
            window: Duration::from_secs(seconds),
        };
        Self {
            identify_interval: Duration::from_secs(5),
            max_concurrency: 1,
            identifies: 1_000,
            frames: 120,
            frame_size: 4_096,
            global: 50,
            buckets: vec![
                bucket("POST /channels/{channel_id}/messages", 5, 5),
                bucket("PATCH /channels/{channel_id}/messages/{message_id}", 5, 5),
                bucket("DELETE /channels/{channel_id}/messages/{message_id}", 5, 1),
                bucket("GET /channels/{channel_id}/messages", 5, 5),
                bucket("POST /channels/{channel_id}/typing", 5, 5),
            ],
            bucket: (50, Duration::from_secs(1)),
            invalid_requests: 10_000,
            ban: Duration::from_secs(3_600),
        }
    }
}
