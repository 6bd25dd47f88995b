//! One question over HTTP.

use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use cofferdam::limit;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::failure::Failure;

/// Far more than a status has.
const MOST: usize = 4 << 20;

pub enum Place {
    Unix(PathBuf),
    Tcp(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// What is answered there to this request, with its status. `what` is what the answer is called.
pub async fn ask(
    place: &Place,
    what: &str,
    request: Request<Full<Bytes>>,
    limit: Duration,
) -> Result<(StatusCode, Value), Failure> {
    let late = |_| Failure::unavailable(format!("{place} did not answer within {limit:?}"));
    tokio::time::timeout(limit, connect(place, what, request)).await.map_err(late)?
}

async fn connect(place: &Place, what: &str, request: Request<Full<Bytes>>) -> Result<(StatusCode, Value), Failure> {
    let nobody = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Failure::not_found(format!(
            "nobody listens at {place}: is the bot or `cofferdam serve` running, and is this its administration socket?"
        )),
        _ => Failure::failed(format!("cannot connect to {place}: {}", limit::explain(&error))),
    };
    match place {
        Place::Unix(path) => exchange(place, what, request, UnixStream::connect(path).await.map_err(nobody)?).await,
        Place::Tcp(address) => exchange(place, what, request, TcpStream::connect(address).await.map_err(nobody)?).await,
    }
}

async fn exchange(
    place: &Place,
    what: &str,
    request: Request<Full<Bytes>>,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<(StatusCode, Value), Failure> {
    let failed = |why: &dyn fmt::Display| Failure::failed(format!("{place} gave no {what}: {why}"));
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| failed(&error))?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MOST).collect().await.map_err(|error| failed(&error))?;
    connection.abort();
    match serde_json::from_slice(&body.to_bytes()) {
        Ok(value) => Ok((status, value)),
        Err(_) => Err(failed(&format_args!("it answers {status}, so this is not such an administration socket"))),
    }
}

/// A request for one of the paths there.
pub fn request(method: Method, path: &str, body: &Value) -> Result<Request<Full<Bytes>>, Failure> {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(body))
        .map_err(|error| Failure::failed(error.to_string()))
}
