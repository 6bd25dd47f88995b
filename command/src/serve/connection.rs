//! One connection.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use super::problem::{Kind, Problem};
use super::request_id;
use super::roll::Place;

/// The most bytes of the first line and the headers of a request. Two ids of 255 characters are up to 6 KiB in a query.
const MOST_HEAD: usize = 16 << 10;
const MOST_HEADERS: usize = 64;

/// What is read ahead of a body.
const BUFFER: usize = 64 << 10;

/// How long a connection that is refused may take to hear why.
const FAREWELL: Duration = Duration::from_secs(1);

/// What answers requests.
pub trait Handle: Clone + Send + Sync + 'static {
    fn handle(&self, request: hyper::Request<Incoming>) -> impl Future<Output = Response<Body>> + Send;
}

/// A router that answers everything by itself.
impl Handle for TowerToHyperService<Router> {
    async fn handle(&self, request: hyper::Request<Incoming>) -> Response<Body> {
        match self.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the whole head of a request, from the end of the one before.
    pub idle: Duration,
    /// For taking anything of an answer.
    pub transfer: Duration,
}

/// Answers the requests of a connection until it ends, has to make room, or the server stops.
pub async fn converse(
    io: impl AsyncRead + AsyncWrite + Send + 'static,
    handle: impl Handle,
    place: Place,
    patience: Patience,
    stopping: CancellationToken,
) {
    let entry = place.entry().clone();
    let mut io = TimeoutStream::new(io);
    io.set_write_timeout(Some(patience.transfer));
    let service = service_fn(|request| {
        entry.begin();
        let (handle, entry) = (&handle, &entry);
        async move {
            let response = handle.handle(request).await;
            entry.end();
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(patience.idle);
    builder.max_headers(MOST_HEADERS).max_header_size(MOST_HEAD).max_buf_size(BUFFER);
    let mut connection = builder.serve_connection(TokioIo::new(Box::pin(io)), service);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = async { tokio::select! { () = entry.left() => {}, () = stopping.cancelled() => {} } } => {
            Pin::new(&mut connection).graceful_shutdown();
            // Hyper waits for the first request of a connection that has had none.
            match entry.has_served() || entry.is_busy() {
                true => (&mut connection).await,
                false => Ok(()),
            }
        }
    };
    match ended {
        Ok(()) => {}
        Err(error) if error.is_parse_version_h2() => {
            refuse(
                connection.into_parts().io.into_inner(),
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                &Problem::invalid("this server speaks HTTP/1.1, not HTTP/2"),
            )
            .await;
        }
        Err(error) => tracing::debug!(%error, "a connection ended"),
    }
}

/// Tells a client that there is no place for its connection.
pub async fn refuse_for_now(io: impl AsyncWrite + Unpin) {
    refuse(io, StatusCode::SERVICE_UNAVAILABLE, &Problem::new(Kind::Busy, "too many connections are busy")).await;
}

async fn refuse(mut io: impl AsyncWrite + Unpin, status: StatusCode, problem: &Problem) {
    let mut document = serde_json::to_value(problem.document(&request_id::new())).unwrap_or_default();
    document["status"] = status.as_u16().into();
    let body = document.to_string();
    let retry = if problem.kind() == Kind::Busy { "retry-after: 1\r\n" } else { "" };
    let text = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\n{retry}content-length: {}\r\nconnection: \
         close\r\n\r\n{body}",
        body.len()
    );
    let _ = timeout(FAREWELL, async {
        io.write_all(text.as_bytes()).await?;
        io.shutdown().await
    })
    .await;
}
