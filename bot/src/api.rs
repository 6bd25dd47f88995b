//! Discord's HTTP API, as far as the bot uses it.
//!
//! Routes, methods and models are twilight's. Its client is not used: it learns a limit only from a 429, repeats a request at
//! once if the limit was the global one, and does not say how long to wait.

mod limits;
mod pace;
mod problem;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::{Bytes, Incoming};
use hyper::header::DATE;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use twilight_http::routing::Route;
use twilight_model::channel::{Channel, Message};
use twilight_model::gateway::connection_info::BotConnectionInfo;
use twilight_model::user::CurrentUser;

use self::limits::Limits;
use self::pace::Bucket;
pub use self::problem::{ApiError, code, innermost};
use self::transport::{Transport, body};
use crate::clock::Clock;
use crate::error::BotError;
use crate::figures::Figures;
use crate::ids::{ChannelId, MessageId, UserId};
use crate::journal::Journal;
use crate::settings::Settings;

/// The most messages in a page of history.
pub const PAGE: u16 = 100;

/// How often a request may be answered with 429 before it is given back.
const MOST_LIMITED: u32 = 5;

/// The longest name of a thread that Discord takes.
pub const MOST_NAME: usize = 100;

/// Discord's HTTP API.
#[derive(Debug)]
pub struct Api {
    transport: Transport,
    limits: Limits,
    clock: Arc<Clock>,
    figures: Arc<Figures>,
    /// Cancelled when Discord has refused the token.
    pub refused: CancellationToken,
}

/// A message of the bot's own.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// The channel or thread.
    pub channel: ChannelId,
    /// At most [`crate::split::MOST`] characters.
    pub content: &'a str,
    /// The message to which it replies, in the same channel.
    pub reply_to: Option<MessageId>,
    /// Discord makes one message for a nonce, within some minutes: at most 25 characters.
    pub nonce: &'a str,
}

impl Api {
    /// The API as the settings say. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// If TLS is of no use on this machine.
    pub fn new(
        settings: &Settings,
        journal: Arc<Journal>,
        clock: Arc<Clock>,
        figures: Arc<Figures>,
    ) -> Result<Self, BotError> {
        Ok(Self {
            transport: Transport::new(settings)?,
            limits: Limits::new(journal),
            clock,
            figures,
            refused: CancellationToken::new(),
        })
    }

    /// A process before this one may have used up the limit of this second.
    pub fn begin_slowly(&self) {
        self.limits.places.begin_slowly();
    }

    /// Where the gateway is, how many shards Discord recommends, and how many may identify.
    pub async fn gateway(&self) -> Result<BotConnectionInfo, ApiError> {
        self.read(Route::GetGatewayBot).await
    }

    /// The bot itself.
    pub async fn me(&self) -> Result<UserId, ApiError> {
        self.read::<CurrentUser>(Route::GetCurrentUser).await.map(|user| user.id)
    }

    /// A channel or thread.
    pub async fn channel(&self, channel: ChannelId) -> Result<Channel, ApiError> {
        self.read(Route::GetChannel { channel_id: channel.get() }).await
    }

    /// The first messages after this one, oldest first; `None` for one that cannot be read, which must not hide the others.
    pub async fn messages_after(
        &self,
        channel: ChannelId,
        after: u64,
    ) -> Result<Vec<(MessageId, Option<Message>)>, ApiError> {
        let channel_id = channel.get();
        let route =
            Route::GetMessages { after: Some(after), around: None, before: None, channel_id, limit: Some(PAGE) };
        let page: Vec<Value> = self.read(route).await?;
        let mut messages = Vec::new();
        for message in page {
            let id = MessageId::deserialize(&message["id"]).map_err(|error| not_as_expected(&error))?;
            let message = Message::deserialize(message);
            let message = message.inspect_err(|error| tracing::warn!(message = %id, "cannot be read: {error}"));
            messages.push((id, message.ok()));
        }
        messages.sort_unstable_by_key(|(id, _)| *id);
        Ok(messages)
    }

    /// Makes a thread from a message. Its id is the message's.
    pub async fn create_thread(&self, channel: ChannelId, message: MessageId, name: &str) -> Result<(), ApiError> {
        let route = Route::CreateThreadFromMessage { channel_id: channel.get(), message_id: message.get() };
        self.write(route, Some(json!({ "name": name }))).await
    }

    /// Opens a thread that was archived.
    pub async fn open_thread(&self, thread: ChannelId) -> Result<(), ApiError> {
        self.write(Route::UpdateChannel { channel_id: thread.get() }, Some(json!({ "archived": false }))).await
    }

    /// Writes a message, unless there is one with its nonce: then that one stands.
    pub async fn create_message(&self, draft: Draft<'_>) -> Result<(), ApiError> {
        // Nobody is mentioned who has not asked, whatever an answer says.
        let mut body = json!({
            "content": draft.content,
            "nonce": draft.nonce,
            "enforce_nonce": true,
            "allowed_mentions": { "parse": [], "replied_user": true },
        });
        if let Some(message) = draft.reply_to {
            body["message_reference"] = json!({ "message_id": message });
        }
        self.write(Route::CreateMessage { channel_id: draft.channel.get() }, Some(body)).await?;
        self.figures.parts.inc();
        Ok(())
    }

    /// Shows the bot typing, for ten seconds.
    pub async fn show_typing(&self, channel: ChannelId) -> Result<(), ApiError> {
        self.write(Route::CreateTypingTrigger { channel_id: channel.get() }, None).await
    }

    async fn read<T: DeserializeOwned>(&self, route: Route<'_>) -> Result<T, ApiError> {
        let answer = self.send(&route, None).await?;
        serde_json::from_slice(&body(answer).await?).map_err(|error| not_as_expected(&error))
    }

    async fn write(&self, route: Route<'_>, document: Option<Value>) -> Result<(), ApiError> {
        let document = document.map(|document| Bytes::from(document.to_string()));
        let answer = self.send(&route, Some(document.unwrap_or_default())).await?;
        // The status says it all. What follows is read so that the connection can be used again.
        let _ = timeout(Duration::from_secs(2), body(answer)).await;
        Ok(())
    }

    /// Sends a request when its limits allow it, again after a 429, and gives the body of a success.
    async fn send(&self, route: &Route<'_>, document: Option<Bytes>) -> Result<Incoming, ApiError> {
        let name = limits::name_of(route);
        let bucket = self.limits.bucket(&name);
        let mut bucket = bucket.lock().await;
        for limited in 1.. {
            bucket.wait().await;
            let place = self.limits.places.take().await;
            // Last of all: what is sent now was not told to wait.
            self.limits.wait_for_hold().await;
            let answer = self.transport.send(route, document.clone()).await;
            drop(place);
            let (head, answer) = answer?.into_parts();
            if let Some(time) = bucket.learn(&head.headers) {
                self.limits.keep(&name, time);
            }
            if let Some(Ok(date)) = head.headers.get(DATE).map(|date| date.to_str()) {
                self.clock.set(date);
            }
            if head.status.is_success() {
                return Ok(answer);
            }
            let answer = body(answer).await;
            if head.status != StatusCode::TOO_MANY_REQUESTS {
                let error =
                    answer.map_or(ApiError::Server(head.status.as_u16()), |body| ApiError::of(head.status, &body));
                if error == ApiError::Token {
                    self.refused.cancel();
                }
                return Err(error);
            }
            self.figures.rate_limited.inc();
            let (pause, is_global) = limits::pause_of(&head.headers, &answer.unwrap_or_default());
            tracing::warn!(route = name, ?pause, is_global, "Discord answered 429");
            match is_global {
                true => self.limits.hold(pause),
                false => *bucket = Bucket::closed_for(pause),
            }
            if limited == MOST_LIMITED {
                break;
            }
        }
        Err(ApiError::RateLimited)
    }
}

fn not_as_expected(error: &serde_json::Error) -> ApiError {
    ApiError::Unanswered(format!("as expected: {error}"))
}
