//! Everything that was said and done.

use serde::Serialize;
use tokio::sync::watch;

use crate::faults::{Act, Moment};
use crate::id::Id;

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Its number, from 1.
    pub number: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
#[non_exhaustive]
pub enum What {
    /// A request and the status of its answer.
    Request {
        /// The method and the path of the route.
        route: String,
        /// The path that was asked for, with its query.
        path: String,
        /// The body.
        body: String,
        /// The answer's status; 0 if none was sent, or not all of it.
        status: u16,
        /// Discord's code of an error, or 0.
        code: u64,
    },
    /// A message was made.
    Message {
        /// The message.
        message: Id,
        /// Its channel.
        channel: Id,
        /// Its author.
        author: Id,
    },
    /// A create named a nonce that was remembered: the first message was answered, and none made.
    SameNonce {
        /// The first message.
        message: Id,
    },
    /// A connection to the gateway was opened.
    Opened {
        /// Its number.
        connection: u64,
    },
    /// A connection to the gateway ended.
    Closed {
        /// Its number.
        connection: u64,
        /// The code, if there was one.
        code: Option<u16>,
        /// Who closed it.
        by: By,
    },
    /// A session began.
    Identified {
        /// The session.
        session: String,
        /// Its shard and the number of shards.
        shard: (u64, u64),
        /// Its intents.
        intents: u64,
    },
    /// A session went on.
    Resumed {
        /// The session.
        session: String,
        /// The last event that the client had.
        seq: u64,
        /// How many events were repeated.
        replayed: u64,
    },
    /// A session was called invalid.
    Invalid {
        /// Whether it could be resumed all the same.
        resumable: bool,
    },
    /// A client sent a heartbeat.
    Heartbeat {
        /// Its connection.
        connection: u64,
    },
    /// An event was sent.
    Event {
        /// The connection.
        connection: u64,
        /// Its number in the session.
        seq: u64,
        /// Its name.
        name: &'static str,
        /// The channel that it is about.
        channel: Option<Id>,
        /// The message, thread or guild that it is about.
        subject: Option<Id>,
    },
    /// A fault struck.
    Fault {
        /// When.
        at: Moment,
        /// What it did.
        act: Act,
        /// Where.
        channel: Option<Id>,
    },
    /// The client broke a rule that keeps Discord usable.
    Broken {
        /// Which.
        rule: Rule,
        /// The route, the shard, or what else says where.
        detail: String,
    },
}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The client.
    Client,
    /// The gateway.
    Server,
    /// Neither: the connection was lost.
    Lost,
}

/// A rule of Discord's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// More requests than the bucket of the route allows.
    Bucket,
    /// More requests than all routes allow.
    Global,
    /// A request during a pause that an answer of 429 had asked for.
    Pause,
    /// More frames to the gateway than a connection may send.
    Frames,
    /// An IDENTIFY too soon after another.
    Identify,
    /// More IDENTIFYs than a day allows.
    Identifies,
    /// More invalid requests than are tolerated.
    InvalidRequests,
}

/// The record.
#[derive(Debug)]
pub(crate) struct Record {
    entries: Vec<Entry>,
    changed: watch::Sender<()>,
}

impl Default for Record {
    fn default() -> Self {
        Self { entries: Vec::new(), changed: watch::Sender::new(()) }
    }
}

impl Record {
    pub(crate) fn add(&mut self, at_ms: u64, what: What) {
        self.entries.push(Entry { number: self.entries.len() as u64 + 1, at_ms, what });
        self.touch();
    }

    /// Wakes those who wait for something, which need not be an entry.
    pub(crate) fn touch(&self) {
        self.changed.send_replace(());
    }

    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// What happened after the entry with this number; 0 for everything.
    pub(crate) fn after(&self, number: u64) -> &[Entry] {
        let start = usize::try_from(number).unwrap_or(usize::MAX).min(self.entries.len());
        &self.entries[start..]
    }
}
