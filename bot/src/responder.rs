//! What answers: the one thing that a bot of yours has of its own.
//!
//! ```
//! use async_trait::async_trait;
//! use cofferdam_bot::responder::{Question, Responder, ResponderError};
//!
//! struct Shout;
//!
//! #[async_trait]
//! impl Responder for Shout {
//!     async fn answer(&self, question: &Question) -> Result<String, ResponderError> {
//!         Ok(question.content.to_uppercase())
//!     }
//! }
//! ```

mod echo;
mod group;
mod program;
mod service;

use async_trait::async_trait;
use serde::Serialize;

pub use self::echo::Echo;
pub use self::program::Program;
pub use self::service::Service;
use crate::ids::{ChannelId, GuildId, MessageId, UserId};

/// A message that is to be answered. A program and a service get it as this JSON document; ids are texts.
#[derive(Clone, Debug, Serialize)]
pub struct Question {
    /// The message.
    pub message_id: MessageId,
    /// The channel, or the thread, in which it was written.
    pub channel_id: ChannelId,
    /// Whether that is a thread.
    pub in_thread: bool,
    /// The server.
    pub guild_id: Option<GuildId>,
    /// Who wrote it.
    pub author_id: UserId,
    /// The name of who wrote it.
    pub author_name: String,
    /// What was written, without the mention of the bot at its beginning or end.
    pub content: String,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ResponderError {
    /// What happened, for the log. Users are not shown it.
    pub message: String,
    /// Whether another try may help: the message is begun again after a pause, as often as `BOT_ATTEMPTS` allows.
    pub is_retryable: bool,
}

impl ResponderError {
    /// Another try may help.
    pub fn retryable(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_retryable: true }
    }

    /// Another try would end the same.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_retryable: false }
    }
}

/// Answers questions.
#[async_trait]
pub trait Responder: Send + Sync {
    /// The answer, of any length; an empty one is not sent. Within a channel the next question waits for it. Dropping the
    /// future must end what it began. The answer is kept before it is sent, and a question whose answer is kept is not asked
    /// again; one that a crash interrupted before is.
    async fn answer(&self, question: &Question) -> Result<String, ResponderError>;
}
