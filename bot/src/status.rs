//! Probes, metrics and the status page: those of the storage, with what is to be known of the bot.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use cofferdam::ResilientStorage;
use cofferdam::config::runtime_folder;
use cofferdam::ops::{self, Ops, Part, Socket, Standing};
use serde_json::json;
use tokio::net::{TcpListener, UnixListener};
use twilight_gateway::ShardId;

use crate::error::BotError;
use crate::figures::{Figures, Outcome};
use crate::journal::Journal;
use crate::settings::Settings;

/// How long a sign of another process on the same shards is told of.
const LATELY: Duration = Duration::from_secs(600);

/// What is shown of a bot.
#[derive(Clone)]
struct Shown {
    figures: Arc<Figures>,
    journal: Arc<Journal>,
    shards: Arc<OnceLock<Vec<u32>>>,
}

/// Where it is shown, until this is dropped.
pub struct Status {
    shown: Shown,
    _socket: Option<Socket>,
}

impl Status {
    /// Listens where the settings say, before anything that takes time.
    ///
    /// # Errors
    ///
    /// A place that was asked for cannot be listened at.
    pub async fn serve(
        settings: &Settings,
        storage: &Arc<ResilientStorage>,
        figures: &Arc<Figures>,
        journal: &Arc<Journal>,
    ) -> Result<Self, BotError> {
        let shown = Shown { figures: figures.clone(), journal: journal.clone(), shards: Arc::default() };
        let (gateway, answers, kept) = (shown.clone(), shown.clone(), shown.clone());
        let router = Ops::new(storage)
            .registry(figures.registry())
            .part(move || gateway.gateway())
            .part(move || answers.answers())
            .part(move || kept.journal())
            .router();
        if let Some(listener) = listen(settings).await? {
            let router = router.clone();
            tokio::spawn(async move { axum::serve(listener, router).await });
        }
        let socket = administer(settings, router.merge(ops::swaps(storage)))?;
        Ok(Self { shown, _socket: socket })
    }

    /// These shards are to be connected.
    pub fn expect(&self, shards: &[ShardId]) {
        let _ = self.shown.shards.set(shards.iter().map(|shard| shard.number()).collect());
    }
}

async fn listen(settings: &Settings) -> Result<Option<TcpListener>, BotError> {
    let Some(listen) = &settings.listen else { return Ok(None) };
    let address = listen.at;
    match TcpListener::bind(address).await {
        Ok(listener) => {
            tracing::info!("status page, probes and metrics at http://{}/", listener.local_addr()?);
            Ok(Some(listener))
        }
        Err(error) if listen.is_required => Err(BotError::Listen { address, error }),
        Err(error) => {
            tracing::warn!("no status page: {address} cannot be listened on: {error}; BOT_LISTEN names another");
            Ok(None)
        }
    }
}

/// Serves this on the administration socket.
fn administer(settings: &Settings, router: Router) -> Result<Option<Socket>, BotError> {
    let Some(listen) = &settings.admin_socket else { return Ok(None) };
    if !listen.is_required && runtime_folder().is_none() {
        // The database's folder, which may be still to be made. What is wrong with it is told below.
        let _ = std::fs::create_dir_all(listen.at.parent().unwrap_or(Path::new(".")));
    }
    match Socket::bind(&listen.at) {
        Ok((socket, listener)) => {
            let listener = UnixListener::from_std(listener)?;
            tracing::info!("administration at {}", listen.at.display());
            tokio::spawn(async move { axum::serve(listener, router).await });
            Ok(Some(socket))
        }
        Err(error) if listen.is_required => Err(BotError::Socket(error)),
        Err(error) => {
            tracing::warn!("no administration socket, {error} (COFFERDAM_ADMIN_SOCKET)");
            Ok(None)
        }
    }
}

impl Shown {
    /// The connections to Discord. Each is made anew all the time, so one that is missing is waited for.
    fn gateway(&self) -> Part {
        let figures = &self.figures;
        let shards = self.shards.get().map_or(&[][..], Vec::as_slice);
        let connected = shards.iter().filter(|shard| figures.is_connected(**shard)).count();
        let (standing, reason) = match shards.len() {
            0 => (Standing::Failed, "Discord has not been reached yet".to_owned()),
            all => {
                let standing = if connected == all { Standing::Ok } else { Standing::Failed };
                (standing, format!("{connected} of {all} shards connected"))
            }
        };
        let latency = shards.iter().map(|shard| figures.latency_of(*shard)).fold(0.0, f64::max);
        let shard = |shard: &u32| {
            json!({
                "shard": shard, "connected": figures.is_connected(*shard), "latency_seconds": figures.latency_of(*shard),
            })
        };
        Part::new("gateway", standing, reason)
            .since(figures.unchanged())
            .advice("The bot connects again by itself. Look at https://discordstatus.com, and whether this machine gets there.")
            .figure("latency_seconds", latency)
            .figure("sessions_started", figures.sessions("started"))
            .figure("sessions_resumed", figures.sessions("resumed"))
            .figure("sessions_invalidated", figures.sessions("invalidated"))
            .figure("rate_limited", figures.rate_limited.get())
            .figure("shards", shards.iter().map(shard).collect::<Vec<_>>())
    }

    /// What the bot is for.
    fn answers(&self) -> Part {
        let figures = &self.figures;
        let (foreign, last) = figures.foreign_answers();
        let part = match last.filter(|last| *last < LATELY) {
            _ if !figures.is_loaded.load(Ordering::Relaxed) => {
                Part::new("answers", Standing::Failed, "nothing is answered before the database has answered once")
                    .advice("What was asked is answered once the database is there: look at its part.")
            }
            None => Part::new("answers", Standing::Ok, format!("{} messages wait", figures.waiting.get())),
            Some(last) => Part::new("answers", Standing::Degraded, "another process answers in the bot's name")
                .since(last)
                .advice(
                    "Another process runs the same shards: stop one of them, or give each its own range with --shards.",
                ),
        };
        let part =
            Outcome::ALL.iter().fold(part, |part, outcome| part.figure(outcome.key(), figures.answers(*outcome)));
        part.figure("parts", figures.parts.get())
            .figure("retries", figures.retries.get())
            .figure("foreign", foreign)
            .figure("threads", figures.threads.get())
            .figure("waiting", figures.waiting.get())
            .figure("recovering_channels", figures.recovering.get())
            .figure("recovered_pages", figures.pages.get())
            .figure("recovered_messages", figures.recovered.get())
            .figure("recovered_answers", figures.recovered_answers.get())
            .figure("last_given_up", figures.given_up())
            .figure("bot_version", env!("CARGO_PKG_VERSION"))
    }

    /// What survives a crash.
    fn journal(&self) -> Part {
        let part = match self.journal.trouble() {
            None => Part::new("journal", Standing::Ok, "is written"),
            Some((why, since)) => Part::new("journal", Standing::Failed, why).since(since),
        };
        part.advice(
            "Messages wait, and none is lost: make room on the disk, and the bot goes on by itself. If the file is damaged, restart \
             the bot, which sets it aside as bot_journal.db.damaged-TIME.",
        )
            .figure("unrecorded", self.figures.unrecorded.get())
    }
}
