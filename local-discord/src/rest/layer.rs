//! What surrounds every route: authentication, limits, faults, the record.

use std::convert::Infallible;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;

use super::refusal::{Code, Refusal, answer};
use crate::app::App;
use crate::clock::Clock;
use crate::faults::{Act, Moment, Scope};
use crate::id::{Id, http_date};
use crate::limits::{Counted, Limited, Standing};
use crate::record::What;
use crate::wire::Switch;

/// The largest body, which is that of a message with files.
const LARGEST: usize = 25 << 20;

/// The history lacks what is younger than so many milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stale(pub(super) u64);

/// The answer does not arrive.
#[derive(Clone, Copy, Debug)]
struct CutShort;

/// A request on its way.
struct Exchange {
    route: String,
    path: String,
    major: String,
    channel: Option<Id>,
    body: Bytes,
    switch: Switch,
}

/// Takes every request to a route.
pub(super) async fn layer(
    State(app): State<App>,
    ConnectInfo(switch): ConnectInfo<Switch>,
    matched: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST).await else {
        return answer(
            StatusCode::PAYLOAD_TOO_LARGE,
            &serde_json::json!({ "message": "Request entity too large", "code": 40_005 }),
        );
    };
    let path = parts.uri.path().trim_start_matches("/api/v10");
    let major = path.split('/').nth(2).filter(|_| path.starts_with("/channels/") || path.starts_with("/guilds/"));
    let exchange = Exchange {
        route: format!("{} {}", parts.method, matched.as_str().trim_start_matches("/api/v10")),
        path: parts.uri.path_and_query().map_or(path, |path| path.as_str().trim_start_matches("/api/v10")).to_owned(),
        major: major.unwrap_or_default().to_owned(),
        channel: major.filter(|_| path.starts_with("/channels/")).and_then(|id| id.parse().ok()),
        body: body.clone(),
        switch,
    };
    let mut request = Request::from_parts(parts, Body::from(body));
    // A client that goes away has its request recorded all the same.
    let mut entry = Unanswered { app: &app, exchange: &exchange, answered: false };
    let mut response = match exchange.admit(&app, request.headers()) {
        Ok(standing) => {
            let mut response = exchange.pass(&app, &mut request, next).await;
            if let Some(standing) = standing.filter(|_| response.extensions().get::<Limited>().is_none()) {
                standing.headers(response.headers_mut());
            }
            response
        }
        Err(response) => *response,
    };
    entry.answered = true;
    exchange.record(&app, &response);
    // By the clock of everything else here.
    if let Ok(date) = header::HeaderValue::from_str(&http_date(app.clock.now_ms())) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

impl Exchange {
    fn counted(&self) -> Counted<'_> {
        Counted { route: &self.route, major: &self.major, switch: &self.switch }
    }

    /// Lets the request in, or refuses it.
    fn admit(&self, app: &App, headers: &HeaderMap) -> Result<Option<Standing>, Box<Response>> {
        let mut state = app.lock();
        if let Some(left) = state.banned() {
            return Err(Box::new(ban(left)));
        }
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !text(header::USER_AGENT).starts_with("DiscordBot (") {
            return Err(Box::new(Refusal::user_agent().into_response()));
        }
        // The one route that needs no token.
        if self.route == "GET /gateway" {
            return Ok(None);
        }
        if text(header::AUTHORIZATION).strip_prefix("Bot ") != Some(state.settings.token.as_str()) {
            return Err(Box::new(Refusal::unauthorized().into_response()));
        }
        state.count(&self.counted()).map(Some).map_err(|limited| Box::new(limited.into_response()))
    }

    /// Passes the request on, with the faults before and after.
    async fn pass(&self, app: &App, request: &mut Request, next: Next) -> Response {
        let mut slow = None;
        let before = Moment::Request(self.route.clone());
        let acts = app.lock().fault(&before, self.channel, |act| {
            !matches!(act, Act::Stale(_)) || self.route == "GET /channels/{channel_id}/messages"
        });
        for act in acts {
            match act {
                Act::Hold => app.holds.hold(before.clone(), self.channel, self.path.clone()).await,
                Act::Status(status) => return broken(status),
                Act::Cut => return self.cut(0),
                Act::Slow(ms) => slow = Some(ms),
                Act::Stale(ms) => {
                    request.extensions_mut().insert(Stale(ms));
                }
                Act::RateLimit { scope, retry_after } => return self.limit(app, scope, retry_after),
                _ => {}
            }
        }
        let mut response = next.run(std::mem::take(request)).await;
        let after = Moment::Answer(self.route.clone());
        let acts = app.lock().fault(&after, self.channel, |_| true);
        for act in acts {
            match act {
                Act::Hold => app.holds.hold(after.clone(), self.channel, self.path.clone()).await,
                Act::Status(status) => return broken(status),
                Act::Cut => return self.cut(120),
                Act::Slow(ms) => slow = Some(ms),
                _ => {}
            }
        }
        if let Some(ms) = slow {
            response = slowly(response, ms, app.clock.clone()).await;
        }
        response
    }

    /// Ends the connection after so many bytes of an answer.
    fn cut(&self, bytes: u64) -> Response {
        self.switch.cut_after(bytes);
        let mut response = Response::new(Body::from(vec![b' '; 4_096]));
        response.extensions_mut().insert(CutShort);
        response
    }

    fn limit(&self, app: &App, scope: Scope, retry_after: f64) -> Response {
        let wait = std::time::Duration::try_from_secs_f64(retry_after).unwrap_or_default();
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let standing = app.lock().pause(&self.counted(), scope, wait_ms);
        Limited::new(scope, wait_ms, standing).into_response()
    }

    fn record(&self, app: &App, response: &Response) {
        let status = response.status().as_u16();
        let mut state = app.lock();
        let shared = response.extensions().get::<Limited>().is_some_and(|limited| limited.scope == Scope::Shared);
        if matches!(status, 401 | 403) || (status == 429 && !shared) {
            state.count_invalid();
        }
        let code = response.extensions().get::<Code>().map_or(0, |code| code.0);
        let arrives = response.extensions().get::<CutShort>().is_none();
        self.add(&mut state, if arrives { status } else { 0 }, code);
    }

    fn add(&self, state: &mut crate::app::State, status: u16, code: u64) {
        let now_ms = state.clock.now_ms();
        let what = What::Request {
            route: self.route.clone(),
            path: self.path.clone(),
            body: String::from_utf8_lossy(&self.body).into_owned(),
            status,
            code,
        };
        state.record.add(now_ms, what);
    }
}

struct Unanswered<'a> {
    app: &'a App,
    exchange: &'a Exchange,
    answered: bool,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.exchange.add(&mut self.app.lock(), 0, 0);
        }
    }
}

impl IntoResponse for Limited {
    fn into_response(self) -> Response {
        let mut response = answer(StatusCode::TOO_MANY_REQUESTS, &self.body());
        self.headers(response.headers_mut());
        response.extensions_mut().insert(self);
        response
    }
}

/// What the edge in front of Discord answers when something behind it fails.
fn broken(status: u16) -> Response {
    let mut response = Response::new(Body::from(format!("<html><h1>{status}</h1></html>")));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/html"));
    response
}

/// What the edge answers to an address that is banned: no limit's header, and no JSON.
fn ban(left_ms: u64) -> Response {
    let mut response = broken(429);
    if let Ok(value) = header::HeaderValue::from_str(&left_ms.div_ceil(1_000).to_string()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

/// The same answer, whose body comes in ten pieces.
async fn slowly(response: Response, ms: u64, clock: Clock) -> Response {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let piece = body.len().div_ceil(10).max(1);
    let pieces = stream::unfold(body, move |mut left| {
        let clock = clock.clone();
        async move {
            if left.is_empty() {
                return None;
            }
            clock.sleep(std::time::Duration::from_millis(ms / 10)).await;
            let piece = left.split_to(piece.min(left.len()));
            Some((Ok::<_, Infallible>(piece), left))
        }
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}
