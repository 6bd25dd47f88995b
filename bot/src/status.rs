//! Probes, metrics and the status page: those of the storage, with what is to be known of the bot.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use cofferdam::ResilientStorage;
use cofferdam::ops::{self, Ops, Part, Standing};
use serde_json::json;
use tokio::net::TcpListener;
use twilight_gateway::ShardId;

use crate::error::BotError;
use crate::figures::Figures;
use crate::settings::Settings;

/// What is shown of a bot.
#[derive(Clone)]
pub struct Status {
    storage: Arc<ResilientStorage>,
    figures: Arc<Figures>,
    ready_while_unavailable: bool,
    shards: Arc<OnceLock<Vec<u32>>>,
}

impl Status {
    /// Listens where the settings say, before anything that takes time.
    ///
    /// # Errors
    ///
    /// [`BotError::Listen`] if that is not possible and was asked for.
    pub async fn serve(
        settings: &Settings,
        storage: &Arc<ResilientStorage>,
        figures: &Arc<Figures>,
    ) -> Result<Self, BotError> {
        let status = Self {
            storage: storage.clone(),
            figures: figures.clone(),
            ready_while_unavailable: storage.storage().config().resilience.spool.is_some(),
            shards: Arc::default(),
        };
        let Some(address) = settings.listen else { return Ok(status) };
        let listener = match TcpListener::bind(address).await {
            Ok(listener) => listener,
            Err(error) if settings.must_listen => return Err(BotError::Listen { address, error }),
            Err(error) => {
                tracing::warn!("no status page: {address} cannot be listened on: {error}; BOT_LISTEN names another");
                return Ok(status);
            }
        };
        let address: SocketAddr = listener.local_addr()?;
        tracing::info!("status page, probes and metrics at http://{address}/");
        let router = status.clone().router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(status)
    }

    /// These shards are to be connected.
    pub fn expect(&self, shards: &[ShardId]) {
        let _ = self.shards.set(shards.iter().map(|shard| shard.number()).collect());
    }

    /// The storage's router, with the bot's part in what tells of readiness.
    fn router(self) -> Router {
        let ops = Ops::new(&self.storage).registry(self.figures.registry()).router();
        let (ready, status) = (self.clone(), self);
        Router::new()
            .route("/readyz", get(async move || ready.readyz()))
            .route("/status.json", get(async move || status.status()))
            .fallback_service(ops)
    }

    /// The gateway as a part, like those of the storage. It is connected anew all the time, so it is never failed for long.
    fn gateway(&self) -> Part {
        let shards = self.shards.get().map_or(&[][..], Vec::as_slice);
        let connected = shards.iter().filter(|shard| self.figures.is_connected(**shard)).count();
        let (standing, reason) = match shards.len() {
            0 => (Standing::Failed, "Discord has not been reached yet".to_owned()),
            all => {
                let standing = if connected == all { Standing::Ok } else { Standing::Failed };
                (standing, format!("{connected} of {all} shards connected"))
            }
        };
        Part { name: "gateway", standing, reason, since: None }
    }

    fn parts(&self) -> Vec<Part> {
        let mut parts = vec![self.gateway()];
        parts.extend(ops::parts(&self.storage.status(), self.ready_while_unavailable));
        parts
    }

    fn readyz(&self) -> Response {
        let parts = self.parts();
        let is_ready = parts.iter().all(|part| part.standing != Standing::Failed);
        let mut text = String::new();
        for part in &parts {
            let _ = writeln!(text, "{:8}  {:8}  {}", part.name, part.standing.name(), part.reason);
        }
        let (code, end) = match is_ready {
            true => (StatusCode::OK, "ready\n"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        };
        text.push_str(end);
        (code, [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")], text)
            .into_response()
    }

    fn status(&self) -> Response {
        let mut status = ops::status_json(&self.storage, self.ready_while_unavailable);
        let gateway = self.gateway();
        let shards = self.shards.get().map_or(&[][..], Vec::as_slice);
        status["bot"] = self.figures.json(shards);
        status["bot"]["version"] = env!("CARGO_PKG_VERSION").into();
        if let Some(parts) = status["parts"].as_array_mut() {
            parts.insert(
                0,
                json!({ "name": gateway.name, "standing": gateway.standing.name(), "reason": gateway.reason, "since_seconds": null }),
            );
        }
        if gateway.standing == Standing::Failed {
            status["ready"] = false.into();
        }
        let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
        (headers, format!("{status:#}\n")).into_response()
    }
}
