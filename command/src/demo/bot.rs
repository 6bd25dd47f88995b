//! The bot: a process of its own, which the demo kills.
//!
//! It replies first and records the message afterwards, so a kill between the two loses nothing: the next bot finds the
//! message unrecorded and replies again, under the same nonce, and the gateway does not create that reply twice. The
//! other order would lose the message.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use cofferdam::{Config, MessageState, ResilientStorage, StorageService, ThreadOwnership};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::events::{Message, Script, Thread, User};
use super::snowflake;
use super::wire::{self, Call, FromBot, PAGE, Recovered, Reply, Started, ToBot};
use crate::failure::Failure;
use crate::{open, output};

/// Run the bot of `cofferdam demo`, which talks to it over standard input and output.
#[derive(Args)]
pub struct DemoBot {}

#[derive(Deserialize)]
struct Ready {
    user: User,
    date: Timestamp,
}

#[derive(Deserialize)]
struct Guild {
    channels: Vec<Channel>,
    threads: Vec<GuildThread>,
}

#[derive(Deserialize)]
struct Channel {
    id: String,
    last_message_id: Option<String>,
}

#[derive(Deserialize)]
struct GuildThread {
    #[serde(flatten)]
    thread: Thread,
    last_message_id: Option<String>,
}

impl DemoBot {
    pub async fn run(self) -> Result<(), Failure> {
        let config = Config::from_env()?;
        let window = config.message_recovery_window;
        let storage = open::load_resilient(config).await?;
        storage.initialize().await?;
        // Both before the first event flows: a thread's message is answered only by who knows that it owns the thread.
        let owned: HashSet<u64> =
            storage.get_all_thread_ownerships().await?.iter().filter_map(|row| row.thread_id.parse().ok()).collect();
        let states = storage.get_message_states_within_window(window).await?;

        let mut bot = Bot {
            storage,
            gateway: Connection::open(),
            id: 0,
            owned,
            threads: HashSet::new(),
            last: states
                .iter()
                .filter_map(|row| Some((row.channel_id.parse().ok()?, row.last_message_id.parse().ok()?)))
                .collect(),
        };
        let started = Started { states: states.len(), ownerships: bot.owned.len() };
        bot.gateway.send(&FromBot::Identify(started)).await?;
        bot.live(window).await?;
        Ok(bot.storage.close().await?)
    }
}

struct Bot {
    storage: ResilientStorage,
    gateway: Connection,
    /// Its own user id.
    id: u64,
    owned: HashSet<u64>,
    threads: HashSet<u64>,
    /// The last message of each channel that needs no more looking at.
    last: HashMap<u64, u64>,
}

impl Bot {
    async fn live(&mut self, window: Duration) -> anyhow::Result<()> {
        let mut date = Timestamp::default();
        while let Some((s, name, data)) = self.gateway.event().await? {
            match name.as_str() {
                "READY" => {
                    let ready = Ready::deserialize(data).context("READY")?;
                    self.id = ready.user.id;
                    date = ready.date;
                    // Together with GUILD_CREATE it is one step, which has the same number.
                    continue;
                }
                "GUILD_CREATE" => {
                    let guild = Guild::deserialize(data).context("GUILD_CREATE")?;
                    let recovered = self.recover(guild, date, window).await?;
                    self.gateway.send(&FromBot::Recovered(recovered)).await?;
                }
                "MESSAGE_CREATE" => {
                    self.message(&Message::deserialize(data).context("MESSAGE_CREATE")?, false).await?;
                }
                "THREAD_CREATE" => self.thread(&Thread::deserialize(data).context("THREAD_CREATE")?).await?,
                _ => {}
            }
            self.gateway.send(&FromBot::Heartbeat(s)).await?;
        }
        Ok(())
    }

    /// Deals with what happened while no bot was running: all of it in channels with a state, and in the others what
    /// lies within the window, since there was nothing to answer before or it is too long ago.
    async fn recover(&mut self, guild: Guild, date: Timestamp, window: Duration) -> anyhow::Result<Recovered> {
        let start = date.as_millisecond().saturating_sub(i64::try_from(window.as_millis()).unwrap_or(i64::MAX));
        let unknown = snowflake::first_at(start).saturating_sub(1);
        let mut channels: Vec<(u64, Option<u64>)> = Vec::new();
        for channel in guild.channels {
            channels.push((channel.id.parse()?, channel.last_message_id.and_then(|id| id.parse().ok())));
        }
        for GuildThread { thread, last_message_id } in guild.threads {
            self.thread(&thread).await?;
            channels.push((thread.id, last_message_id.and_then(|id| id.parse().ok())));
        }
        let mut recovered = Recovered::default();
        for (channel, newest) in channels {
            let mut after = self.last.get(&channel).copied().unwrap_or(unknown);
            if newest.is_none_or(|newest| newest <= after) {
                continue;
            }
            recovered.channels += 1;
            loop {
                let page = self.gateway.call(Call::Messages { channel_id: channel, after, limit: PAGE }).await?;
                let mut page: Vec<Message> = Vec::deserialize(page).context("a page of history")?;
                // It comes newest first and is answered oldest first.
                page.reverse();
                recovered.pages += 1;
                recovered.messages += page.len();
                for message in &page {
                    recovered.answered += usize::from(self.message(message, true).await?);
                    after = message.id;
                }
                if page.len() < PAGE {
                    break;
                }
            }
        }
        Ok(recovered)
    }

    /// Answers a message that is addressed to the bot. Recovery and live events overlap; what was dealt with is not
    /// looked at again.
    async fn message(&mut self, message: &Message, recovered: bool) -> anyhow::Result<bool> {
        if self.last.get(&message.channel_id).is_some_and(|last| *last >= message.id) {
            return Ok(false);
        }
        let addressed = Script::is_addressed(self.id, &self.owned, message);
        if addressed {
            self.gateway
                .call(Call::CreateMessage(Reply {
                    channel_id: message.channel_id,
                    content: format!(
                        "{}: I have read all {} characters of it.",
                        message.author.username,
                        message.content.chars().count()
                    ),
                    message_reference: message.id,
                    nonce: message.id.to_string(),
                    enforce_nonce: true,
                    recovered,
                }))
                .await?;
            let channel = message.channel_id.to_string();
            let thread = self.threads.contains(&message.channel_id).then_some(channel.as_str());
            let state = MessageState::new(&channel, thread, message.id.to_string(), output::now());
            self.storage.upsert_message_state(&state).await?;
        }
        self.last.insert(message.channel_id, message.id);
        Ok(addressed)
    }

    /// Remembers a thread, and that the bot owns it if it made it. The user for whom it was made wrote the message that
    /// it was made from, whose id Discord gives to the thread.
    async fn thread(&mut self, thread: &Thread) -> anyhow::Result<()> {
        self.threads.insert(thread.id);
        if thread.owner_id != self.id || self.owned.contains(&thread.id) {
            return Ok(());
        }
        let origin = self.gateway.call(Call::Message { channel_id: thread.parent_id, message_id: thread.id }).await?;
        let user = Option::<Message>::deserialize(origin)?.map_or(self.id, |message| message.author.id);
        let ownership = ThreadOwnership::new(
            thread.id.to_string(),
            user.to_string(),
            self.id.to_string(),
            thread.thread_metadata.create_timestamp.as_second(),
        );
        self.storage.upsert_thread_ownership(&ownership).await?;
        self.owned.insert(thread.id);
        Ok(())
    }
}

/// The bot's end of the gateway.
struct Connection {
    out: tokio::io::Stdout,
    events: UnboundedReceiver<(u64, String, Value)>,
    responses: UnboundedReceiver<(u64, Value)>,
    requests: u64,
}

impl Connection {
    /// Reads all the time, so that the gateway can send events while it is asked something.
    fn open() -> Self {
        let (event, events) = unbounded_channel();
        let (response, responses) = unbounded_channel();
        tokio::spawn(async move {
            let mut lines = wire::lines(tokio::io::stdin());
            while let Ok(Some(message)) = wire::receive::<ToBot>(&mut lines).await {
                let delivered = match message {
                    ToBot::Dispatch { s, t, d, .. } => event.send((s, t, d)).is_ok(),
                    ToBot::Response { response: id, body } => response.send((id, body)).is_ok(),
                };
                if !delivered {
                    break;
                }
            }
        });
        Self { out: tokio::io::stdout(), events, responses, requests: 0 }
    }

    async fn send(&mut self, message: &FromBot) -> anyhow::Result<()> {
        wire::send(&mut self.out, message).await.context("the gateway is gone")
    }

    /// The next event; nothing where the gateway has closed the connection.
    async fn event(&mut self) -> anyhow::Result<Option<(u64, String, Value)>> {
        Ok(self.events.recv().await)
    }

    async fn call(&mut self, call: Call) -> anyhow::Result<Value> {
        self.requests += 1;
        self.send(&FromBot::Request { id: self.requests, call }).await?;
        match self.responses.recv().await {
            Some((id, body)) if id == self.requests => Ok(body),
            Some(_) => bail!("the gateway answered another request"),
            None => bail!("the gateway is gone"),
        }
    }
}
