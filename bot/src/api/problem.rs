//! What can go wrong with a request.

use hyper::StatusCode;
use hyper_util::client::legacy;
use twilight_http::api_error::ApiError as Body;

/// Discord's codes of errors that the bot knows.
/// <https://docs.discord.com/developers/topics/opcodes-and-status-codes#json>
pub mod code {
    /// The channel was deleted.
    pub const UNKNOWN_CHANNEL: u64 = 10_003;
    /// The message was deleted.
    pub const UNKNOWN_MESSAGE: u64 = 10_008;
    /// The thread is archived, and is to be opened before it is written to.
    pub const ARCHIVED: u64 = 50_083;
    /// A thread has been made from this message already.
    pub const HAS_THREAD: u64 = 160_004;
}

/// Why a request has not succeeded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// There was no connection: Discord has not seen the request.
    #[error("Discord cannot be reached: {0}")]
    Unreachable(String),
    /// There was no answer, or a broken one: whether something was done is unknown.
    #[error("Discord did not answer: {0}")]
    Unanswered(String),
    /// Discord is at fault. Whether something was done is unknown.
    #[error("Discord answered {0}")]
    Server(u16),
    /// There were too many requests, again and again.
    #[error("Discord's rate limit was reached again and again")]
    RateLimited,
    /// Discord does not do this.
    #[error("Discord refused with {status}, {code}: {message}")]
    Refused {
        /// The status of HTTP.
        status: u16,
        /// Discord's own code, of [`code`].
        code: u64,
        /// What Discord says.
        message: String,
    },
    /// The token is wrong, or has been reset.
    #[error("Discord refused the token")]
    Token,
}

impl ApiError {
    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::Refused { .. } | Self::Token)
    }

    /// Whether Discord has not seen the request, so that it says nothing of the message that it was for.
    pub fn is_unseen(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }

    /// Discord's own code.
    pub fn code(&self) -> Option<u64> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether what the request was about has been deleted.
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Refused { status: 404, .. } => true,
            // A reply to a message that is not there any more is a form with a mistake.
            Self::Refused { code, message, .. } => {
                *code == code::UNKNOWN_MESSAGE || message.contains("UNKNOWN_MESSAGE")
            }
            _ => false,
        }
    }

    /// Whether the bot may not do this.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Refused { status: 403, .. })
    }
}

impl ApiError {
    /// What an answer with a status that is no success says.
    pub(super) fn of(status: StatusCode, body: &[u8]) -> Self {
        if status == StatusCode::UNAUTHORIZED {
            return Self::Token;
        }
        if status.is_server_error() {
            return Self::Server(status.as_u16());
        }
        match serde_json::from_slice(body) {
            Ok(Body::General(error)) => {
                // Which field is wrong stands deeper in the document.
                let detail = match String::from_utf8_lossy(body).contains("REPLIES_UNKNOWN_MESSAGE") {
                    true => " (REPLIES_UNKNOWN_MESSAGE)",
                    false => "",
                };
                let message = format!("{}{detail}", error.message);
                Self::Refused { status: status.as_u16(), code: error.code, message }
            }
            // What is no JSON is of something between here and Discord.
            _ => Self::Unanswered(format!("as expected, but with {status}")),
        }
    }

    /// Why there is no answer.
    pub(super) fn broken(error: &legacy::Error) -> Self {
        match error.is_connect() {
            true => Self::Unreachable(innermost(error)),
            false => Self::Unanswered(innermost(error)),
        }
    }
}

/// The cause of all: "connection refused", and not "client error".
pub fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
