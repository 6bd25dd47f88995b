//! The events that the demo plays: Discord's gateway events, one JSON document a line.
//! <https://docs.discord.com/developers/events/gateway-events>

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, Read};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::error::Category;

use super::snowflake;

/// Longer than any event that Discord sends.
const MAX_LINE: u64 = 1 << 20;
/// All events are kept in memory.
const MAX_EVENTS: usize = 1_000_000;

/// A user, as far as the bot looks at one.
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    #[serde(deserialize_with = "id")]
    pub id: u64,
    #[serde(default)]
    pub username: String,
    #[serde(default)]
    pub bot: bool,
}

/// A message, in a channel or in a thread.
#[derive(Clone, Debug, Deserialize)]
pub struct Message {
    #[serde(deserialize_with = "id")]
    pub id: u64,
    #[serde(deserialize_with = "id")]
    pub channel_id: u64,
    pub author: User,
    pub content: String,
    pub timestamp: Timestamp,
    pub mentions: Vec<User>,
}

/// A thread, which is a channel of its own.
#[derive(Clone, Debug, Deserialize)]
pub struct Thread {
    #[serde(deserialize_with = "id")]
    pub id: u64,
    #[serde(deserialize_with = "id")]
    pub parent_id: u64,
    #[serde(deserialize_with = "id")]
    pub owner_id: u64,
    pub thread_metadata: ThreadMetadata,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ThreadMetadata {
    pub create_timestamp: Timestamp,
}

#[derive(Debug, Deserialize)]
struct Ready {
    user: User,
}

#[derive(Debug, Deserialize)]
struct Payload {
    op: u8,
    #[serde(default)]
    t: Option<String>,
    #[serde(default)]
    d: Value,
}

/// What an event is to the demo.
#[derive(Clone, Debug)]
pub enum Event {
    Message(Message),
    Thread(Thread),
    /// Of another type: the bot sees it and looks away.
    Other,
    /// Of the connection itself, which the demo's gateway has instead: not passed on.
    Connection,
}

/// An event with what goes over the wire.
#[derive(Clone, Debug)]
pub struct Line {
    pub event: Event,
    pub name: String,
    pub data: Value,
}

/// All events, and whom they are about.
#[derive(Debug)]
pub struct Script {
    pub bot: User,
    pub lines: Vec<Line>,
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.parse() {
        Ok(id) if id > 0 && !text.starts_with('+') => Ok(id),
        _ => Err(serde::de::Error::custom("an id must be a string of digits, greater than 0")),
    }
}

impl Script {
    /// Reads and judges events; `source` names them in messages.
    pub fn read(source: &str, input: impl BufRead) -> Result<Self, String> {
        Self::read_lines(input).map_err(|problem| format!("{source}: {problem}"))
    }

    fn read_lines(mut input: impl BufRead) -> Result<Self, String> {
        let mut script = Checker::default();
        let mut text = Vec::new();
        for number in 1.. {
            text.clear();
            let length =
                (&mut input).take(MAX_LINE + 1).read_until(b'\n', &mut text).map_err(|error| error.to_string())?;
            match length as u64 {
                0 => break,
                _ if text.iter().all(u8::is_ascii_whitespace) && length as u64 <= MAX_LINE => {}
                1..=MAX_LINE => script.add(number, &text).map_err(|problem| format!("line {number}: {problem}"))?,
                _ => return Err(format!("line {number}: is longer than 1 MiB: give one event a line")),
            }
        }
        script.finish()
    }

    /// Moves all events in time, so that the last happens at `now_ms`. Channels, threads and messages get ids of
    /// their own with it, which no other run on the same database has.
    pub fn shift_to(&mut self, now_ms: i64) -> Result<(), String> {
        let last = self.lines.iter().filter_map(Line::id).map(snowflake::time_ms).max().unwrap_or(now_ms);
        let by = now_ms - last;
        for line in &mut self.lines {
            line.shift(by).ok_or("the ids cannot be moved to the present: use ids as Discord makes them")?;
        }
        Ok(())
    }

    /// Whether the bot has to answer, given the threads that it owns.
    pub fn is_addressed(bot: u64, owned: &HashSet<u64>, message: &Message) -> bool {
        let by_bot = message.author.bot || message.author.id == bot;
        !by_bot && (message.mentions.iter().any(|user| user.id == bot) || owned.contains(&message.channel_id))
    }

    /// The messages that the bot has to answer, in order.
    pub fn addressed(&self) -> Vec<&Message> {
        let mut owned = HashSet::new();
        let mut addressed = Vec::new();
        for line in &self.lines {
            match &line.event {
                Event::Thread(thread) if thread.owner_id == self.bot.id => {
                    owned.insert(thread.id);
                }
                Event::Message(message) if Self::is_addressed(self.bot.id, &owned, message) => addressed.push(message),
                _ => {}
            }
        }
        addressed
    }
}

impl Line {
    /// The id of what happened, which also says when.
    pub fn id(&self) -> Option<u64> {
        match &self.event {
            Event::Message(message) => Some(message.id),
            Event::Thread(thread) => Some(thread.id),
            Event::Other | Event::Connection => None,
        }
    }

    fn shift(&mut self, ms: i64) -> Option<()> {
        let later = |time: &mut Timestamp| {
            *time = time.checked_add(SignedDuration::from_millis(ms)).ok()?;
            Some(time.to_string())
        };
        match &mut self.event {
            Event::Message(message) => {
                message.id = snowflake::shifted(message.id, ms)?;
                message.channel_id = snowflake::shifted(message.channel_id, ms)?;
                self.data["id"] = message.id.to_string().into();
                self.data["channel_id"] = message.channel_id.to_string().into();
                self.data["timestamp"] = later(&mut message.timestamp)?.into();
            }
            Event::Thread(thread) => {
                thread.id = snowflake::shifted(thread.id, ms)?;
                thread.parent_id = snowflake::shifted(thread.parent_id, ms)?;
                self.data["id"] = thread.id.to_string().into();
                self.data["parent_id"] = thread.parent_id.to_string().into();
                self.data["thread_metadata"]["create_timestamp"] =
                    later(&mut thread.thread_metadata.create_timestamp)?.into();
            }
            Event::Other | Event::Connection => {}
        }
        Some(())
    }
}

#[derive(Default)]
struct Checker {
    bot: Option<User>,
    lines: Vec<Line>,
    /// The newest message of each channel with its line.
    newest: HashMap<u64, (u64, usize)>,
    /// The lines of threads.
    threads: HashMap<u64, usize>,
}

impl Checker {
    fn add(&mut self, number: usize, text: &[u8]) -> Result<(), String> {
        if self.lines.len() == MAX_EVENTS {
            return Err(format!("more than {MAX_EVENTS} events: give fewer"));
        }
        // Read as an object first: serde would also take an array for a struct, field after field.
        let payload: serde_json::Map<String, Value> =
            serde_json::from_slice(text).map_err(|error| not_an_event(&error))?;
        let payload = Payload::deserialize(Value::Object(payload)).map_err(|error| not_an_event(&error))?;
        let name = payload.t.unwrap_or_default();
        if payload.op != 0 {
            self.lines.push(Line { event: Event::Connection, name, data: Value::Null });
            return Ok(());
        }
        let in_event = |error: serde_json::Error| format!("{name}: {}", without_position(&error));
        let data = &payload.d;
        if matches!(name.as_str(), "MESSAGE_CREATE" | "THREAD_CREATE" | "READY") && !data.is_object() {
            return Err(format!("{name}: field `d` is not an object"));
        }
        let event = match name.as_str() {
            "" => return Err("is a dispatch (op 0) without a type: field `t` is missing".into()),
            "MESSAGE_CREATE" => Event::Message(Message::deserialize(data).map_err(in_event)?),
            "THREAD_CREATE" if data.get("thread_metadata").is_some_and(|metadata| !metadata.is_object()) => {
                return Err(format!("{name}: field `thread_metadata` is not an object"));
            }
            "THREAD_CREATE" => Event::Thread(Thread::deserialize(data).map_err(in_event)?),
            "READY" => {
                self.bot = Some(Ready::deserialize(data).map_err(in_event)?.user);
                Event::Connection
            }
            "RESUMED" | "GUILD_CREATE" => Event::Connection,
            _ => Event::Other,
        };
        match &event {
            Event::Message(message) => {
                let newest = self.newest.insert(message.channel_id, (message.id, number));
                if let Some((id, line)) = newest.filter(|(id, _)| *id >= message.id) {
                    return Err(format!(
                        "MESSAGE_CREATE: message {} is not newer than {id} of line {line} in the same channel",
                        message.id
                    ));
                }
            }
            Event::Thread(thread) => {
                if let Some(line) = self.threads.insert(thread.id, number) {
                    return Err(format!("THREAD_CREATE: thread {} was created on line {line} already", thread.id));
                }
                if self.newest.contains_key(&thread.id) {
                    return Err(format!("THREAD_CREATE: there are messages in thread {} before it", thread.id));
                }
            }
            Event::Other | Event::Connection => {}
        }
        self.lines.push(Line { event, name, data: payload.d });
        Ok(())
    }

    fn finish(self) -> Result<Script, String> {
        if self.lines.is_empty() {
            return Err("contains no events".into());
        }
        let bot = self.bot.ok_or("no READY event says who the bot is: put one on the first line")?;
        let script = Script { bot, lines: self.lines };
        match script.addressed().is_empty() {
            true => Err(format!("no message is addressed to the bot {}: there is nothing to show", script.bot.id)),
            false => Ok(script),
        }
    }
}

fn not_an_event(error: &serde_json::Error) -> String {
    let problem = without_position(error);
    match error.classify() {
        Category::Data => format!("is no gateway event: {problem}"),
        Category::Eof => format!("is not JSON: {problem}"),
        Category::Syntax | Category::Io => format!("is not JSON: {problem}, column {}", error.column()),
    }
}

/// Serde's message without its position, which counts lines within the line.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(problem, _)| problem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str = r#"{"op":0,"s":1,"t":"READY","d":{"user":{"id":"9"}}}"#;

    fn message(id: u64, channel: u64, mention: u64) -> String {
        format!(
            r#"{{"op":0,"s":1,"t":"MESSAGE_CREATE","d":{{"id":"{id}","channel_id":"{channel}","author":{{"id":"5"}},"content":"hi","timestamp":"2026-03-01T19:00:00Z","mentions":[{{"id":"{mention}"}}]}}}}"#
        )
    }

    fn read(lines: &[&str]) -> Result<Script, String> {
        Script::read("x", lines.join("\n").as_bytes())
    }

    #[test]
    fn the_demos_own_events_are_good() {
        let script = Script::read("events", super::super::EVENTS.as_bytes()).unwrap();
        assert_eq!(script.lines.len(), 2000);
        assert!(script.addressed().len() > 300);
    }

    #[test]
    fn what_the_bot_answers_is_what_mentions_it_or_is_in_a_thread_of_its_own() {
        let thread = r#"{"op":0,"t":"THREAD_CREATE","d":{"id":"20","parent_id":"1","owner_id":"9","thread_metadata":{"create_timestamp":"2026-03-01T19:00:00Z"}}}"#;
        let script = read(&[READY, &message(10, 1, 9), &message(11, 1, 5), thread, "", &message(21, 20, 5)]).unwrap();
        let ids: Vec<_> = script.addressed().iter().map(|message| message.id).collect();
        assert_eq!(ids, [10, 21]);
    }

    #[test]
    fn shifting_moves_ids_and_times_together() {
        let mut script = Script::read("events", super::super::EVENTS.as_bytes()).unwrap();
        let before: Vec<_> = script.addressed().iter().map(|message| (message.id, message.timestamp)).collect();
        let now = 1_900_000_000_123;
        script.shift_to(now).unwrap();
        assert_eq!(script.lines.iter().filter_map(Line::id).map(snowflake::time_ms).max(), Some(now));
        let by = script.addressed()[0].timestamp.as_millisecond() - before[0].1.as_millisecond();
        for ((id, timestamp), message) in before.iter().zip(script.addressed()) {
            assert_eq!(Some(message.id), snowflake::shifted(*id, by));
            assert_eq!(message.timestamp.as_millisecond() - timestamp.as_millisecond(), by);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let good = message(10, 1, 9);
        for (lines, problem) in [
            (vec![], "x: contains no events"),
            (vec!["", " "], "x: contains no events"),
            (vec![READY, "{\"op\":0,"], "x: line 2: is not JSON: EOF while parsing"),
            (vec![READY, "hello"], "x: line 2: is not JSON: expected value"),
            (vec![READY, "[1]"], "x: line 2: is no gateway event"),
            (vec!["{}"], "x: line 1: is no gateway event: missing field `op`"),
            (vec![r#"{"op":0,"d":{}}"#], "x: line 1: is a dispatch (op 0) without a type"),
            (vec![r#"{"op":0,"t":"READY","d":{}}"#], "x: line 1: READY: missing field `user`"),
            (
                vec![READY, r#"{"op":0,"t":"MESSAGE_CREATE","d":{"id":"1"}}"#],
                "x: line 2: MESSAGE_CREATE: missing field `channel_id`",
            ),
            (vec![READY, r#"{"op":0,"t":"MESSAGE_CREATE"}"#], "x: line 2: MESSAGE_CREATE: field `d` is not an object"),
            (
                vec![
                    READY,
                    r#"{"op":0,"t":"THREAD_CREATE","d":{"id":"1","parent_id":"2","owner_id":"3","thread_metadata":["2026-03-01T19:00:00Z"]}}"#,
                ],
                "x: line 2: THREAD_CREATE: field `thread_metadata` is not an object",
            ),
            (vec![READY, r#"{"op":0,"t":"MESSAGE_CREATE","d":{"id":7}}"#], "x: line 2: MESSAGE_CREATE: invalid type"),
            (vec![READY, r#"{"op":0,"t":"THREAD_CREATE","d":{"id":"x1"}}"#], "x: line 2: THREAD_CREATE: an id must be"),
            (vec![READY, &good, &good], "x: line 3: MESSAGE_CREATE: message 10 is not newer than 10 of line 2"),
            (vec![&good], "x: no READY event"),
            (vec![READY], "x: no message is addressed to the bot 9"),
        ] {
            let error = read(&lines).unwrap_err();
            assert!(error.starts_with(problem), "{error:?} instead of {problem:?}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_not_read_for_ever() {
        let error = Script::read("x", std::io::BufReader::new(std::io::repeat(b'x'))).unwrap_err();
        assert_eq!(error, "x: line 1: is longer than 1 MiB: give one event a line");
    }
}
