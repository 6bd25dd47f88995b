//! A client that does what it is told, right or wrong.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::http::request::Builder;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use local_discord::{Discord, Id, Limits, Settings};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Long enough for anything, so that a test ends.
pub const LONG: Duration = Duration::from_secs(20);

/// A Discord with one guild, one channel and no patience for IDENTIFYs.
pub async fn discord() -> (Discord, Id) {
    with(settings()).await
}

pub fn settings() -> Settings {
    Settings {
        guilds: vec![("guild".to_owned(), vec!["general".to_owned()])],
        limits: Limits { identify_interval: Duration::ZERO, ..Limits::default() },
        ..Settings::default()
    }
}

pub async fn with(settings: Settings) -> (Discord, Id) {
    let discord = Discord::start(settings).await.unwrap();
    let channel = discord.channels()[0].0;
    (discord, channel)
}

/// What undoes a compression.
enum Decoder {
    Plain,
    Zlib(flate2::write::ZlibDecoder<Vec<u8>>),
    Zstd(zstd::stream::write::Decoder<'static, Vec<u8>>),
}

/// A connection to the gateway.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    decoder: Decoder,
    pub seq: Option<u64>,
}

/// What came: a frame, or the end with its code.
#[derive(Debug)]
pub enum Came {
    Frame(Value),
    Closed(Option<u16>),
}

impl Socket {
    pub async fn open(url: &str) -> Self {
        let (stream, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let decoder = if url.contains("zlib-stream") {
            Decoder::Zlib(flate2::write::ZlibDecoder::new(Vec::new()))
        } else if url.contains("zstd-stream") {
            Decoder::Zstd(zstd::stream::write::Decoder::new(Vec::new()).unwrap())
        } else {
            Decoder::Plain
        };
        Self { stream, decoder, seq: None }
    }

    /// Opens a connection and reads HELLO.
    pub async fn hello(discord: &Discord) -> Self {
        let mut socket = Self::open(&format!("{}/?v=10&encoding=json", discord.gateway())).await;
        assert_eq!(socket.frame().await["op"], 10);
        socket
    }

    /// Opens a connection and begins a session; answers what READY said. The guilds are read too.
    pub async fn ready(discord: &Discord, intents: u64) -> (Self, Value) {
        let mut socket = Self::hello(discord).await;
        socket.send(identify(discord, intents)).await;
        let ready = socket.event("READY").await;
        for _ in 0..ready["guilds"].as_array().unwrap().len() * usize::from(intents & 1 == 1) {
            socket.event("GUILD_CREATE").await;
        }
        (socket, ready)
    }

    pub async fn send(&mut self, frame: Value) {
        self.stream.send(Message::text(frame.to_string())).await.unwrap();
    }

    pub async fn came(&mut self) -> Came {
        loop {
            let message = tokio::time::timeout(LONG, self.stream.next()).await.expect("nothing came");
            let text = match message {
                Some(Ok(Message::Text(text))) => text.to_string(),
                Some(Ok(Message::Binary(bytes))) => self.decode(&bytes),
                Some(Ok(Message::Close(frame))) => return Came::Closed(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return Came::Closed(None),
            };
            let frame: Value = serde_json::from_str(&text).unwrap();
            self.seq = frame["s"].as_u64().or(self.seq);
            return Came::Frame(frame);
        }
    }

    fn decode(&mut self, bytes: &Bytes) -> String {
        let text = match &mut self.decoder {
            Decoder::Plain => bytes.to_vec(),
            Decoder::Zlib(decoder) => {
                decoder.write_all(bytes).unwrap();
                decoder.flush().unwrap();
                std::mem::take(decoder.get_mut())
            }
            Decoder::Zstd(decoder) => {
                decoder.write_all(bytes).unwrap();
                decoder.flush().unwrap();
                std::mem::take(decoder.get_mut())
            }
        };
        String::from_utf8(text).unwrap()
    }

    pub async fn frame(&mut self) -> Value {
        match self.came().await {
            Came::Frame(frame) => frame,
            Came::Closed(code) => panic!("closed with {code:?}"),
        }
    }

    /// The next frame, which is this event; answers its data.
    pub async fn event(&mut self, name: &str) -> Value {
        let mut frame = self.frame().await;
        assert_eq!(frame["t"], name, "{frame}");
        frame["d"].take()
    }

    /// The code of the end, whatever comes before it.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            if let Came::Closed(code) = self.came().await {
                return code;
            }
        }
    }

    /// Nothing has come: what is asked for now is the next frame.
    pub async fn nothing_came(&mut self) {
        self.send(json!({ "op": 1, "d": self.seq })).await;
        assert_eq!(self.frame().await["op"], 11);
    }

    /// Ends the session.
    pub async fn close(mut self, code: u16) {
        use tokio_tungstenite::tungstenite::protocol::CloseFrame;
        self.stream.close(Some(CloseFrame { code: code.into(), reason: "".into() })).await.unwrap();
        while let Some(Ok(_)) = self.stream.next().await {}
    }
}

pub fn identify(discord: &Discord, intents: u64) -> Value {
    let properties = json!({ "os": "linux", "browser": "test", "device": "test" });
    json!({ "op": 2, "d": { "token": discord.token(), "intents": intents, "properties": properties } })
}

pub fn resume(discord: &Discord, ready: &Value, seq: u64) -> Value {
    json!({ "op": 6, "d": { "token": discord.token(), "session_id": ready["session_id"], "seq": seq } })
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn id(&self) -> Id {
        self.body["id"].as_str().unwrap().parse().unwrap()
    }
}

fn request(discord: &Discord, method: &str, path: &str) -> Builder {
    let request = Request::builder()
        .header("authorization", format!("Bot {}", discord.token()))
        .header("user-agent", "DiscordBot (https://example.org, 1)");
    request.method(method).uri(format!("/api/v10{path}"))
}

/// Asks as the bot; `None` if the connection was cut.
pub async fn try_ask(discord: &Discord, method: &str, path: &str, body: Value) -> Option<Answer> {
    send(discord, request(discord, method, path), body).await
}

/// Asks the same so many times, each as soon as the one before was answered, on one connection.
pub async fn ask_again(discord: &Discord, method: &str, path: &str, body: Value, times: usize) -> Vec<Answer> {
    let mut sender = connect(discord).await;
    let mut answers = Vec::new();
    for _ in 0..times {
        answers.push(exchange(&mut sender, request(discord, method, path), body.clone()).await.unwrap());
    }
    answers
}

pub async fn ask(discord: &Discord, method: &str, path: &str, body: Value) -> Answer {
    try_ask(discord, method, path, body).await.expect("the connection was cut")
}

pub async fn get(discord: &Discord, path: &str) -> Answer {
    ask(discord, "GET", path, Value::Null).await
}

pub async fn send(discord: &Discord, request: Builder, body: Value) -> Option<Answer> {
    exchange(&mut connect(discord).await, request, body).await
}

async fn connect(discord: &Discord) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(discord.address()).await.unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn exchange(sender: &mut SendRequest<Full<Bytes>>, request: Builder, body: Value) -> Option<Answer> {
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    let request = request.header("host", "discord.com").header("content-type", "application/json");
    sender.ready().await.ok()?;
    let response = sender.send_request(request.body(Full::new(body)).unwrap()).await.ok()?;
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.ok()?.to_bytes().to_vec()).unwrap();
    let body = serde_json::from_str(&text).unwrap_or_default();
    Some(Answer { status: parts.status.as_u16(), headers: parts.headers, text, body })
}
