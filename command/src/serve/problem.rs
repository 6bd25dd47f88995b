//! What goes wrong, as clients are told: `application/problem+json` of RFC 9457.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use cofferdam::{Error, ErrorKind};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

/// The page that has every kind under a heading of its name.
const PAGE: &str = "https://github.com/cofferdam/cofferdam/blob/main/docs/troubleshooting.md";

/// Why a request fails: the kinds of the storage, and those of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Storage(ErrorKind),
    /// The token is missing or wrong.
    Unauthorized,
    /// No such path.
    NotFound,
    /// The path has no such method.
    MethodNotAllowed,
    /// The client accepts nothing that the path answers with.
    NotAcceptable,
    /// The body has not arrived in time.
    RequestTimeout,
    /// The body is too large.
    TooLarge,
    /// The body is no JSON by its headers.
    UnsupportedMediaType,
    /// The server has too much to do.
    Busy,
}

impl Kind {
    /// Those of HTTP.
    const OF_HTTP: [Self; 8] = [
        Self::Unauthorized,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::RequestTimeout,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Busy,
    ];

    /// All of them, those of the storage first.
    pub fn all() -> impl Iterator<Item = Self> {
        ErrorKind::ALL.into_iter().map(Self::Storage).chain(Self::OF_HTTP)
    }

    /// Name, status and title.
    fn row(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::Storage(kind) => {
                let (status, title) = match kind {
                    ErrorKind::InvalidInput => (StatusCode::BAD_REQUEST, "The request is invalid"),
                    ErrorKind::NotInitialized => (StatusCode::SERVICE_UNAVAILABLE, "The storage is not open"),
                    ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "The database is unavailable"),
                    ErrorKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, "A deadline passed"),
                    ErrorKind::Conflict => (StatusCode::CONFLICT, "The database aborted the operation"),
                    // The account of the server lacks it, not the client.
                    ErrorKind::PermissionDenied => {
                        (StatusCode::INTERNAL_SERVER_ERROR, "The server's database account lacks a right")
                    }
                    ErrorKind::StorageFull => (StatusCode::INSUFFICIENT_STORAGE, "The database has no room"),
                    ErrorKind::SchemaMismatch => {
                        (StatusCode::INTERNAL_SERVER_ERROR, "The database's schema is not supported")
                    }
                    ErrorKind::CorruptData => (StatusCode::INTERNAL_SERVER_ERROR, "Stored data cannot be understood"),
                    ErrorKind::Refused => (StatusCode::UNPROCESSABLE_ENTITY, "The database refused the row"),
                    ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "A bug of the backend or the server"),
                };
                (kind.name(), status, title)
            }
            Self::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED, "The token is missing or wrong"),
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "There is no such path"),
            Self::MethodNotAllowed => {
                ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "The path has no such method")
            }
            Self::NotAcceptable => ("not-acceptable", StatusCode::NOT_ACCEPTABLE, "No accepted format is available"),
            Self::RequestTimeout => ("request-timeout", StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time"),
            Self::TooLarge => ("too-large", StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::UnsupportedMediaType => {
                ("unsupported-media-type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is not declared as JSON")
            }
            Self::Busy => ("busy", StatusCode::SERVICE_UNAVAILABLE, "The server has too much to do"),
        }
    }

    pub fn name(self) -> &'static str {
        self.row().0
    }

    pub fn status(self) -> StatusCode {
        self.row().1
    }
}

/// A failed request. It becomes an answer where the id of the request is known.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    detail: String,
    code: Option<String>,
    retryable: bool,
    /// How long a client should wait, where that is known.
    retry_after: Option<Duration>,
}

/// How long to wait where nothing else is known.
const PAUSE: Duration = Duration::from_secs(1);

impl Problem {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let retryable = match kind {
            Kind::Storage(kind) => Error::new(kind, "").is_retryable(),
            kind => matches!(kind, Kind::RequestTimeout | Kind::Busy),
        };
        Self { kind, detail: detail.into(), code: None, retryable, retry_after: None }
    }

    /// A request that breaks a rule.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Kind::Storage(ErrorKind::InvalidInput), detail)
    }

    /// An error of the storage, and when the database is asked next, where it is left alone.
    pub fn of_storage(error: &Error, next_probe: Option<Duration>) -> Self {
        let problem = Self::new(Kind::Storage(error.kind()), error.message());
        Self { code: error.code().map(Into::into), retryable: error.is_retryable(), retry_after: next_probe, ..problem }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What is wrong, in a sentence.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The members of the document.
    pub fn document(&self, request_id: &str) -> ProblemDocument {
        let (kind, status, title) = self.kind.row();
        ProblemDocument {
            r#type: format!("{PAGE}#{kind}"),
            title,
            status: status.as_u16(),
            detail: self.detail.clone(),
            kind,
            retryable: self.retryable,
            code: self.code.clone(),
            request_id: request_id.to_owned(),
        }
    }

    /// The answer to the request of this id. `allowed` are the methods of the path.
    pub fn answer(&self, request_id: &str, allowed: Option<HeaderValue>) -> Response<Body> {
        let bytes = serde_json::to_vec(&self.document(request_id)).unwrap_or_default();
        let mut response = Response::new(Body::from(bytes));
        *response.status_mut() = self.kind.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.extend(allowed.map(|methods| (ALLOW, methods)));
        if self.kind == Kind::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.retryable && self.kind != Kind::RequestTimeout {
            let seconds = self.retry_after.unwrap_or(PAUSE).as_secs_f64().ceil().max(1.0) as u64;
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Carries the problem to where the id of the request is known.
impl IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.kind.status();
        response.extensions_mut().insert(self);
        response
    }
}

/// Why a request failed (RFC 9457). Decide by `kind` and `retryable`; the texts are for people and may change.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// The page on this kind of error.
    r#type: String,
    /// The kind in a few words.
    title: &'static str,
    /// The status of the answer.
    #[schema(example = 503)]
    status: u16,
    /// What failed, why, and what to do. Holds no secrets.
    detail: String,
    /// Why it failed, from a closed list.
    #[schema(schema_with = kinds)]
    kind: &'static str,
    /// Whether the same request may succeed later. Every operation is idempotent, so a retry is safe.
    retryable: bool,
    /// The database's own code, such as `1062` or `SQLITE_BUSY`.
    #[schema(required)]
    code: Option<String>,
    /// The id of the request, which the server's log has too.
    request_id: String,
}

/// The closed list.
fn kinds() -> Object {
    let names = Kind::all().map(Kind::name);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_is_told_in_whole_seconds_where_it_helps() {
        let away = Error::new(ErrorKind::Unavailable, "away").with_code("2002");
        let after = |problem: Problem| {
            let answer = problem.answer("id", None);
            answer.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned())
        };
        let waits = [(None, "1"), (Some(Duration::from_millis(20)), "1"), (Some(Duration::from_millis(1001)), "2")];
        for (next_probe, expected) in waits {
            assert_eq!(after(Problem::of_storage(&away, next_probe)).as_deref(), Some(expected));
        }
        assert_eq!(after(Problem::of_storage(&Error::new(ErrorKind::Refused, "no"), None)), None);
    }
}
