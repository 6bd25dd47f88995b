use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

/// Makes a span part of its caller's trace, as W3C's headers `traceparent` and `tracestate` name it. To be called before the span is
/// entered. A malformed header counts as none.
pub fn follow(span: &Span, traceparent: &str, tracestate: Option<&str>) {
    let caller = TraceContextPropagator::new().extract(&Headers { traceparent, tracestate });
    // Fails where nobody takes the span.
    let _ = span.set_parent(caller);
}

struct Headers<'a> {
    traceparent: &'a str,
    tracestate: Option<&'a str>,
}

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            PARENT => Some(self.traceparent),
            STATE => self.tracestate,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![PARENT, STATE]
    }
}
