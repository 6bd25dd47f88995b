//! Errors of REST, as Discord writes them.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A request that is refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: u64,
    message: String,
    errors: Option<Value>,
}

/// Refusals that carry their code into the record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Code(pub(crate) u64);

impl Refusal {
    const fn plain(status: u16, code: u64, message: String) -> Self {
        Self { status, code, message, errors: None }
    }

    pub(crate) fn unauthorized() -> Self {
        Self::plain(401, 0, "401: Unauthorized".to_owned())
    }

    pub(crate) fn no_route() -> Self {
        Self::plain(404, 0, "404: Not Found".to_owned())
    }

    pub(crate) fn method() -> Self {
        Self::plain(405, 0, "405: Method Not Allowed".to_owned())
    }

    pub(crate) fn unknown_channel() -> Self {
        Self::plain(404, 10_003, "Unknown Channel".to_owned())
    }

    pub(crate) fn unknown_guild() -> Self {
        Self::plain(404, 10_004, "Unknown Guild".to_owned())
    }

    pub(crate) fn unknown_member() -> Self {
        Self::plain(404, 10_007, "Unknown Member".to_owned())
    }

    pub(crate) fn unknown_message() -> Self {
        Self::plain(404, 10_008, "Unknown Message".to_owned())
    }

    pub(crate) fn unknown_user() -> Self {
        Self::plain(404, 10_013, "Unknown User".to_owned())
    }

    /// Discord's edge refuses clients that do not say who they are.
    pub(crate) fn user_agent() -> Self {
        Self::plain(403, 40_333, "internal network error".to_owned())
    }

    pub(crate) fn no_access() -> Self {
        Self::plain(403, 50_001, "Missing Access".to_owned())
    }

    pub(crate) fn not_the_author() -> Self {
        Self::plain(403, 50_005, "Cannot edit a message authored by another user".to_owned())
    }

    pub(crate) fn empty_message() -> Self {
        Self::plain(400, 50_006, "Cannot send an empty message".to_owned())
    }

    pub(crate) fn no_permission() -> Self {
        Self::plain(403, 50_013, "Missing Permissions".to_owned())
    }

    pub(crate) fn wrong_channel() -> Self {
        Self::plain(400, 50_024, "Cannot execute action on this channel type".to_owned())
    }

    pub(crate) fn archived() -> Self {
        Self::plain(400, 50_083, "Thread is archived".to_owned())
    }

    pub(crate) fn json() -> Self {
        Self::plain(400, 50_109, "The request body contains invalid JSON.".to_owned())
    }

    pub(crate) fn thread_exists() -> Self {
        Self::plain(400, 160_004, "A thread has already been created for this message".to_owned())
    }

    /// One field of a request is wrong.
    pub(crate) fn field(field: &str, code: &str, message: &str) -> Self {
        let errors = json!({ field: { "_errors": [{ "code": code, "message": message }] } });
        Self { errors: Some(errors), ..Self::plain(400, 50_035, "Invalid Form Body".to_owned()) }
    }

    /// A text is too short or too long.
    pub(crate) fn length(field: &str, least: usize, most: usize) -> Self {
        if least == 0 {
            return Self::field(field, "BASE_TYPE_MAX_LENGTH", &format!("Must be {most} or fewer in length."));
        }
        Self::field(field, "BASE_TYPE_BAD_LENGTH", &format!("Must be between {least} and {most} in length."))
    }

    /// An id is none.
    pub(crate) fn snowflake(field: &str, value: &str) -> Self {
        Self::field(field, "NUMBER_TYPE_COERCE", &format!("Value \"{value}\" is not snowflake."))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({ "message": self.message, "code": self.code });
        if let Some(errors) = self.errors {
            body["errors"] = errors;
        }
        let mut response = answer(StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST), &body);
        response.extensions_mut().insert(Code(self.code));
        response
    }
}

/// An answer with a body.
pub(crate) fn answer(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
