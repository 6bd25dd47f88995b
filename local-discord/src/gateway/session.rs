//! Sessions: what outlives a connection.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::event::Event;
use super::intents;
use crate::id::Id;
use crate::world::message::hide_content;

/// What a connection is told to send or to do.
#[derive(Debug)]
pub(crate) enum Out {
    Event(Arc<Sent>),
    Close(u16),
    Reconnect,
    InvalidSession { resumable: bool },
    AskHeartbeat,
}

/// An event as one session got it.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) seq: u64,
    pub(crate) name: &'static str,
    pub(crate) channel: Option<Id>,
    /// The message or thread that it is about.
    pub(crate) subject: Option<Id>,
    pub(crate) text: String,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) shard: (u64, u64),
    pub(crate) intents: u64,
    pub(crate) seq: u64,
    pub(crate) buffer: VecDeque<Arc<Sent>>,
    /// The connection that has the session, with its number.
    pub(crate) connection: Option<(u64, mpsc::UnboundedSender<Out>)>,
    /// When the connection was lost, in milliseconds since the Unix epoch.
    pub(crate) lost_ms: Option<u64>,
}

impl Session {
    /// Whether the session hears of an event.
    pub(crate) fn hears(&self, event: &Event) -> bool {
        let shard = event.guild.map_or(0, |guild| (guild.0 >> 22) % self.shard.1);
        shard == self.shard.0 && (event.intent == 0 || self.intents & event.intent != 0)
    }

    /// Numbers an event, remembers it, and gives it to the connection.
    pub(crate) fn push(&mut self, event: &Event, room: usize) -> Arc<Sent> {
        self.seq += 1;
        let mut data = event.data.clone();
        if event.private && self.intents & intents::MESSAGE_CONTENT == 0 {
            hide_content(&mut data);
        }
        let sent = Arc::new(Sent {
            seq: self.seq,
            name: event.name,
            channel: event.channel,
            subject: event.subject,
            text: frame(0, data, Some((self.seq, event.name))),
        });
        self.buffer.push_back(sent.clone());
        while self.buffer.len() > room {
            self.buffer.pop_front();
        }
        self.tell(Out::Event(sent.clone()));
        sent
    }

    /// Gives something to the connection, if there is one.
    pub(crate) fn tell(&self, out: Out) {
        if let Some((_, connection)) = &self.connection {
            let _ = connection.send(out);
        }
    }

    /// Whether everything after `seq` is still remembered.
    pub(crate) fn remembers(&self, seq: u64) -> bool {
        self.buffer.front().map_or(seq == self.seq, |first| first.seq <= seq + 1)
    }
}

/// A frame as it is written.
pub(crate) fn frame(op: u8, data: Value, event: Option<(u64, &str)>) -> String {
    let (seq, name) = event.unzip();
    json!({ "op": op, "d": data, "s": seq, "t": name }).to_string()
}
