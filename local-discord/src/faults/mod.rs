//! Faults, by script and by seed.

mod hold;
mod storm;

use serde::{Deserialize, Serialize};

use crate::app::State;
use crate::error::{Error, Result};
use crate::id::Id;
use crate::record::What;

pub use hold::Held;
pub(crate) use hold::Holds;
pub use storm::Storm;

/// When a fault strikes. A name `*` stands for every one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// A connection to the gateway was opened; HELLO was not sent yet.
    Connect,
    /// IDENTIFY arrived.
    Identify,
    /// RESUME arrived.
    Resume,
    /// A heartbeat arrived; it is not acknowledged yet.
    Heartbeat,
    /// An event is about to be sent, by its name, such as `MESSAGE_CREATE`.
    Event(String),
    /// A request arrived and has had no effect yet, by its route, such as `POST /channels/{channel_id}/messages`.
    Request(String),
    /// A request had its effect, and its answer is about to be sent.
    Answer(String),
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// The gateway closes the connection with a code.
    Close(u16),
    /// The TCP connection ends: in the middle of what is being sent, if something is.
    Cut,
    /// The gateway asks the client to reconnect.
    Reconnect,
    /// The gateway calls the session invalid.
    InvalidSession {
        /// Whether the client may resume it all the same.
        resumable: bool,
    },
    /// The gateway does not acknowledge this heartbeat.
    Withhold,
    /// The event comes twice.
    Twice,
    /// The event comes after the next one of another channel, or after a second.
    Late,
    /// The answer has this status, 500 to 599, and a body that is not JSON.
    Status(u16),
    /// The answer is 429, though no limit was reached.
    RateLimit {
        /// Whose limit it is said to be.
        scope: Scope,
        /// The seconds to wait.
        retry_after: f64,
    },
    /// The body of the answer comes in ten pieces over so many milliseconds.
    Slow(u64),
    /// The history lacks messages that are younger than so many milliseconds.
    Stale(u64),
    /// Nothing goes on here until it is released.
    Hold,
}

/// Whose limit a 429 is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The bucket of this bot.
    User,
    /// All routes of this bot.
    Global,
    /// A resource that is shared with others; it does not count as an invalid request.
    Shared,
}

impl Scope {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Global => "global",
            Self::Shared => "shared",
        }
    }
}

/// A fault of a script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// When it strikes.
    pub at: Moment,
    /// What it does.
    pub act: Act,
    /// Only in this channel.
    #[serde(default)]
    pub channel: Option<Id>,
    /// How many such moments pass before it strikes.
    #[serde(default)]
    pub skip: u32,
    /// How often it strikes; 0 is without end.
    #[serde(default = "once")]
    pub times: u32,
}

fn once() -> u32 {
    1
}

impl Fault {
    /// A fault that strikes once, at the first such moment.
    pub fn new(at: Moment, act: Act) -> Self {
        Self { at, act, channel: None, skip: 0, times: 1 }
    }

    /// Only in this channel.
    #[must_use]
    pub fn channel(mut self, channel: Id) -> Self {
        self.channel = Some(channel);
        self
    }

    /// Lets so many moments pass first.
    #[must_use]
    pub fn skip(mut self, moments: u32) -> Self {
        self.skip = moments;
        self
    }

    /// Strikes so often; 0 is without end.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Refuses what would never do anything.
    pub(crate) fn check(&self) -> Result<()> {
        let fits = match self.at {
            Moment::Connect => matches!(self.act, Act::Close(_) | Act::Cut | Act::Reconnect | Act::Hold),
            Moment::Identify | Moment::Resume => self.act.is_of_connection(),
            Moment::Heartbeat => self.act == Act::Withhold || self.act.is_of_connection(),
            Moment::Event(_) => self.act.is_of_dispatch() || self.act.is_of_connection(),
            Moment::Request(_) => match self.act {
                Act::Status(status) => (500..600).contains(&status),
                Act::RateLimit { .. } | Act::Stale(_) | Act::Cut | Act::Slow(_) | Act::Hold => true,
                _ => false,
            },
            Moment::Answer(_) => match self.act {
                Act::Status(status) => (500..600).contains(&status),
                Act::Cut | Act::Slow(_) | Act::Hold => true,
                _ => false,
            },
        };
        if fits {
            return Ok(());
        }
        Err(Error::Fault { act: format!("{:?}", self.act), moment: format!("{:?}", self.at) })
    }
}

impl Act {
    /// Acts on an event before it is known who hears of it.
    pub(crate) fn is_of_dispatch(&self) -> bool {
        matches!(self, Self::Twice | Self::Late)
    }

    /// Acts on a connection to the gateway.
    pub(crate) fn is_of_connection(&self) -> bool {
        matches!(self, Self::Close(_) | Self::Cut | Self::Reconnect | Self::InvalidSession { .. } | Self::Hold)
    }
}

impl Moment {
    /// Whether a fault of this moment strikes at that one.
    fn is(&self, actual: &Self) -> bool {
        match (self, actual) {
            (Self::Event(a), Self::Event(b))
            | (Self::Request(a), Self::Request(b))
            | (Self::Answer(a), Self::Answer(b)) => a == "*" || a == b,
            (a, b) => a == b,
        }
    }
}

/// All faults there are.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    script: Vec<Fault>,
    storm: Option<storm::Weather>,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.script.push(fault);
    }

    /// Ends all faults, but not what is held.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn set_storm(&mut self, storm: Storm) {
        self.storm = Some(storm::Weather::new(storm));
    }

    fn take(&mut self, moment: &Moment, channel: Option<Id>, fits: impl Fn(&Act) -> bool) -> Vec<Act> {
        let mut acts = Vec::new();
        self.script.retain_mut(|fault| {
            let here = fault.channel.is_none() || fault.channel == channel;
            if !here || !fault.at.is(moment) || !fits(&fault.act) {
                return true;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                return true;
            }
            acts.push(fault.act.clone());
            if fault.times == 0 {
                return true;
            }
            fault.times -= 1;
            fault.times > 0
        });
        if let Some(storm) = &mut self.storm {
            acts.extend(storm.strike(moment).filter(fits));
        }
        acts
    }
}

impl State {
    /// The faults that strike now, recorded.
    pub(crate) fn fault(&mut self, moment: &Moment, channel: Option<Id>, fits: impl Fn(&Act) -> bool) -> Vec<Act> {
        let acts = self.faults.take(moment, channel, fits);
        for act in &acts {
            self.record.add(self.clock.now_ms(), What::Fault { at: moment.clone(), act: act.clone(), channel });
        }
        acts
    }
}
