//! A request as a span for traces, with the names of OpenTelemetry's conventions for servers.

use axum::http::{Method, Request, StatusCode};
use tracing::Span;
use tracing::field::Empty;

use super::api;

/// The span of a request, which continues its client's trace. It belongs to a span of the log, which is none of traces.
pub fn of_request<B>(of_log: &Span, request: &Request<B>) -> Span {
    let span = tracing::debug_span!(
        parent: of_log,
        "http",
        otel.name = title(request),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method(request),
        http.route = route(request),
        http.response.status_code = Empty,
        "error.type" = Empty,
    );
    #[cfg(feature = "traces")]
    if !span.is_disabled() {
        let header = |name| {
            let mut values = request.headers().get_all(name).iter();
            values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
        };
        if let Some(parent) = header("traceparent") {
            cofferdam::traces::follow(&span, parent, header("tracestate"));
        }
    }
    span
}

/// Notes how a request was answered.
pub fn end(span: &Span, status: StatusCode) {
    if span.is_disabled() {
        return;
    }
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("error.type", status.as_str());
        span.record("otel.status_code", "error");
    }
}

fn title<B>(request: &Request<B>) -> String {
    let method = match method(request) {
        "_OTHER" => "HTTP",
        method => method,
    };
    match route(request) {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    }
}

/// The method, as long as it is one that HTTP knows: the others are without number.
fn method<B>(request: &Request<B>) -> &str {
    match request.method() {
        &Method::GET
        | &Method::HEAD
        | &Method::POST
        | &Method::PUT
        | &Method::DELETE
        | &Method::CONNECT
        | &Method::OPTIONS
        | &Method::TRACE
        | &Method::PATCH => request.method().as_str(),
        _ => "_OTHER",
    }
}

/// The path, which has no parameters in it, where it is one of the server's.
fn route<B>(request: &Request<B>) -> Option<&str> {
    Some(request.uri().path()).filter(|path| api::is_route(path))
}
