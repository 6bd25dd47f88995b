//! Ids of requests, which clients, answers and the log share.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header that has them.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The most characters of one that a client gives.
const MOST: usize = 128;

/// Puts the id of a request into its headers: its own, if a log and another client can bear it, or a new one.
pub fn assign(headers: &mut HeaderMap) -> HeaderValue {
    let given = headers.get(&HEADER).filter(|value| {
        let bytes = value.as_bytes();
        (1..=MOST).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
    });
    let id = given.cloned().unwrap_or_else(made);
    headers.insert(HEADER, id.clone());
    id
}

fn made() -> HeaderValue {
    HeaderValue::try_from(new()).unwrap_or(HeaderValue::from_static("unknown"))
}

/// A new id.
pub fn new() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// The id that a request was assigned.
pub fn of(headers: &HeaderMap) -> &str {
    headers.get(&HEADER).map(text).unwrap_or_default()
}

/// An id as text.
pub fn text(id: &HeaderValue) -> &str {
    id.to_str().unwrap_or_default()
}
