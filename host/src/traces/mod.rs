//! Traces by OpenTelemetry's protocol. Needs the feature `traces`.
//!
//! [`Traces::from_env`] reads the variables that every program with OpenTelemetry has, of which
//! `OTEL_EXPORTER_OTLP_ENDPOINT` is the one that is needed. Spans are sent as protobuf over HTTP, a batch every few seconds, by the
//! runtime of the program. What is not sent yet has a place in a queue of fixed size; while the collector is away, spans that find
//! no place are dropped, and no operation waits.
//!
//! Each operation of a [`ResilientStorage`](crate::ResilientStorage) is a span with the attributes of OpenTelemetry's stable
//! conventions for databases: `db.system.name`, `db.operation.name`, `db.collection.name`, `db.response.status_code`, `error.type`.
//! Each attempt in it is a span `storage`. No span has a row, an id of one, or a secret. A program with a layer of its own for
//! OpenTelemetry needs none of this: it sees the same spans, at level debug.
//!
//! ```no_run
//! # use std::time::Duration;
//! use cofferdam::traces::Traces;
//! use tracing_subscriber::layer::SubscriberExt;
//! use tracing_subscriber::util::SubscriberInitExt;
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let traces = Traces::from_env()?;
//! tracing_subscriber::registry().with(traces.as_ref().map(Traces::layer)).init();
//! // Work.
//! if let Some(traces) = traces {
//!     traces.shutdown(Duration::from_secs(1)).await;
//! }
//! # Ok(())
//! # }
//! ```

mod client;
mod parent;

use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::registry::LookupSpan;

use self::client::{Client, Place};
pub use self::parent::follow;
use crate::config::{Collector, ConfigError};
use crate::threads;

/// What the spans are told apart by from those of other libraries.
const SCOPE: &str = "cofferdam";

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TracesError {
    /// The environment is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The file with the authorities cannot be used.
    #[error("OTEL_EXPORTER_OTLP_CERTIFICATE names {path}, which cannot be used: {reason}")]
    Certificate {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// OpenTelemetry's library refuses what it was given.
    #[error("traces cannot be exported: check the variables OTEL_EXPORTER_OTLP_...")]
    Exporter,
}

/// Traces on their way to a collector. Several of one program share nothing.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    place: Place,
}

impl Traces {
    /// Traces as the environment describes them; `None` where it names no collector, or switches them off. The collector is not
    /// asked yet. Outside a runtime, [`send_on`](Self::send_on) has to follow.
    ///
    /// # Errors
    ///
    /// The environment is wrong, each mistake by the name of its variable, or a file that it names cannot be used.
    pub fn from_env() -> Result<Option<Self>, TracesError> {
        let Some(collector) = Collector::from_env()? else { return Ok(None) };
        let place = Place::default();
        let client = Client::new(&collector, place.clone())?;
        // Its message may show a variable's value.
        let exporter =
            SpanExporter::builder().with_http().with_http_client(client).build().map_err(|_| TracesError::Exporter)?;
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource(&collector)).build();
        let scope = InstrumentationScope::builder(SCOPE).with_version(env!("CARGO_PKG_VERSION")).build();
        let tracer = provider.tracer_with_scope(scope);
        let traces = Self { provider, tracer, place };
        if let Ok(runtime) = Handle::try_current() {
            traces.send_on(runtime);
        }
        Ok(Some(traces))
    }

    /// The runtime that talks to the collector. One that is known already stays.
    pub fn send_on(&self, runtime: Handle) {
        let _ = self.place.set(runtime);
    }

    /// The layer that takes the spans of this library, and its warnings and errors within them. Those of the program and of other
    /// libraries are not taken.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.tracer.clone())
            .with_level(false)
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(FilterFn::new(is_taken).with_max_level_hint(LevelFilter::DEBUG))
    }

    /// Sends what has not been sent yet, and ends. Takes at most `budget`, also if the collector is away; returns whether everything
    /// was sent.
    pub async fn shutdown(&self, budget: Duration) -> bool {
        let provider = self.provider.clone();
        let ended = threads::spawn(move || provider.shutdown_with_timeout(budget).is_ok());
        matches!(timeout(budget, ended).await, Ok(Ok(true)))
    }
}

/// Spans at level debug: those at another one are for the log.
fn is_taken(metadata: &Metadata<'_>) -> bool {
    let is_own = metadata.target().split("::").next() == Some(SCOPE);
    is_own && if metadata.is_span() { *metadata.level() == Level::DEBUG } else { *metadata.level() <= Level::WARN }
}

fn resource(collector: &Collector) -> Resource {
    let resource = Resource::builder();
    if collector.is_named {
        return resource.build();
    }
    let program = std::env::current_exe().ok();
    let program = program.as_ref().and_then(|path| path.file_stem()?.to_str());
    resource.with_service_name(program.unwrap_or(SCOPE).to_owned()).build()
}
