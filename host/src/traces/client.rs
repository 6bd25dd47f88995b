//! Talks to the collector, on the runtime of the program: the thread that gathers spans has none.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::TracesError;
use crate::config::Collector;
use crate::{files, limit};

/// Far more than a collector answers.
const MOST: usize = 1 << 20;

/// The runtime, once it is known.
pub(super) type Place = Arc<OnceLock<Handle>>;

type Connections = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

#[derive(Debug)]
pub(super) struct Client {
    connections: Connections,
    timeout: Duration,
    place: Place,
    /// Whether the last request failed, which is said once.
    is_away: AtomicBool,
}

impl Client {
    pub fn new(collector: &Collector, place: Place) -> Result<Self, TracesError> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| TracesError::Exporter)?
            .with_root_certificates(authorities(collector)?)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
        let connections = legacy::Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { connections, timeout: collector.timeout, place, is_away: AtomicBool::new(false) })
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let runtime = self.place.get().ok_or("no runtime is known yet")?;
        let (connections, limit) = (self.connections.clone(), self.timeout);
        let sent = runtime.spawn(async move {
            timeout(limit, async {
                let (head, body) = connections.request(request.map(Full::new)).await?.into_parts();
                let body = Limited::new(body, MOST).collect().await?.to_bytes();
                Ok(Response::from_parts(head, body))
            })
            .await
            .map_err(|_| HttpError::from("it did not answer in time"))?
        });
        sent.await?
    }

    /// Says when the collector goes and comes back.
    fn note(&self, outcome: &Result<Response<Bytes>, HttpError>) {
        let why = match outcome {
            Ok(response) if response.status().is_success() => {
                if self.is_away.swap(false, Ordering::Relaxed) {
                    tracing::info!("the collector takes traces again");
                }
                return;
            }
            Ok(response) => format!("it answered {}", response.status()),
            Err(error) => innermost(&**error),
        };
        if !self.is_away.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the collector in OTEL_EXPORTER_OTLP_ENDPOINT takes no traces ({why}): they are dropped until it does"
            );
        }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let outcome = self.send(request).await;
        self.note(&outcome);
        outcome
    }
}

/// What the system or the encryption said; those around it say only that something failed.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    match error.downcast_ref() {
        Some(error) => limit::explain(error),
        None => error.to_string(),
    }
}

/// Those of the file in the environment, or else the public ones.
fn authorities(collector: &Collector) -> Result<RootCertStore, TracesError> {
    let Some(path) = &collector.certificate else {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    };
    let read = files::authorities(path);
    read.map(|(_, authorities)| authorities)
        .map_err(|reason| TracesError::Certificate { path: path.display().to_string(), reason })
}
