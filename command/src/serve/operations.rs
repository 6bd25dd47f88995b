//! One request from its headers to its answer: id, token, deadline, and problems as documents.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::ALLOW;
use axum::http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use cofferdam::ErrorKind;
use cofferdam::config::parse_duration;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::app::{App, Deadline};
use super::connection::Handle;
use super::problem::{Kind, Problem};
use super::{api, lifecycle, request_id, trace};

/// How long a client waits.
const TIMEOUT: HeaderName = HeaderName::from_static("cofferdam-timeout");

/// The operations, for any number of connections.
#[derive(Clone)]
pub struct Operations {
    app: Arc<App>,
    router: TowerToHyperService<axum::Router>,
}

impl Operations {
    pub fn new(app: Arc<App>) -> Self {
        Self { router: TowerToHyperService::new(api::router(app.clone())), app }
    }

    async fn answer(&self, mut request: Request<Body>) -> Result<Response<Body>, Problem> {
        if let Some(token) = &self.app.token {
            token.check(request.headers())?;
        }
        let Some(limit) = limit(request.headers())? else { return Ok(self.route(request).await) };
        // A time that no clock reaches is none.
        let Some(deadline) = Instant::now().checked_add(limit) else { return Ok(self.route(request).await) };
        request.extensions_mut().insert(Deadline(deadline));
        if request.uri().path() == lifecycle::CLOSE {
            return Ok(self.route(request).await);
        }
        let late = |_| {
            let detail = "the deadline in Cofferdam-Timeout passed; whether a write took effect is unknown";
            Problem::new(Kind::Storage(ErrorKind::Timeout), detail)
        };
        timeout_at(deadline, self.route(request)).await.map_err(late)
    }

    async fn route(&self, request: Request<Body>) -> Response<Body> {
        match self.router.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

impl Handle for Operations {
    async fn handle(&self, request: Request<Incoming>) -> Response<Body> {
        self.respond(request.map(Body::new)).await
    }
}

impl Operations {
    /// Answers a request, whatever brought it.
    pub async fn respond(&self, mut request: Request<Body>) -> Response<Body> {
        let id = request_id::assign(request.headers_mut());
        // As important as a warning, so that those of the storage have it.
        let span = tracing::warn_span!("request", id = request_id::text(&id));
        let told = tracing::enabled!(tracing::Level::DEBUG)
            .then(|| (request.method().clone(), request.uri().path().to_owned(), Instant::now()));
        let trace = trace::of_request(&span, &request);
        async {
            let mut response = match self.answer(request).instrument(trace.clone()).await {
                Ok(mut response) => match response.extensions_mut().remove::<Problem>() {
                    Some(problem) => refused(&problem, request_id::text(&id), response.headers_mut()),
                    None => response,
                },
                Err(problem) => refused(&problem, request_id::text(&id), &mut HeaderMap::new()),
            };
            trace::end(&trace, response.status());
            if let Some((method, path, start)) = told {
                let microseconds = start.elapsed().as_micros() as u64;
                tracing::debug!(%method, ?path, status = response.status().as_u16(), microseconds, "answered");
            }
            response.headers_mut().insert(request_id::HEADER, id.clone());
            response
        }
        .instrument(span)
        .await
    }
}

fn refused(problem: &Problem, request_id: &str, headers: &mut HeaderMap) -> Response<Body> {
    if problem.kind().status() == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::warn!(kind = problem.kind().name(), "a request failed: {}", problem.detail());
    }
    problem.answer(request_id, headers.remove(ALLOW))
}

fn limit(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let mut values = headers.get_all(&TIMEOUT).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let duration = value.to_str().ok().filter(|_| values.next().is_none()).and_then(parse_duration);
    match duration {
        Some(duration) if !duration.is_zero() => Ok(Some(duration)),
        _ => Err(Problem::invalid("Cofferdam-Timeout is no duration greater than 0: write it once, as 300ms or 2s")),
    }
}
