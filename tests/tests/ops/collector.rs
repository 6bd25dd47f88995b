//! A collector of OpenTelemetry's protocol, as far as traces over HTTP go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What it was sent.
#[derive(Default)]
struct Taken {
    spans: Vec<Span>,
    services: Vec<String>,
    tokens: Vec<String>,
    bytes: Vec<u8>,
}

/// A server that takes traces, until it is dropped.
pub struct Collector {
    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is set to.
    pub endpoint: String,
    taken: Arc<Mutex<Taken>>,
    server: JoinHandle<()>,
}

impl Collector {
    pub async fn start() -> Result<Self> {
        let taken = Arc::new(Mutex::new(Taken::default()));
        let takes = {
            let taken = taken.clone();
            async move |headers: HeaderMap, body: Bytes| take(&taken, &headers, &body)
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let router = Router::new().route("/v1/traces", post(takes));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { endpoint, taken, server })
    }

    fn read<T>(&self, read: impl FnOnce(&Taken) -> T) -> T {
        read(&self.taken.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn spans(&self) -> Vec<Span> {
        self.read(|taken| taken.spans.clone())
    }

    /// The services that the spans are of.
    pub fn services(&self) -> Vec<String> {
        self.read(|taken| taken.services.clone())
    }

    /// What requests had to show.
    pub fn tokens(&self) -> Vec<String> {
        self.read(|taken| taken.tokens.clone())
    }

    /// Whether a text is anywhere in what was sent.
    pub fn has(&self, text: &str) -> bool {
        self.read(|taken| taken.bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn take(taken: &Mutex<Taken>, headers: &HeaderMap, body: &Bytes) -> Result<Vec<u8>, StatusCode> {
    let is_protobuf =
        headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes() == b"application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(&body[..]).ok().filter(|_| is_protobuf);
    let request = request.ok_or(StatusCode::BAD_REQUEST)?;
    let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
    taken.bytes.extend_from_slice(body);
    taken.tokens.extend(headers.get("x-token").and_then(|token| token.to_str().ok()).map(Into::into));
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.map(|resource| attributes(&resource.attributes)).unwrap_or_default();
        taken.services.extend(resource.get("service.name").cloned());
        taken.spans.extend(of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans));
    }
    Ok(ExportTraceServiceResponse::default().encode_to_vec())
}

/// Attributes as texts.
pub fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &AnyValue| match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        other => format!("{other:?}"),
    };
    let pairs = attributes.iter().filter_map(|pair| Some((pair.key.clone(), text(pair.value.as_ref()?))));
    pairs.collect()
}

/// The only span of this name.
pub fn named<'a>(spans: &'a [Span], name: &str) -> Result<&'a Span> {
    let names = || spans.iter().map(|span| &*span.name).collect::<Vec<_>>();
    let mut named = spans.iter().filter(|span| span.name == name);
    let span = named.next().with_context(|| format!("no span {name:?} in {:?}", names()))?;
    anyhow::ensure!(named.next().is_none(), "several spans {name:?} in {:?}", names());
    Ok(span)
}
