//! Rate limits as answers tell of them.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::faults::Scope;

/// How a bucket stands after a request.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    /// When its window ends, in milliseconds since the Unix epoch.
    pub(crate) reset_ms: u64,
    /// Milliseconds until then.
    pub(crate) after_ms: u64,
    pub(crate) bucket: String,
}

/// A request that is one too many.
#[derive(Clone, Debug)]
pub(crate) struct Limited {
    pub(crate) scope: Scope,
    /// Milliseconds to wait.
    pub(crate) wait_ms: u64,
    pub(crate) standing: Option<Standing>,
}

impl Standing {
    pub(crate) fn headers(&self, headers: &mut HeaderMap) {
        set(headers, "x-ratelimit-limit", self.limit);
        set(headers, "x-ratelimit-remaining", self.remaining);
        set(headers, "x-ratelimit-reset", seconds(self.reset_ms));
        set(headers, "x-ratelimit-reset-after", seconds(self.after_ms));
        set(headers, "x-ratelimit-bucket", &self.bucket);
    }
}

impl Limited {
    pub(crate) fn new(scope: Scope, wait_ms: u64, standing: Option<Standing>) -> Self {
        Self { scope, wait_ms, standing }
    }

    pub(crate) fn headers(&self, headers: &mut HeaderMap) {
        if let Some(standing) = &self.standing {
            standing.headers(headers);
        }
        set(headers, "retry-after", self.wait_ms.div_ceil(1_000));
        set(headers, "x-ratelimit-scope", self.scope.name());
        if self.scope == Scope::Global {
            set(headers, "x-ratelimit-global", "true");
        }
    }

    pub(crate) fn body(&self) -> Value {
        let message = match self.scope {
            Scope::Shared => "The resource is being rate limited.",
            Scope::User | Scope::Global => "You are being rate limited.",
        };
        #[expect(clippy::cast_precision_loss, reason = "milliseconds to wait are few")]
        let retry_after = self.wait_ms as f64 / 1_000.0;
        json!({ "message": message, "code": 0, "retry_after": retry_after, "global": self.scope == Scope::Global })
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

fn set(headers: &mut HeaderMap, name: &'static str, value: impl ToString) {
    if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
