//! The body of a request.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::problem::{Kind, Problem};
use super::query::shortened;

/// The most bytes of a body. A row has four ids of up to 255 characters.
pub const MOST: u64 = 1 << 20;

/// What is still taken of a body that is too large, so that a client that sends all of it before it reads hears why.
const MOST_IGNORED: u64 = 64 << 20;

/// Reads a JSON document.
pub async fn json<T: DeserializeOwned>(request: Request, limit: Duration) -> Result<T, Problem> {
    must_be_json(request.headers())?;
    let announced = length(request.headers());
    // A client that waits for leave to send is not given it.
    let is_sent = !request.headers().contains_key(EXPECT);
    let bytes = match bytes(request.into_body(), announced, limit).await? {
        Ok(bytes) => bytes,
        Err(rest) => {
            if is_sent {
                tokio::spawn(timeout(limit, ignore(rest)));
            }
            return Err(Problem::new(Kind::TooLarge, format!("the body has more than {MOST} bytes")));
        }
    };
    // An array would be taken for the members in their order.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Problem::invalid("the body is not a JSON object"));
    }
    serde_json::from_slice(&bytes).map_err(|error| Problem::invalid(format!("the body: {}", shortened_error(&error))))
}

/// What is wrong with a document. It repeats what a client sent, but not much of it.
fn shortened_error(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let (what, place) = text.rsplit_once(" at line ").unwrap_or((&text, ""));
    let what = if what.chars().count() > 200 { format!("{}\u{2026}", shortened(what)) } else { what.to_owned() };
    if place.is_empty() { what } else { format!("{what} at line {place}") }
}

fn must_be_json(headers: &HeaderMap) -> Result<(), Problem> {
    let wrong = |detail: &str| Err(Problem::new(Kind::UnsupportedMediaType, detail));
    if headers.contains_key(CONTENT_ENCODING) {
        return wrong("Content-Encoding is not supported: send the body as it is");
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(Ok(text)), None) = (types.next().map(|value| value.to_str()), types.next()) else {
        return wrong("send one header Content-Type: application/json");
    };
    let mut parts = text.split(';').map(str::trim);
    if !parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return wrong("the body must be JSON: send Content-Type: application/json");
    }
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.eq_ignore_ascii_case("charset").then(|| value.trim_matches('"'))
    });
    if charset.is_some_and(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
        return wrong("the body must be UTF-8");
    }
    Ok(())
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The whole body, or what is left of one that is too large.
async fn bytes(mut body: Body, announced: Option<u64>, limit: Duration) -> Result<Result<Vec<u8>, Body>, Problem> {
    if announced.is_some_and(|length| length > MOST) {
        return Ok(Err(body));
    }
    let mut bytes = Vec::with_capacity(body.size_hint().lower().min(MOST) as usize);
    let read = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::invalid("the body cannot be read to its end"))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() as u64 + data.len() as u64 > MOST {
                return Ok(false);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(true)
    };
    match timeout(limit, read).await {
        Ok(Ok(true)) => Ok(Ok(bytes)),
        Ok(Ok(false)) => Ok(Err(body)),
        Ok(Err(problem)) => Err(problem),
        Err(_) => Err(Problem::new(Kind::RequestTimeout, format!("the body did not arrive within {limit:?}"))),
    }
}

/// Takes what a client goes on sending, for a while.
async fn ignore(mut body: Body) {
    let mut left = MOST_IGNORED;
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
        if left == 0 {
            return;
        }
    }
}
