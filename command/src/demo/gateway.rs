//! The demo's stand-in for Discord: it passes events on, keeps each channel's history, and takes replies.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::events::{Event, Script};
use super::snowflake;
use super::wire::{Call, Reply, ToBot};

pub struct Gateway {
    pub script: Script,
    /// How many events have happened.
    pub position: usize,
    /// The events that are messages, by channel.
    history: BTreeMap<u64, Vec<usize>>,
    /// The events that are new threads, by thread.
    threads: BTreeMap<u64, usize>,
    /// The replies by nonce.
    nonces: HashMap<String, u64>,
    /// Requests for a reply with a nonce that was used already.
    pub repeated: usize,
    log: File,
}

impl Gateway {
    /// Nothing has happened yet. Replies are appended to a new file.
    pub fn new(script: Script, log: &Path) -> anyhow::Result<Self> {
        let log = File::options()
            .append(true)
            .create_new(true)
            .open(log)
            .with_context(|| format!("{} cannot be written", log.display()))?;
        Ok(Self {
            script,
            position: 0,
            history: BTreeMap::new(),
            threads: BTreeMap::new(),
            nonces: HashMap::new(),
            repeated: 0,
            log,
        })
    }

    pub fn is_over(&self) -> bool {
        self.position == self.script.lines.len()
    }

    /// Lets the next event happen. Gives what a connected bot is sent of it.
    pub fn advance(&mut self) -> Option<ToBot> {
        let index = self.position;
        let line = self.script.lines.get(index)?;
        self.position += 1;
        match &line.event {
            Event::Message(message) => self.history.entry(message.channel_id).or_default().push(index),
            Event::Thread(thread) => {
                self.threads.insert(thread.id, index);
            }
            Event::Other => {}
            Event::Connection => return None,
        }
        Some(ToBot::Dispatch { op: 0, s: self.position as u64, t: line.name.clone(), d: line.data.clone() })
    }

    /// What Discord sends to a bot that identifies itself: who it is, then its server's channels and threads, each
    /// with its newest message. `date` is what an HTTP answer says in the header of that name.
    pub fn welcome(&self) -> [ToBot; 2] {
        let newest = |channel: &u64| {
            let index = self.history.get(channel)?.last()?;
            Some(self.script.lines[*index].id()?.to_string())
        };
        let channels: Vec<_> = (self.history.keys())
            .filter(|channel| !self.threads.contains_key(channel))
            .map(|channel| json!({ "id": channel.to_string(), "last_message_id": newest(channel) }))
            .collect();
        let threads: Vec<_> = (self.threads.iter())
            .map(|(thread, index)| {
                let mut data = self.script.lines[*index].data.clone();
                data["last_message_id"] = newest(thread).into();
                data
            })
            .collect();
        let s = self.position as u64;
        let ready =
            json!({ "v": 10, "user": { "id": self.script.bot.id.to_string(), "bot": true }, "date": self.date() });
        [
            ToBot::Dispatch { op: 0, s, t: "READY".into(), d: ready },
            ToBot::Dispatch {
                op: 0,
                s,
                t: "GUILD_CREATE".into(),
                d: json!({ "channels": channels, "threads": threads }),
            },
        ]
    }

    /// The time of the last event.
    fn date(&self) -> Timestamp {
        let last = self.script.lines[..self.position].iter().rev().find_map(|line| line.id());
        Timestamp::from_millisecond(snowflake::time_ms(last.unwrap_or(0))).unwrap_or_default()
    }

    /// Answers a call. A reply is in the log before this returns.
    pub fn answer(&mut self, call: Call) -> anyhow::Result<Value> {
        match call {
            Call::Messages { channel_id, after, limit } => {
                let events = self.history.get(&channel_id).map_or(&[][..], Vec::as_slice);
                let id = |index: &usize| self.script.lines[*index].id().unwrap_or(0);
                let start = events.partition_point(|index| id(index) <= after);
                let page = &events[start..events.len().min(start + limit)];
                Ok(page.iter().rev().map(|index| self.script.lines[*index].data.clone()).collect())
            }
            Call::Message { channel_id, message_id } => {
                let events = self.history.get(&channel_id).map_or(&[][..], Vec::as_slice);
                let found = events.iter().find(|index| self.script.lines[**index].id() == Some(message_id));
                Ok(found.map_or(Value::Null, |index| self.script.lines[*index].data.clone()))
            }
            Call::CreateMessage(reply) => self.create(reply),
        }
    }

    fn create(&mut self, reply: Reply) -> anyhow::Result<Value> {
        if reply.enforce_nonce
            && let Some(number) = self.nonces.get(&reply.nonce)
        {
            self.repeated += 1;
            return Ok(json!({ "id": number.to_string(), "nonce": reply.nonce }));
        }
        let number = self.nonces.len() as u64 + 1;
        let mut line = serde_json::to_vec(&reply)?;
        line.push(b'\n');
        self.log.write_all(&line).context("the log of replies cannot be written")?;
        self.nonces.insert(reply.nonce.clone(), number);
        Ok(json!({ "id": number.to_string(), "nonce": reply.nonce }))
    }
}
