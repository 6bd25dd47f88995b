//! What the demo's gateway and its bot say to each other, a JSON document a line: dispatches, heartbeats and identify
//! are Discord's gateway payloads; requests stand for the calls of its REST API.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWrite, AsyncWriteExt, BufReader, Lines};

/// From the gateway to the bot.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ToBot {
    /// The answer to the request of this number.
    Response { response: u64, body: Value },
    /// Something happened.
    Dispatch { op: u8, s: u64, t: String, d: Value },
}

/// From the bot to the gateway.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromBot {
    /// The bot is ready for events.
    Identify(Started),
    /// Everything up to this event has been dealt with.
    Heartbeat(u64),
    /// A call of the REST API.
    Request { id: u64, call: Call },
    /// What the bot missed has been dealt with.
    Recovered(Recovered),
}

/// Calls of Discord's REST API that the bot makes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `GET /channels/{channel_id}/messages?after={after}&limit={limit}`: newest first.
    Messages { channel_id: u64, after: u64, limit: usize },
    /// `GET /channels/{channel_id}/messages/{message_id}`
    Message { channel_id: u64, message_id: u64 },
    /// `POST /channels/{channel_id}/messages`
    CreateMessage(Reply),
}

/// A message that the bot wants to be created.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reply {
    pub channel_id: u64,
    pub content: String,
    /// The message that it answers.
    pub message_reference: u64,
    /// With `enforce_nonce`, Discord does not create a second message with the nonce of a recent one; it answers with
    /// the first. <https://docs.discord.com/developers/resources/message#create-message>
    pub nonce: String,
    pub enforce_nonce: bool,
    /// Whether it was fetched from the channel's history. For the report; Discord knows no such field.
    pub recovered: bool,
}

/// What the bot found in its storage.
#[derive(Debug, Serialize, Deserialize)]
pub struct Started {
    pub states: usize,
    pub ownerships: usize,
}

/// What recovery did.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Recovered {
    pub channels: usize,
    pub pages: usize,
    pub messages: usize,
    pub answered: usize,
}

/// Discord's own limit for a page of history.
pub const PAGE: usize = 100;

/// Sends one document.
pub async fn send<T: Serialize>(out: &mut (impl AsyncWrite + Unpin), message: &T) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    out.write_all(&line).await?;
    out.flush().await
}

/// Receives one document, or nothing where the other side is gone. A line that a kill cut off counts as gone.
pub async fn receive<T: for<'de> Deserialize<'de>>(
    lines: &mut Lines<BufReader<impl tokio::io::AsyncRead + Unpin>>,
) -> std::io::Result<Option<T>> {
    match lines.next_line().await? {
        None => Ok(None),
        Some(line) => match serde_json::from_str(&line) {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.is_eof() => Ok(None),
            Err(error) => Err(error.into()),
        },
    }
}

/// Splits what arrives into lines.
pub fn lines<R: tokio::io::AsyncRead>(input: R) -> Lines<BufReader<R>> {
    BufReader::new(input).lines()
}
