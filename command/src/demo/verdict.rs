//! The proof: what the events asked for against the log of replies and the database.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use anyhow::Context;
use cofferdam::{Storage, StorageService};
use serde_json::{Value, json};

use super::events::{Event, Script};
use super::gateway::Gateway;
use super::wire::Reply;
use crate::failure::Failure;
use crate::output;

/// What must be true in the end, worked out from the events alone.
pub struct Expected {
    bot: u64,
    events: usize,
    messages: usize,
    channels: usize,
    threads: BTreeSet<u64>,
    ignored: usize,
    /// The messages that are to be answered, with their channel.
    addressed: BTreeMap<u64, u64>,
    /// The bot's threads with the user for whom each was made and when.
    ownerships: BTreeMap<u64, (u64, i64)>,
}

impl Expected {
    pub fn of(script: &Script) -> Self {
        let mut authors = HashMap::new();
        let mut channels = BTreeSet::new();
        let mut expected = Self {
            bot: script.bot.id,
            events: script.lines.len(),
            messages: 0,
            channels: 0,
            threads: BTreeSet::new(),
            ignored: 0,
            addressed: script.addressed().iter().map(|message| (message.id, message.channel_id)).collect(),
            ownerships: BTreeMap::new(),
        };
        for line in &script.lines {
            match &line.event {
                Event::Message(message) => {
                    expected.messages += 1;
                    channels.insert(message.channel_id);
                    authors.insert((message.channel_id, message.id), message.author.id);
                }
                Event::Thread(thread) => {
                    expected.threads.insert(thread.id);
                    if thread.owner_id == script.bot.id {
                        let user = authors.get(&(thread.parent_id, thread.id)).copied().unwrap_or(script.bot.id);
                        let made = thread.thread_metadata.create_timestamp.as_second();
                        expected.ownerships.insert(thread.id, (user, made));
                    }
                }
                Event::Other | Event::Connection => expected.ignored += 1,
            }
        }
        expected.channels = channels.difference(&expected.threads).count();
        expected
    }

    pub fn summary(&self) -> String {
        format!(
            "{}: {} messages in {} channels and {} threads, {} of them addressed to the bot; {} of other types ignored",
            self.events,
            self.messages,
            self.channels,
            self.threads.len(),
            self.addressed.len(),
            self.ignored
        )
    }

    /// Reads the log of replies from its file and everything else from the database.
    pub async fn judge(&self, storage: &Storage, log: &Path, gateway: &Gateway) -> Result<Report, Failure> {
        let replies = read_log(log)?;
        storage.initialize().await?;
        let states = storage.get_all_message_states().await?;
        let ownerships = storage.get_all_thread_ownerships().await?;
        storage.close().await?;

        let mut report = Report {
            events: self.events,
            messages: self.messages,
            addressed: self.addressed.len(),
            repeated: gateway.repeated,
            states: Matched { expected: 0, right: 0 },
            ownerships: Matched { expected: self.ownerships.len(), right: 0 },
            ..Report::default()
        };
        let mut answers: BTreeMap<u64, usize> = BTreeMap::new();
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for reply in &replies {
            *answers.entry(reply.message_reference).or_default() += 1;
            let newest = last.entry(reply.channel_id).or_default();
            report.out_of_order += usize::from(reply.message_reference < *newest);
            *newest = (*newest).max(reply.message_reference);
            report.unasked += usize::from(self.addressed.get(&reply.message_reference) != Some(&reply.channel_id));
            report.recovered += usize::from(reply.recovered);
        }
        report.answered = answers.len();
        report.live = replies.len() - report.recovered;
        report.lost = self.addressed.keys().filter(|message| !answers.contains_key(message)).count();
        report.twice = answers.values().filter(|count| **count > 1).count();

        // A state of a channel must be there once, and be that of the last message that was answered there.
        let mut stored: BTreeMap<u64, Vec<(bool, &str)>> = BTreeMap::new();
        for state in &states {
            if let Ok(channel) = state.channel_id.parse() {
                let in_thread = state.thread_id.as_deref() == Some(state.channel_id.as_str());
                if state.thread_id.is_none() || in_thread {
                    stored.entry(channel).or_default().push((in_thread, &state.last_message_id));
                }
            }
        }
        report.states.expected = last.len();
        report.states.right = last
            .iter()
            .filter(|(channel, message)| {
                let message = message.to_string();
                let right = (self.threads.contains(channel), message.as_str());
                stored.get(channel).is_some_and(|states| states[..] == [right])
            })
            .count();
        report.ownerships.right = ownerships
            .iter()
            .filter(|row| {
                let expected = row.thread_id.parse().ok().and_then(|thread: u64| self.ownerships.get(&thread));
                expected.is_some_and(|(user, made)| {
                    row.original_user_id == user.to_string()
                        && row.created_by == self.bot.to_string()
                        && row.creation_time == *made
                })
            })
            .count();
        Ok(report)
    }
}

fn read_log(log: &Path) -> anyhow::Result<Vec<Reply>> {
    let text = std::fs::read_to_string(log).context("the log of replies cannot be read")?;
    text.lines().map(|line| serde_json::from_str(line).context("a reply in the log cannot be read")).collect()
}

/// Rows that must be in the database, and those of them that are.
#[derive(Debug, Default)]
struct Matched {
    expected: usize,
    right: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    events: usize,
    messages: usize,
    addressed: usize,
    answered: usize,
    live: usize,
    recovered: usize,
    repeated: usize,
    lost: usize,
    twice: usize,
    unasked: usize,
    out_of_order: usize,
    states: Matched,
    ownerships: Matched,
}

impl Report {
    fn holds(&self) -> bool {
        self.lost == 0
            && self.twice == 0
            && self.unasked == 0
            && self.out_of_order == 0
            && self.states.right == self.states.expected
            && self.ownerships.right == self.ownerships.expected
    }

    pub fn result(&self) -> Result<(), Failure> {
        match self.holds() {
            true => Ok(()),
            false => {
                Err(Failure::failed("messages were lost, or answered twice, or the database is wrong: see the report"))
            }
        }
    }

    pub fn text(&self) -> String {
        let zero = |count: usize| if count == 0 { "ok" } else { "WRONG" };
        let all = |matched: &Matched| if matched.right == matched.expected { "ok" } else { "WRONG" };
        let of = |matched: &Matched| format!("{} of {}", matched.right, matched.expected);
        let mut columns = output::Columns::new(&[], &[1]);
        for (name, value, verdict) in [
            ("events", self.events.to_string(), ""),
            ("messages", self.messages.to_string(), ""),
            ("addressed to the bot", self.addressed.to_string(), ""),
            ("answered", self.answered.to_string(), zero(self.addressed.abs_diff(self.answered))),
            ("  live", self.live.to_string(), ""),
            ("  after recovery", self.recovered.to_string(), ""),
            ("lost", self.lost.to_string(), zero(self.lost)),
            ("answered twice", self.twice.to_string(), zero(self.twice)),
            ("answered unasked", self.unasked.to_string(), zero(self.unasked)),
            ("answered out of order", self.out_of_order.to_string(), zero(self.out_of_order)),
            ("replies deduplicated by nonce", self.repeated.to_string(), ""),
            ("states as last answered", of(&self.states), all(&self.states)),
            ("threads owned", of(&self.ownerships), all(&self.ownerships)),
        ] {
            columns.add([name.to_owned(), value, verdict.to_owned()]);
        }
        columns.text()
    }

    pub fn json(&self) -> Value {
        json!({
            "ok": self.holds(),
            "events": self.events,
            "messages": self.messages,
            "addressed": self.addressed,
            "answered": self.answered,
            "answered_live": self.live,
            "answered_after_recovery": self.recovered,
            "lost": self.lost,
            "answered_twice": self.twice,
            "answered_unasked": self.unasked,
            "answered_out_of_order": self.out_of_order,
            "replies_kept_single": self.repeated,
            "states": { "expected": self.states.expected, "right": self.states.right },
            "ownerships": { "expected": self.ownerships.expected, "right": self.ownerships.right },
        })
    }
}
