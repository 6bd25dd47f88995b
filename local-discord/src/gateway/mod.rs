//! The gateway: sessions, and connections that come and go.

pub(crate) mod close;
mod codec;
mod connection;
mod enter;
pub(crate) mod event;
mod frames;
pub mod intents;
pub(crate) mod session;
mod strike;

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::sync::mpsc;

use crate::app::State;
use crate::faults::{Act, Moment};
use crate::id::Id;
use crate::world::permissions::VIEW_CHANNEL;

pub(crate) use connection::upgrade;
pub(crate) use enter::DAY_MS;
use event::Event;
use session::{Out, Session};

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Gateway {
    pub(crate) sessions: HashMap<String, Session>,
    /// Connections there are, by their numbers.
    pub(crate) open: BTreeMap<u64, mpsc::UnboundedSender<Out>>,
    /// Made so far, connections and sessions.
    pub(crate) connections: u64,
    pub(crate) made: u64,
    /// The last IDENTIFY of each key, in milliseconds since the Unix epoch.
    pub(crate) identified: HashMap<u64, u64>,
    /// Those of the last 24 hours, oldest first.
    pub(crate) identifies: VecDeque<u64>,
    /// Events that are held back until one of another channel has passed them.
    late: Vec<Event>,
    pub(crate) late_since_ms: Option<u64>,
}

impl Gateway {
    /// A connection no longer has a session, which is over or waits for a resume.
    fn leave(&mut self, id: &str, connection: u64, over: bool, now_ms: u64) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.connection.as_ref().is_some_and(|(number, _)| *number == connection) {
            session.connection = None;
            session.lost_ms = Some(now_ms);
            if over {
                self.sessions.remove(id);
            }
        }
    }

    /// Tells all connections something.
    pub(crate) fn tell(&self, out: impl Fn() -> Out) {
        for connection in self.open.values() {
            let _ = connection.send(out());
        }
    }

    /// Forgets the IDENTIFYs that are older than a day.
    pub(crate) fn forget_identifies(&mut self, now_ms: u64) {
        while self.identifies.front().is_some_and(|at| now_ms.saturating_sub(*at) >= enter::DAY_MS) {
            self.identifies.pop_front();
        }
    }
}

impl State {
    /// Something happened: those who listen for it hear of it.
    pub(crate) fn dispatch(&mut self, event: Event) {
        let hidden = event.channel.and_then(|id| self.world.channels.get(&id));
        if hidden.is_some_and(|channel| !self.world.may(channel, VIEW_CHANNEL)) {
            return;
        }
        // Never out of order in its own channel.
        self.release_late(|late| late.channel == event.channel);
        let acts = self.fault(&Moment::Event(event.name.to_owned()), event.channel, Act::is_of_dispatch);
        if acts.contains(&Act::Late) && event.channel.is_some() {
            self.gateway.late_since_ms.get_or_insert(self.clock.now_ms());
            self.gateway.late.push(event);
            return;
        }
        self.deliver(&event);
        if acts.contains(&Act::Twice) {
            self.deliver(&event);
        }
        self.release_late(|_| true);
    }

    /// Lets go what was held back. After some time nothing else may come.
    pub(crate) fn release_late(&mut self, which: impl Fn(&Event) -> bool) {
        let (go, stay) = std::mem::take(&mut self.gateway.late).into_iter().partition(which);
        self.gateway.late = stay;
        if self.gateway.late.is_empty() {
            self.gateway.late_since_ms = None;
        }
        let go: Vec<Event> = go;
        for event in &go {
            self.deliver(event);
        }
    }

    fn deliver(&mut self, event: &Event) {
        let now_ms = self.clock.now_ms();
        let memory = u64::try_from(self.settings.session_memory.as_millis()).unwrap_or(u64::MAX);
        self.gateway
            .sessions
            .retain(|_, session| session.lost_ms.is_none_or(|lost| now_ms.saturating_sub(lost) < memory));
        for session in self.gateway.sessions.values_mut().filter(|session| session.hears(event)) {
            session.push(event, self.settings.event_buffer);
        }
    }

    /// The guilds of a shard.
    pub(crate) fn guilds_of(&self, (shard, shards): (u64, u64)) -> Vec<Id> {
        self.world.guilds.keys().copied().filter(|id| (id.0 >> 22) % shards == shard).collect()
    }

    /// The application's flags: which privileged intents it has.
    pub(crate) fn application_flags(&self) -> u64 {
        let granted = self.settings.privileged;
        let flag = |intent, flag| if granted & intent != 0 { flag } else { 0 };
        // The flags of applications in fewer than a hundred guilds.
        flag(intents::GUILD_PRESENCES, 1 << 13)
            | flag(intents::GUILD_MEMBERS, 1 << 15)
            | flag(intents::MESSAGE_CONTENT, 1 << 19)
    }
}
