//! A server on a SQLite file, and a client of it.

use std::fs::File;
use std::io::Read;
use std::ops::Deref;
use std::path::Path;
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, ensure};
use cofferdam_tests::harness::command::on_sqlite;
use cofferdam_tests::harness::serve::Serve;
use cofferdam_tests::harness::sqlite::SqliteFolder;
pub use cofferdam_tests::harness::wait::SOON;
use cofferdam_tests::harness::wait::until;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// What a server is started with.
pub fn command(folder: &SqliteFolder, arguments: &[&str]) -> Command {
    let mut command = on_sqlite(&[&["serve", "--json"], arguments].concat());
    command.env("DATABASE_PATH", folder.database());
    command
}

/// A running server, which is killed when this is dropped.
pub struct Server(Serve);

impl Deref for Server {
    type Target = Serve;

    fn deref(&self) -> &Serve {
        &self.0
    }
}

impl Server {
    /// On a new SQLite file in this folder.
    pub fn start(folder: &SqliteFolder, arguments: &[&str]) -> Result<Self> {
        Self::run(folder.path(), &mut command(folder, arguments))
    }

    /// Waits until it listens. What it says on standard error goes to a file in `folder`.
    pub fn run(folder: &Path, command: &mut Command) -> Result<Self> {
        Serve::start(command, folder).map(Self)
    }

    pub async fn client(&self) -> Result<Client> {
        Client::connect(&self.operations).await
    }

    pub async fn raw(&self) -> Result<UnixStream> {
        Ok(UnixStream::connect(unix(&self.operations)?).await?)
    }

    /// The connection of a request that is under way: the server has asked for its body, which has so many bytes.
    pub async fn under_way(&self, length: usize) -> Result<UnixStream> {
        let mut socket = self.raw().await?;
        let head = format!(
            "PUT /v1/message-state HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             expect: 100-continue\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await?;
        let mut leave = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
        tokio::time::timeout(SOON, socket.read_exact(&mut leave)).await.context("nobody wants the body")??;
        ensure!(leave.starts_with(b"HTTP/1.1 100 "), "{}", String::from_utf8_lossy(&leave));
        Ok(socket)
    }

    /// Sends it a signal, such as `-TERM`.
    pub fn signal(&self, signal: &str) -> Result<()> {
        ensure!(Command::new("kill").args([signal, &self.id().to_string()]).status()?.success());
        Ok(())
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Result<ExitStatus> {
        let mut status = None;
        until("the server ends", SOON, async || {
            status = self.0.process().try_wait().ok().flatten();
            status.is_some()
        })
        .await?;
        status.context("a status")
    }
}

pub fn unix(place: &str) -> Result<&str> {
    place.strip_prefix("unix:").context("a Unix socket")
}

pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub async fn dial(place: &str) -> Result<Box<dyn Io>> {
    match place.strip_prefix("http://") {
        Some(address) => Ok(Box::new(TcpStream::connect(address).await?)),
        None => Ok(Box::new(UnixStream::connect(unix(place)?).await?)),
    }
}

/// A connection to a server.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    headers: HeaderMap,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}")).to_str().unwrap()
    }

    /// Wants an answer with this status.
    #[track_caller]
    pub fn want(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self.json()
    }

    /// Wants a whole problem of this kind, and gives what is wrong.
    #[track_caller]
    pub fn problem(&self, status: u16, kind: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["kind"], kind, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        assert!(problem["type"].as_str().unwrap().ends_with(&format!("#{kind}")), "{problem}");
        assert!(!problem["title"].as_str().unwrap().is_empty() && problem.get("code").is_some(), "{problem}");
        assert_eq!(problem["retryable"].as_bool().unwrap() && status != 408, self.headers.contains_key("retry-after"));
        problem["detail"].as_str().unwrap().to_owned()
    }
}

impl Client {
    pub async fn connect(place: &str) -> Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(dial(place).await?)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, headers: HeaderMap::new() })
    }

    /// A header of all further requests.
    pub fn set(&mut self, name: &'static str, value: &str) -> Result<()> {
        self.headers.insert(name, value.parse()?);
        Ok(())
    }

    pub fn unset(&mut self, name: &'static str) {
        self.headers.remove(name);
    }

    /// Sends a request, with a JSON document if there is one.
    pub async fn send(&mut self, method: Method, path: &str, body: Option<Value>) -> Result<Reply> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, "localhost");
        if body.is_some() && !self.headers.contains_key(CONTENT_TYPE) {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.send_text(request, body).await
    }

    async fn send_text(&mut self, request: hyper::http::request::Builder, body: String) -> Result<Reply> {
        let mut request = request.body(Full::new(Bytes::from(body)))?;
        request.headers_mut().extend(self.headers.clone());
        self.sender.ready().await?;
        let (parts, body) = self.sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply { status: parts.status, headers: parts.headers, body })
    }

    pub async fn get(&mut self, path: &str) -> Result<Reply> {
        self.send(Method::GET, path, None).await
    }

    pub async fn put(&mut self, path: &str, body: Value) -> Result<Reply> {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub async fn post(&mut self, path: &str, body: Value) -> Result<Reply> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Puts a body that need not be JSON.
    pub async fn put_text(&mut self, path: &str, body: &str) -> Result<Reply> {
        let mut request = Request::builder().method(Method::PUT).uri(path).header(HOST, "localhost");
        if !self.headers.contains_key(CONTENT_TYPE) {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        self.send_text(request, body.to_owned()).await
    }
}

/// A state of this channel, as a client sends it.
pub fn state(channel: &str, message: &str) -> Value {
    serde_json::json!({ "channel_id": channel, "last_message_id": message, "last_seen_timestamp": 1_700_000_000 })
}

/// Sends these bytes and gives what comes back until the server closes the connection.
pub async fn exchange(server: &Server, bytes: &[u8]) -> Result<String> {
    let mut socket = server.raw().await?;
    socket.write_all(bytes).await?;
    let mut answer = Vec::new();
    tokio::time::timeout(SOON, socket.read_to_end(&mut answer)).await.context("the connection hangs")??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// What a log must not have.
pub fn read(path: &Path) -> Result<String> {
    let mut text = String::new();
    File::open(path)?.read_to_string(&mut text)?;
    Ok(text)
}
