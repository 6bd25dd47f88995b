//! A shard: its connection to the gateway, its session, and what its events are.

mod events;
mod identify;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use twilight_gateway::{CloseFrame, Config, ConfigBuilder, Intents, Message, Session, Shard, ShardId, parse};
use twilight_model::gateway::CloseCode;
use twilight_model::gateway::event::GatewayEvent;

use self::events::WANTED;
pub use self::identify::Identifies;
use crate::api::innermost;
use crate::desk::Desk;
use crate::error::BotError;
use crate::journal::Saved;
use crate::lanes::Lanes;
use crate::sequence::Sequences;

/// Servers and their channels, messages, and what is in them.
pub const INTENTS: Intents = Intents::GUILDS.union(Intents::GUILD_MESSAGES).union(Intents::MESSAGE_CONTENT);

/// How often the session is kept. What was dealt with since is sent again after a crash, and known.
const SAVE: Duration = Duration::from_millis(200);

/// A connection that lasted less makes the next one wait.
const SHORT: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A shard of this process.
pub struct Gateway {
    id: ShardId,
    config: Config<Identifies>,
    lanes: Arc<Lanes>,
    /// Where the session of this connection is.
    sequences: Arc<Sequences>,
    saved: Option<Saved>,
    /// Whether events are sent again.
    is_replay: bool,
    opened: Instant,
    /// Connections in a row that were short.
    short: u32,
}

impl Gateway {
    /// A shard that resumes the session of another life, if the journal has one.
    pub fn new(id: ShardId, config: Config<Identifies>, lanes: Arc<Lanes>) -> Result<Self, BotError> {
        let saved = lanes.desk().journal.session(id.number(), id.total())?;
        let sequences = Sequences::after(saved.as_ref().map_or(0, |saved| saved.sequence));
        let is_replay = saved.is_some();
        Ok(Self { id, config, lanes, sequences, saved, is_replay, opened: Instant::now(), short: 0 })
    }

    /// Receives events until the bot stops, then closes the socket so that the session can be resumed. What is in hand then
    /// goes on: the session is to be [saved](Self::save) again when it has ended.
    ///
    /// # Errors
    ///
    /// What Discord has against this bot.
    pub async fn run(&mut self) -> Result<(), BotError> {
        let stop = self.desk().stop.clone();
        let mut shard = self.connect();
        let mut save = interval(SAVE);
        save.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let received = tokio::select! {
                () = stop.cancelled() => break,
                _ = save.tick() => {
                    self.save();
                    continue;
                }
                received = shard.next() => received,
            };
            match received {
                Some(Ok(Message::Text(text))) => self.receive(&shard, text),
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.as_ref().map(|frame| frame.code);
                    tracing::info!(shard = %self.id, code, "the gateway closed the connection");
                    self.desk().figures.connected(self.id.number(), false);
                    if let Some(refusal) = refusal(code) {
                        return Err(refusal);
                    }
                    // Twilight would resume again and again.
                    if matches!(code, Some(4007 | 4009)) {
                        self.lose_session();
                        shard = self.connect();
                    }
                    let pause = self.pause();
                    if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                        break;
                    }
                }
                // Twilight connects again, after a pause that grows.
                Some(Err(error)) => tracing::warn!(shard = %self.id, "{error}: {}", innermost(&error)),
                None => return Err(BotError::Refused("Discord closed the gateway for good".into())),
            }
        }
        shard.close(CloseFrame::RESUME);
        // Sends the frame. A shard that is polled again would connect again.
        let _ = poll_fn(|context| Poll::Ready(Pin::new(&mut shard).poll_next(context))).await;
        self.desk().figures.connected(self.id.number(), false);
        self.save();
        Ok(())
    }

    /// Keeps the session, if it went on.
    pub fn save(&mut self) {
        let Some(saved) = &mut self.saved else { return };
        let handled = self.sequences.handled();
        if handled == saved.sequence {
            return;
        }
        let before = std::mem::replace(&mut saved.sequence, handled);
        if let Err(error) = self.lanes.desk().journal.save_session(self.id.number(), self.id.total(), saved) {
            // Tried again next time.
            tracing::debug!("the session is not kept: {error}");
            saved.sequence = before;
        }
    }

    fn desk(&self) -> &Desk {
        self.lanes.desk()
    }

    fn connect(&mut self) -> Shard<Identifies> {
        self.opened = Instant::now();
        let mut builder = ConfigBuilder::from(self.config.clone());
        if let Some(saved) = &self.saved {
            let session = Session::new(saved.sequence, saved.session.clone());
            builder = builder.session(session).resume_url(saved.resume_url.clone());
        }
        Shard::with_config(self.id, builder.build())
    }

    fn receive(&mut self, shard: &Shard<Identifies>, text: String) {
        match parse(text, WANTED) {
            Ok(Some(GatewayEvent::Dispatch(sequence, event))) => self.dispatch(shard, sequence, event),
            Ok(Some(GatewayEvent::InvalidateSession(is_resumable))) => {
                tracing::warn!(shard = %self.id, is_resumable, "the session is invalid");
                if !is_resumable {
                    self.lose_session();
                }
            }
            Ok(Some(GatewayEvent::HeartbeatAck)) => {
                if let Some(latency) = shard.latency().recent().first() {
                    self.desk().figures.latency(self.id.number(), latency.as_secs_f64());
                }
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(shard = %self.id, "an event cannot be read: {}", innermost(&error)),
        }
        // Whatever of it is in hand has been taken by now.
        if self.saved.is_some()
            && let Some(session) = shard.session()
        {
            self.sequences.received(session.sequence());
        }
    }

    /// Discord has ended the session. What was missed is in the history then.
    fn lose_session(&mut self) {
        self.saved = None;
        self.is_replay = false;
        self.desk().figures.session("invalidated");
        if let Err(error) = self.desk().journal.drop_session(self.id.number(), self.id.total()) {
            // Discord will say it once more.
            tracing::debug!("the session is not forgotten: {error}");
        }
    }

    fn pause(&mut self) -> Duration {
        let lasted = self.opened.elapsed();
        self.opened = Instant::now();
        self.short = if lasted < SHORT { self.short + 1 } else { 0 };
        // The first may have been meant well.
        match self.short.checked_sub(2) {
            None => Duration::ZERO,
            Some(more) => (Duration::from_millis(500) * (1 << more.min(10))).min(LONGEST_PAUSE),
        }
    }
}

/// What Discord has against the bot, if a close code says that it need not come again.
fn refusal(code: Option<u16>) -> Option<BotError> {
    let why = match CloseCode::try_from(code?).ok()? {
        CloseCode::AuthenticationFailed => {
            "Discord refused the token: copy it again from the developer portal, page Bot"
        }
        CloseCode::DisallowedIntents => {
            "Discord refused an intent: turn on MESSAGE CONTENT INTENT in the developer portal, page Bot"
        }
        CloseCode::InvalidShard | CloseCode::ShardingRequired => {
            "Discord refused these shards: set --shards to auto, or to ranges of as many as it recommends"
        }
        CloseCode::InvalidApiVersion | CloseCode::InvalidIntents => {
            "Discord does not know what this version of the bot asks for: install a newer one"
        }
        _ => return None,
    };
    Some(BotError::Refused(why.into()))
}
