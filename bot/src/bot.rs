//! The bot as a whole: it starts, works until it is told to stop, and stops in order.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cofferdam::ops::supervisor;
use cofferdam::{ResilientStorage, StorageService};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use twilight_gateway::queue::InMemoryQueue;
use twilight_gateway::{Config, ConfigBuilder, ShardId};
use twilight_model::gateway::connection_info::BotConnectionInfo;

use crate::api::{Api, ApiError};
use crate::clock::{self, Clock};
use crate::desk::Desk;
use crate::error::BotError;
use crate::figures::{Figures, Outcome};
use crate::gateway::{Gateway, INTENTS, Identifies};
use crate::journal::Journal;
use crate::lanes::Lanes;
use crate::memory::Memory;
use crate::record::Recorder;
use crate::responder::Responder;
use crate::settings::{Settings, Shards};
use crate::status::Status;

/// The pause between attempts to reach Discord, or the database, at the start.
const PAUSE: Duration = Duration::from_secs(1);

/// How often old ownerships are removed.
const CLEANUP: Duration = Duration::from_secs(3600);

/// A bot that is ready to run.
pub struct Bot {
    settings: Settings,
    storage: Arc<ResilientStorage>,
    responder: Arc<dyn Responder>,
}

/// What a bot has done until it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Messages that were answered.
    pub answered: u64,
    /// Messages that were given up.
    pub given_up: u64,
    /// Whether everything in hand was dealt with, and everything recorded. What was not is done after the next start.
    pub is_complete: bool,
}

impl Bot {
    /// A bot with these settings, a storage and what answers. Who keeps the storage too, in an [`Arc`], can swap its plugin while
    /// the bot works.
    pub fn new(
        settings: Settings,
        storage: impl Into<Arc<ResilientStorage>>,
        responder: impl Responder + 'static,
    ) -> Self {
        Self { settings, storage: storage.into(), responder: Arc::new(responder) }
    }

    /// Works until `stop` is cancelled, and stops in order then.
    ///
    /// # Errors
    ///
    /// Why it cannot work at all: a wrong setting, a storage that does not open, or Discord's refusal.
    pub async fn run(self, stop: CancellationToken) -> Result<Summary, BotError> {
        let journal = Arc::new(Journal::open(&self.settings.journal)?);
        let (figures, clock) = (Arc::new(Figures::default()), Arc::new(Clock::default()));
        let status = Status::serve(&self.settings, &self.storage, &figures, &journal).await?;
        // With `COFFERDAM_ON_UNAVAILABLE=degrade`, the default, it starts without its database.
        self.storage.initialize().await?;
        // Discord and the database may be away: the status page tells.
        supervisor::ready(None);

        let api = Api::new(&self.settings, journal.clone(), clock.clone(), figures.clone())?;
        if journal.is_warm() {
            api.begin_slowly();
        }
        let discord = async {
            let gateway = patiently(&stop, || api.gateway()).await?;
            let me = patiently(&stop, || api.me()).await?;
            Ok::<_, BotError>(gateway.zip(me))
        };
        let Some((gateway, me)) = discord.await? else {
            supervisor::stopping("finishing what is in hand");
            self.storage.close().await?;
            return Ok(Summary { answered: 0, given_up: 0, is_complete: true });
        };
        let shards = shards(self.settings.shards, gateway.shards);
        tracing::info!(bot = %me, shards = shards.len(), total = shards[0].total(), "started");
        status.expect(&shards);

        let storage: Arc<dyn StorageService> = self.storage.clone();
        let desk = Arc::new(Desk {
            recorder: Recorder::new(storage.clone(), journal.clone(), figures.clone(), me),
            questions: Semaphore::new(self.settings.questions),
            stop: stop.child_token(),
            settings: self.settings,
            me,
            responder: self.responder,
            storage,
            api,
            journal,
            memory: Memory::default(),
            channels: Default::default(),
            changes: Default::default(),
            begun: Default::default(),
            turns: Default::default(),
            figures,
            clock,
        });
        let ended = work(&desk, &shards, &gateway).await;
        let is_complete = ended.as_ref().is_ok_and(|is_complete| *is_complete);
        let closed = self.storage.close().await;
        ended?;
        closed?;
        let of = |outcome| desk.figures.answers(outcome);
        Ok(Summary { answered: of(Outcome::Answered), given_up: of(Outcome::GivenUp), is_complete })
    }
}

/// Runs the shards. True if everything in hand was dealt with and recorded in the end.
async fn work(desk: &Arc<Desk>, ids: &[ShardId], info: &BotConnectionInfo) -> Result<bool, BotError> {
    let lanes = Lanes::new(desk.clone());
    let config = config(desk, info);
    let mut gateways = Vec::new();
    for id in ids {
        gateways.push(Gateway::new(*id, config.clone(), lanes.clone())?);
    }
    // Events are received from now on, and wait in their lanes until the memory is loaded.
    let loading = tokio::spawn(load(lanes.clone()));
    let background = desk.stop.child_token();
    let recording = tokio::spawn({
        let (desk, background) = (desk.clone(), background.clone());
        async move { desk.recorder.work(background).await }
    });
    let cleaning = tokio::spawn(clean(desk.clone()));

    let mut shards = JoinSet::new();
    for mut gateway in gateways {
        shards.spawn(async move {
            let ended = gateway.run().await;
            (gateway, ended)
        });
    }
    let mut ended = Ok(());
    let mut gateways = Vec::new();
    loop {
        let next = tokio::select! {
            next = shards.join_next() => next,
            () = desk.api.refused.cancelled(), if !desk.stop.is_cancelled() => {
                ended = Err(BotError::Refused(TOKEN.into()));
                desk.stop.cancel();
                continue;
            }
        };
        match next {
            Some(Ok((gateway, result))) => {
                ended = ended.and(result);
                gateways.push(gateway);
            }
            Some(Err(error)) => ended = ended.and(Err(BotError::Machine(std::io::Error::other(error)))),
            None => break,
        }
        // One that ends by itself cannot go on, and nobody answers its servers.
        desk.stop.cancel();
    }
    supervisor::stopping("finishing what is in hand");
    let drained = timeout(desk.settings.drain, lanes.finish()).await.unwrap_or(false);
    background.cancel();
    let _ = tokio::join!(loading, recording, cleaning);
    let recorded = desk.recorder.flush().await;
    gateways.iter_mut().for_each(Gateway::save);
    // What the journal does not know either is done again.
    ended.map(|()| drained && recorded && desk.journal.trouble().is_none())
}

const TOKEN: &str = "Discord refused the token: copy it again from the developer portal, page Bot";

/// Loads the memory, as soon as the database lets, and opens the lanes.
async fn load(lanes: Arc<Lanes>) {
    let desk = lanes.desk();
    let mut is_told = false;
    while !desk.stop.is_cancelled() {
        match desk.memory.load(&*desk.storage).await {
            Ok((states, ownerships)) => {
                match desk.journal.unrecorded() {
                    Ok(unrecorded) => desk.catch_up(&unrecorded).await,
                    Err(error) => tracing::error!("{error}"),
                }
                desk.figures.threads.set(desk.memory.owned() as i64);
                tracing::info!(states, ownerships, "loaded");
                desk.figures.is_loaded.store(true, Ordering::Relaxed);
                lanes.open();
                return;
            }
            Err(error) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!("nothing is answered before the database is available: {error}");
                }
                desk.stop.run_until_cancelled(sleep(PAUSE)).await;
            }
        }
    }
}

/// Removes old ownerships, once in an hour.
async fn clean(desk: Arc<Desk>) {
    while desk.stop.run_until_cancelled(sleep(CLEANUP)).await.is_some() {
        let age = desk.settings.forget_after;
        match desk.storage.cleanup_old_thread_ownerships(age).await {
            Ok(removed) => {
                desk.memory.disown_before(clock::local_ms() / 1000 - age.as_secs() as i64);
                desk.figures.threads.set(desk.memory.owned() as i64);
                tracing::info!(removed = removed.stored(), "removed old ownerships");
            }
            Err(error) => tracing::warn!("old ownerships are removed later: {error}"),
        }
    }
}

fn config(desk: &Desk, info: &BotConnectionInfo) -> Config<Identifies> {
    let limit = &info.session_start_limit;
    if limit.remaining == 0 {
        tracing::warn!(
            seconds = limit.reset_after / 1000,
            "Discord lets this bot start no new session before its limit is reset"
        );
    }
    // 0 would turn the queue off.
    let keys = limit.max_concurrency.max(1);
    let queue = InMemoryQueue::new(
        keys,
        limit.remaining,
        Duration::from_millis(limit.reset_after),
        limit.total.max(limit.remaining),
    );
    let queue = Identifies::new(queue, desk.journal.clone(), keys);
    let token = desk.settings.token.expose().to_owned();
    ConfigBuilder::new(token, INTENTS).proxy_url(info.url.trim_end_matches('/').to_owned()).queue(queue).build()
}

fn shards(shards: Shards, recommended: u32) -> Vec<ShardId> {
    let (first, last, total) = match shards {
        Shards::Auto => (0, recommended.max(1) - 1, recommended.max(1)),
        Shards::Range { first, last, total } => (first, last, total),
    };
    (first..=last).map(|number| ShardId::new(number, total)).collect()
}

/// Asks Discord until it answers. `None` if the bot is stopped meanwhile.
async fn patiently<T, F>(stop: &CancellationToken, ask: impl Fn() -> F) -> Result<Option<T>, BotError>
where
    F: Future<Output = Result<T, ApiError>>,
{
    let mut is_told = false;
    loop {
        match stop.run_until_cancelled(ask()).await {
            None => return Ok(None),
            Some(Ok(answer)) => return Ok(Some(answer)),
            Some(Err(ApiError::Token)) => return Err(BotError::Refused(TOKEN.into())),
            Some(Err(error)) if error.is_retryable() => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!("{error}; trying again");
                }
            }
            Some(Err(error)) => return Err(BotError::Refused(error.to_string())),
        }
        if stop.run_until_cancelled(sleep(PAUSE)).await.is_none() {
            return Ok(None);
        }
    }
}
