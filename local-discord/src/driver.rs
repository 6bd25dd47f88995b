//! What a test does with a local Discord.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use tokio::task::JoinHandle;

use crate::actions::{Change, NewThread};
use crate::app::App;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::faults::{Fault, Held, Storm};
use crate::gateway::session::Out;
use crate::id::Id;
use crate::record::{Entry, What};
use crate::report::Report;
use crate::settings::Settings;
use crate::wire::{Mains, Switch, listen};
use crate::world::channel::{Channel, PUBLIC_THREAD, TEXT};
use crate::world::guild::Guild;
use crate::world::message::{Message, mentions};
use crate::world::user::{Kind, User};
use crate::{gateway, local, rest};

/// A Discord on loopback. It ends when it is dropped.
#[derive(Debug)]
pub struct Discord {
    app: App,
    /// What ends with it; other handles have none.
    owned: Option<[JoinHandle<()>; 2]>,
}

impl Drop for Discord {
    fn drop(&mut self) {
        for task in self.owned.iter().flatten() {
            task.abort();
        }
        if self.owned.is_some() {
            self.app.holds.release_all();
            self.app.mains.cut();
        }
    }
}

impl Discord {
    /// Starts a Discord with the guilds and channels of the settings.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] if the port cannot be opened.
    pub async fn start(settings: Settings) -> Result<Self> {
        let mains = Mains::default();
        let wanted = settings.listen;
        let opened = listen(wanted, mains.clone()).await;
        let (lines, address) = opened.map_err(|source| Error::Listen { address: wanted, source })?;
        let guilds = settings.guilds.clone();
        let app = App::new(settings, address, mains);
        let routes = Router::new()
            .route("/", any(gateway::upgrade))
            .nest("/api/v10", rest::routes(&app))
            .nest("/local", local::routes())
            .with_state(app.clone());
        let service = routes.into_make_service_with_connect_info::<Switch>();
        let server = tokio::spawn(async move {
            // It ends only with its task.
            let _ = axum::serve(lines, service).await;
        });
        let caretaker = tokio::spawn(app.clone().caretake());
        let discord = Self { app, owned: Some([server, caretaker]) };
        for (guild, channels) in guilds {
            let guild = discord.create_guild(&guild);
            for channel in channels {
                discord.create_channel(guild, &channel)?;
            }
        }
        Ok(discord)
    }

    /// Another handle, which ends nothing.
    pub(crate) fn handle(app: App) -> Self {
        Self { app, owned: None }
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.app.address
    }

    /// The base of REST's paths, such as `http://127.0.0.1:4000`; the paths start with `/api/v10`.
    pub fn api(&self) -> String {
        format!("http://{}", self.app.address)
    }

    /// The gateway's URL, such as `ws://127.0.0.1:4000`.
    pub fn gateway(&self) -> String {
        format!("ws://{}", self.app.address)
    }

    /// The bot's token, without the word `Bot`.
    pub fn token(&self) -> String {
        self.app.settings.token.clone()
    }

    /// The bot's user, whose id is that of its application too.
    pub fn bot(&self) -> Id {
        self.app.lock().world.bot
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.app.clock
    }

    /// All guilds with their names.
    pub fn guilds(&self) -> Vec<(Id, String)> {
        self.app.lock().world.guilds.values().map(|guild| (guild.id, guild.name.clone())).collect()
    }

    /// All channels and threads with their names, direct channels without.
    pub fn channels(&self) -> Vec<(Id, String)> {
        self.app.lock().world.channels.values().map(|channel| (channel.id, channel.name.clone())).collect()
    }

    /// Makes a guild in which the bot and the owner are members.
    pub fn create_guild(&self, name: &str) -> Id {
        let mut state = self.app.lock();
        let id = state.next_id();
        // Guilds are told apart by the time of their ids, also by shards: one made in the same millisecond would be alike.
        let id = Id(((id.0 >> 22) + state.world.guilds.len() as u64) << 22 | id.0 & 0x3f_ffff);
        let members = [state.world.owner, state.world.bot].into();
        let guild = Guild::new(id, name, members);
        let event = state.world.guild_event("GUILD_CREATE", &guild);
        state.world.guilds.insert(id, guild);
        state.dispatch(event);
        id
    }

    /// Makes a text channel.
    ///
    /// # Errors
    ///
    /// The guild does not exist.
    pub fn create_channel(&self, guild: Id, name: &str) -> Result<Id> {
        let mut state = self.app.lock();
        state.world.guild(guild)?;
        let channel = Channel::new(state.next_id(), TEXT, Some(guild), name);
        let id = channel.id;
        let event = state.world.channel_event("CHANNEL_CREATE", &channel);
        state.world.channels.insert(id, channel);
        state.dispatch(event);
        Ok(id)
    }

    /// Makes a user, who is a member of all guilds there are unless it is a webhook.
    pub fn create_user(&self, name: &str, kind: Kind) -> Id {
        let mut state = self.app.lock();
        let id = state.next_id();
        state.world.users.insert(id, User::new(id, name, kind));
        if kind != Kind::Webhook {
            for guild in state.world.guilds.values_mut() {
                guild.members.insert(id);
            }
        }
        id
    }

    /// The direct channel of the bot with a user.
    ///
    /// # Errors
    ///
    /// The user does not exist.
    pub fn direct_channel(&self, user: Id) -> Result<Id> {
        let mut state = self.app.lock();
        state.world.user(user)?;
        Ok(state.direct_channel(user))
    }

    /// Somebody says something that the bot need not answer.
    ///
    /// # Errors
    ///
    /// The channel or the author does not exist.
    pub fn say(&self, channel: Id, author: Id, content: &str) -> Result<Id> {
        self.message(channel, author, content, false, None)
    }

    /// Somebody says something that the bot is to answer once. An answer contains the key; without one it is a reply to the
    /// message, or the first message of the bot in the thread made from it.
    ///
    /// # Errors
    ///
    /// The channel or the author does not exist.
    pub fn ask(&self, channel: Id, author: Id, content: &str, key: Option<&str>) -> Result<Id> {
        self.message(channel, author, content, true, key)
    }

    fn message(&self, channel: Id, author: Id, content: &str, asks: bool, key: Option<&str>) -> Result<Id> {
        let mut state = self.app.lock();
        state.world.user(author)?;
        state.world.channel(channel)?;
        let message = Message::new(state.next_id(), channel, author, content);
        let id = message.id;
        if asks {
            state.questions.ask(id, channel, key.map(str::to_owned));
        }
        state.create_message(message)?;
        Ok(id)
    }

    /// A message of anybody is edited.
    ///
    /// # Errors
    ///
    /// The channel or the message does not exist.
    pub fn edit(&self, channel: Id, message: Id, content: &str) -> Result<()> {
        self.app.lock().edit_message(channel, message, |message| {
            message.mentions = mentions(content);
            message.content = content.to_owned();
        })
    }

    /// A message of anybody is deleted. A question without an answer is withdrawn by that.
    ///
    /// # Errors
    ///
    /// The channel or the message does not exist.
    pub fn delete(&self, channel: Id, message: Id) -> Result<()> {
        self.app.lock().delete_message(channel, message)
    }

    /// The messages of a channel, oldest first: id, author and content.
    ///
    /// # Errors
    ///
    /// The channel does not exist.
    pub fn messages(&self, channel: Id) -> Result<Vec<(Id, Id, String)>> {
        let state = self.app.lock();
        let messages = state.world.channel(channel)?.messages.values();
        Ok(messages.map(|message| (message.id, message.author, message.content.clone())).collect())
    }

    /// Somebody makes a public thread, from a message or without.
    ///
    /// # Errors
    ///
    /// The channel or the message does not exist, or the message has a thread.
    pub fn create_thread(&self, channel: Id, message: Option<Id>, owner: Id, name: &str) -> Result<Id> {
        let mut state = self.app.lock();
        if let Some(id) = message.filter(|message| state.world.channels.contains_key(message)) {
            return Err(Error::Unfit { what: "message", id, problem: "has a thread already" });
        }
        let new = NewThread { parent: channel, message, kind: PUBLIC_THREAD, name, owner, auto_archive: 1_440 };
        state.create_thread(&new)
    }

    /// A thread is archived or comes back, and is locked or unlocked.
    ///
    /// # Errors
    ///
    /// The thread does not exist, or is none.
    pub fn archive(&self, thread: Id, archived: bool, locked: bool) -> Result<()> {
        let mut state = self.app.lock();
        if state.world.channel(thread)?.thread.is_none() {
            return Err(Error::Unfit { what: "channel", id: thread, problem: "is no thread" });
        }
        state.change_channel(thread, Change { archived: Some(archived), locked: Some(locked), ..Change::default() })
    }

    /// A channel or thread gets another name.
    ///
    /// # Errors
    ///
    /// The channel does not exist.
    pub fn rename(&self, channel: Id, name: &str) -> Result<()> {
        self.app.lock().change_channel(channel, Change { name: Some(name.to_owned()), ..Change::default() })
    }

    /// A channel with its threads, or a thread, is deleted.
    ///
    /// # Errors
    ///
    /// The channel does not exist.
    pub fn delete_channel(&self, channel: Id) -> Result<()> {
        self.app.lock().delete_channel(channel)
    }

    /// Takes permissions away from the bot in a channel and its threads; 0 gives all back. See [`crate::permissions`].
    ///
    /// # Errors
    ///
    /// The channel does not exist.
    pub fn deny(&self, channel: Id, permissions: u64) -> Result<()> {
        let mut state = self.app.lock();
        state.world.channel_mut(channel)?.denied = permissions;
        state.change_channel(channel, Change::default())
    }

    /// Adds a fault to the script.
    ///
    /// # Errors
    ///
    /// [`Error::Fault`] if it would never do anything.
    pub fn script(&self, fault: Fault) -> Result<()> {
        fault.check()?;
        self.app.lock().faults.add(fault);
        Ok(())
    }

    /// Begins random faults.
    pub fn storm(&self, storm: Storm) {
        self.app.lock().faults.set_storm(storm);
    }

    /// Ends the script and the storm, and releases what is held.
    pub fn calm(&self) {
        self.app.lock().faults.clear();
        self.app.holds.release_all();
    }

    /// Waits until a fault holds something, and says what.
    pub async fn held(&self) -> Held {
        self.app.holds.wait().await
    }

    /// What is held now.
    pub fn holding(&self) -> Vec<Held> {
        self.app.holds.list()
    }

    /// Lets something that is held go on.
    pub fn release(&self, held: u64) {
        self.app.holds.release(held);
    }

    /// Closes all connections to the gateway with a code.
    pub fn close_connections(&self, code: u16) {
        self.app.lock().gateway.tell(|| Out::Close(code));
    }

    /// Cuts all TCP connections, those of REST too.
    pub fn cut_connections(&self) {
        self.app.mains.cut();
    }

    /// Asks all clients to reconnect.
    pub fn reconnect(&self) {
        self.app.lock().gateway.tell(|| Out::Reconnect);
    }

    /// Calls all sessions invalid.
    pub fn invalidate_sessions(&self, resumable: bool) {
        self.app.lock().gateway.tell(|| Out::InvalidSession { resumable });
    }

    /// Asks all clients for a heartbeat at once.
    pub fn ask_heartbeats(&self) {
        self.app.lock().gateway.tell(|| Out::AskHeartbeat);
    }

    /// Connections to the gateway there are.
    pub fn connections(&self) -> usize {
        self.app.lock().gateway.open.len()
    }

    /// Everything that happened so far.
    pub fn record(&self) -> Vec<Entry> {
        self.record_after(0)
    }

    /// What happened after the entry with this number.
    pub fn record_after(&self, number: u64) -> Vec<Entry> {
        self.app.lock().record.after(number).to_vec()
    }

    /// What became of the questions.
    pub fn report(&self) -> Report {
        let state = self.app.lock();
        state.questions.report(state.record.after(0))
    }

    /// Waits until every question has an answer, or until `limit` of this machine's time has passed. Says whether they have.
    pub async fn answered(&self, limit: Duration) -> bool {
        let all = async {
            while !self.app.lock().questions.all_answered() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(limit, all).await.is_ok()
    }

    /// Waits until the record has such an entry, or until `limit` of this machine's time has passed. Says whether it has.
    pub async fn happened(&self, limit: Duration, mut such: impl FnMut(&What) -> bool) -> bool {
        let mut seen = 0;
        let wait = async {
            loop {
                let new = self.record_after(seen);
                if new.iter().any(|entry| such(&entry.what)) {
                    return;
                }
                seen += new.len() as u64;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }
}
