//! A request, before it is one of a library.

use axum::http::Method;

/// What a client sends.
#[derive(Clone, Debug)]
pub struct Sent {
    pub method: Method,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// The pieces in which the body arrives.
    pub pieces: usize,
    /// Whether nothing is wrong with it but what a storage finds.
    pub is_meant: bool,
}

pub const PATHS: [&str; 9] = [
    "/v1/message-state",
    "/v1/message-states",
    "/v1/thread-ownership",
    "/v1/thread-ownerships",
    "/v1/thread-ownerships/cleanup",
    "/v1/health",
    "/v1/initialize",
    "/v1/close",
    "/v1/openapi.json",
];
