//! What the bot counts: metrics for Prometheus, beside those of the storage.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use serde_json::{Value, json};

use crate::clock;
use crate::ids::{ChannelId, MessageId};

/// A label and its value, from a small set.
type Label<V> = [(&'static str, V); 1];
type Seconds = Gauge<f64, AtomicU64>;

/// How many given-up messages the status tells of.
const REMEMBERED: usize = 20;

/// What happened to a message that was addressed to the bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All parts of the answer are in the channel.
    Answered,
    /// The responder has nothing to say to it.
    Silent,
    /// The message or its channel was deleted before.
    Gone,
    /// The bot may not write there any more.
    Forbidden,
    /// The responder failed, or all attempts did.
    GivenUp,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Answered, Self::Silent, Self::Gone, Self::Forbidden, Self::GivenUp];

    /// The name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Silent => "silent",
            Self::Gone => "gone",
            Self::Forbidden => "forbidden",
            Self::GivenUp => "given-up",
        }
    }

    /// The name in the status.
    pub fn key(self) -> &'static str {
        match self {
            Self::GivenUp => "given_up",
            other => other.name(),
        }
    }
}

/// The counters.
#[derive(Debug)]
pub struct Figures {
    events: Family<Label<&'static str>, Counter>,
    answers: Family<Label<&'static str>, Counter>,
    /// Messages of the bot's own that were made.
    pub parts: Counter,
    /// From the message's arrival until it was dealt with.
    pub answer_seconds: Histogram,
    /// Messages that wait, or are being answered.
    pub waiting: Gauge,
    /// Channels whose history is being read.
    pub recovering: Gauge,
    /// Pages of history.
    pub pages: Counter,
    /// Messages in them.
    pub recovered: Counter,
    /// Those of them that were answered.
    pub recovered_answers: Counter,
    sessions: Family<Label<&'static str>, Counter>,
    connected: Family<Label<u32>, Gauge>,
    latency: Family<Label<u32>, Seconds>,
    /// Answers of 429.
    pub rate_limited: Counter,
    /// Attempts that failed and were repeated.
    pub retries: Counter,
    /// Answers in the bot's name that this process did not give.
    foreign: Counter,
    foreign_at: Mutex<Option<Instant>>,
    /// Threads that it answers in without being mentioned.
    pub threads: Gauge,
    /// States and ownerships that wait for the database.
    pub unrecorded: Gauge,
    given_up: Mutex<Vec<Value>>,
    /// States and ownerships are loaded. Nothing is answered before.
    pub is_loaded: AtomicBool,
    /// When a shard's connection came or went.
    changed: Mutex<Instant>,
}

impl Default for Figures {
    fn default() -> Self {
        let seconds = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];
        let figures = Self {
            events: Family::default(),
            answers: Family::default(),
            parts: Counter::default(),
            answer_seconds: Histogram::new(seconds),
            waiting: Gauge::default(),
            recovering: Gauge::default(),
            pages: Counter::default(),
            recovered: Counter::default(),
            recovered_answers: Counter::default(),
            sessions: Family::default(),
            connected: Family::default(),
            latency: Family::default(),
            rate_limited: Counter::default(),
            retries: Counter::default(),
            foreign: Counter::default(),
            foreign_at: Mutex::default(),
            threads: Gauge::default(),
            unrecorded: Gauge::default(),
            given_up: Mutex::default(),
            is_loaded: AtomicBool::new(false),
            changed: Mutex::new(Instant::now()),
        };
        for outcome in Outcome::ALL {
            let _ = figures.answers.get_or_create(&[("outcome", outcome.name())]);
        }
        for how in ["started", "resumed", "invalidated"] {
            let _ = figures.sessions.get_or_create(&[("how", how)]);
        }
        figures
    }
}

impl Figures {
    /// The metrics, all beginning with `cofferdam_bot_`.
    pub fn registry(&self) -> Registry {
        let mut all = Registry::default();
        // The storage's metrics are added to the same registry, and have names of their own.
        let registry = all.sub_registry_with_prefix("cofferdam_bot");
        registry.register("events", "Events of the gateway, by type", self.events.clone());
        registry.register(
            "answers",
            "Messages that were addressed to the bot and dealt with, by outcome",
            self.answers.clone(),
        );
        registry.register("parts", "Messages that the bot has written", self.parts.clone());
        registry.register_with_unit(
            "answer_duration",
            "From a message's arrival until it was dealt with",
            Unit::Seconds,
            self.answer_seconds.clone(),
        );
        registry.register("waiting", "Messages that wait, or are being dealt with", self.waiting.clone());
        registry.register("recovering", "Channels whose history is being read", self.recovering.clone());
        registry.register("recovery_pages", "Pages of history that were read", self.pages.clone());
        registry.register("recovery_messages", "Messages in them", self.recovered.clone());
        registry.register("recovery_answers", "Messages in them that were answered", self.recovered_answers.clone());
        registry.register(
            "sessions",
            "Sessions of the gateway: started, resumed, or invalidated",
            self.sessions.clone(),
        );
        registry.register("connected", "1 while the shard has a session", self.connected.clone());
        registry.register_with_unit(
            "gateway_latency",
            "From the shard's last heartbeat to its acknowledgement",
            Unit::Seconds,
            self.latency.clone(),
        );
        registry.register("rate_limited", "Answers of 429", self.rate_limited.clone());
        registry.register("retries", "Attempts that failed and were repeated", self.retries.clone());
        registry.register(
            "foreign_answers",
            "Answers in the bot's name that this process did not give",
            self.foreign.clone(),
        );
        registry.register("threads", "Threads that the bot answers in without being mentioned", self.threads.clone());
        registry.register("unrecorded", "States and ownerships that wait for the database", self.unrecorded.clone());
        all
    }

    /// Counts an event of the gateway.
    pub fn event(&self, kind: &'static str) {
        self.events.get_or_create(&[("type", kind)]).inc();
    }

    /// Counts a message that was dealt with.
    pub fn answer(&self, outcome: Outcome) {
        self.answers.get_or_create(&[("outcome", outcome.name())]).inc();
    }

    /// How many messages were dealt with so.
    pub fn answers(&self, outcome: Outcome) -> u64 {
        self.answers.get_or_create(&[("outcome", outcome.name())]).get()
    }

    /// Counts a session that was `started`, `resumed` or `invalidated`.
    pub fn session(&self, how: &'static str) {
        self.sessions.get_or_create(&[("how", how)]).inc();
    }

    /// Whether this shard has a session.
    pub fn connected(&self, shard: u32, is_connected: bool) {
        let before = self.connected.get_or_create(&[("shard", shard)]).set(is_connected.into());
        if before != i64::from(is_connected) {
            *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }

    /// How long the shards have been connected as they are.
    pub fn unchanged(&self) -> Duration {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// A message was answered in the bot's name, and not by this process.
    pub fn foreign_answer(&self) {
        self.foreign.inc();
        *self.foreign_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// How many were, and how long ago the last one.
    pub fn foreign_answers(&self) -> (u64, Option<Duration>) {
        let last = *self.foreign_at.lock().unwrap_or_else(PoisonError::into_inner);
        (self.foreign.get(), last.map(|last| last.elapsed()))
    }

    /// Whether this shard has a session.
    pub fn is_connected(&self, shard: u32) -> bool {
        self.connected.get_or_create(&[("shard", shard)]).get() == 1
    }

    /// The time that a heartbeat of this shard took, in seconds.
    pub fn latency(&self, shard: u32, seconds: f64) {
        self.latency.get_or_create(&[("shard", shard)]).set(seconds);
    }

    /// Remembers a message that gets no answer, for the status.
    pub fn gave_up(&self, channel: ChannelId, message: MessageId, why: &str) {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        if given_up.len() == REMEMBERED {
            given_up.remove(0);
        }
        given_up.push(json!({
            "channel": channel, "message": message, "reason": why, "at": clock::local_ms() / 1000,
        }));
    }

    /// Sessions that were `started`, `resumed` or `invalidated`.
    pub fn sessions(&self, how: &'static str) -> u64 {
        self.sessions.get_or_create(&[("how", how)]).get()
    }

    /// The time that the last heartbeat of this shard took, in seconds.
    pub fn latency_of(&self, shard: u32) -> f64 {
        self.latency.get_or_create(&[("shard", shard)]).get()
    }

    /// The last messages that got no answer: channel, message, reason, and when, in seconds since the Unix epoch.
    pub fn given_up(&self) -> Vec<Value> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn metrics_are_named_as_the_document_says() {
        let figures = Figures::default();
        figures.event("MESSAGE_CREATE");
        figures.connected(0, true);
        figures.latency(0, 0.1);
        let mut text = String::new();
        encode(&mut text, &figures.registry()).unwrap();
        let document = include_str!("../../docs/bot.md");
        let named = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        for name in named {
            let short = name.trim_start_matches("cofferdam_bot_recovery");
            assert!(name.starts_with("cofferdam_bot_") && document.contains(short), "{name}");
        }
        assert!(text.contains("cofferdam_bot_connected{shard=\"0\"} 1"), "{text}");
    }
}
