//! A router for operators: probes, metrics and a status page. Needs the feature `ops`.
//!
//! | path | what it answers |
//! |---|---|
//! | `/livez` | `200` as long as the process answers at all. It asks nothing of the database: a bot that is restarted because its database is away helps nobody |
//! | `/readyz` | `200` or `503`, and a line for each part with its reason and since when. It comes and goes |
//! | `/metrics` | metrics (see [`crate::metrics`]) in Prometheus' text format |
//! | `/status.json` | everything that is known, for scripts |
//! | `/` | the same as a page for people, what is wrong first; without scripts, and without a request to anywhere else |
//!
//! A program shows parts of its own on all of them: [`Ops::part`]. On a socket of this user's alone, [`swaps`] lets operators
//! change the plugin.
//!
//! The paths are answered to whoever asks, and change nothing. They tell addresses, file names and error messages, and never
//! a row or a secret: still, listen where only operators and the cluster get to.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use cofferdam::{ResilientStorage, ops::Ops};
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let storage = Arc::new(ResilientStorage::from_env()?);
//! let router = Ops::new(&storage).router();
//! # let _ = router;
//! // With axum's default features:
//! // axum::serve(tokio::net::TcpListener::bind("127.0.0.1:9090").await?, router).await?;
//! # Ok(())
//! # }
//! ```

mod admin;
mod history;
mod html;
pub mod json;
mod page;
mod parts;
mod picture;
mod socket;
mod status;
pub mod supervisor;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::registry::Registry;

pub use self::admin::{reload, swaps};
use self::history::History;
pub use self::parts::{Part, Standing, parts};
pub use self::socket::{Socket, SocketError};
pub use self::status::status_json;
use crate::metrics;
use crate::resilience::{ResilientStorage, Status};

/// Nothing is fetched, run or framed, whatever a message that stands on the page contains.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; \
    base-uri 'none'; form-action 'none'";

/// What operators see of a storage.
pub struct Ops {
    storage: Arc<ResilientStorage>,
    registry: Registry,
    ready_while_unavailable: bool,
    own: Vec<Own>,
}

/// Looks at a part of the embedding program's.
type Own = Box<dyn Fn() -> Part + Send + Sync>;

impl Ops {
    /// What is to be seen of this storage. It is ready while its database is unavailable if it has a spool, since writes
    /// are durable then.
    pub fn new(storage: &Arc<ResilientStorage>) -> Self {
        let has_spool = storage.storage().config().resilience.spool.is_some();
        Self {
            storage: storage.clone(),
            registry: Registry::default(),
            ready_while_unavailable: has_spool,
            own: Vec::new(),
        }
    }

    /// Whether `/readyz` says that the storage is ready while its database is unavailable.
    #[must_use]
    pub fn ready_while_unavailable(mut self, ready: bool) -> Self {
        self.ready_while_unavailable = ready;
        self
    }

    /// A registry whose metrics `/metrics` has too, after those of the storage: a bot's own.
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// A part of the program's own, before those of the storage and after others of its own. `look` is called for each answer of
    /// `/readyz`, `/status.json` and `/`, so it must not wait.
    ///
    /// ```no_run
    /// # use std::sync::Arc;
    /// # use cofferdam::ResilientStorage;
    /// use cofferdam::ops::{Ops, Part, Standing};
    /// # fn run(storage: Arc<ResilientStorage>, connected: impl Fn() -> bool + Send + Sync + 'static) {
    ///
    /// let router = Ops::new(&storage).part(move || match connected() {
    ///     true => Part::new("gateway", Standing::Ok, "connected").figure("shards", 1),
    ///     false => Part::new("gateway", Standing::Failed, "not connected").advice("Look at the chat's own status page."),
    /// });
    /// # let _ = router;
    /// # }
    /// ```
    #[must_use]
    pub fn part(mut self, look: impl Fn() -> Part + Send + Sync + 'static) -> Self {
        self.own.push(Box::new(look));
        self
    }

    /// The router. Called within a runtime, it notes latencies for the page every few seconds, as long as it lives.
    pub fn router(self) -> Router {
        let Self { storage, mut registry, ready_while_unavailable, own } = self;
        metrics::register(&mut registry, &storage);
        let history = History::begin(&storage);
        let shown = Arc::new(Shown { storage, registry, ready_while_unavailable, own, history });
        Router::new()
            .route("/livez", get(async || plain(StatusCode::OK, "ok\n".into())))
            .route("/readyz", get(async |State(shown): State<Arc<Shown>>| shown.readyz()))
            .route("/metrics", get(async |State(shown): State<Arc<Shown>>| shown.metrics()))
            .route("/status.json", get(async |State(shown): State<Arc<Shown>>| shown.status()))
            .route("/", get(async |State(shown): State<Arc<Shown>>| shown.page()))
            .with_state(shown)
    }
}

struct Shown {
    storage: Arc<ResilientStorage>,
    registry: Registry,
    ready_while_unavailable: bool,
    own: Vec<Own>,
    history: Arc<History>,
}

impl Shown {
    fn parts(&self, status: &Status) -> Vec<Part> {
        let own = self.own.iter().map(|look| look());
        own.chain(parts(status, self.ready_while_unavailable)).collect()
    }

    fn readyz(&self) -> Response {
        let parts = self.parts(&self.storage.status());
        let code = if parts::are_ready(&parts) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        plain(code, parts::lines(&parts))
    }

    fn metrics(&self) -> Response {
        let mut text = String::new();
        match prometheus_text::encode(&mut text, &self.registry) {
            Ok(()) => answer(StatusCode::OK, metrics::CONTENT_TYPE, text),
            // A metric of the embedding program's.
            Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "a metric cannot be encoded\n".into()),
        }
    }

    fn status(&self) -> Response {
        let status = status::json(&self.storage, |status| self.parts(status));
        answer(StatusCode::OK, "application/json", format!("{status:#}\n"))
    }

    fn page(&self) -> Response {
        let status = self.storage.status();
        let parts = self.parts(&status);
        let text = page::page(&self.storage, &status, &parts, &self.history);
        let mut response = answer(StatusCode::OK, "text/html; charset=utf-8", text);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }
}

fn plain(code: StatusCode, text: String) -> Response {
    answer(code, "text/plain; charset=utf-8", text)
}

fn answer(code: StatusCode, media_type: &'static str, text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (code, headers, text).into_response()
}
