//! Failures of requests to Stripe.

use serde_json::Value;

use super::objects::{ObjectError, text};

/// Stripe's code for an object that another request, or Stripe itself, is changing (Stripe docs, "Object lock
/// timeouts").
const LOCK_TIMEOUT: &str = "lock_timeout";

/// An error of a request to Stripe.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Stripe understood the request and rejected it; the same request will not succeed.
    #[error("Stripe rejected the request ({status}{}): {message}", code.as_deref().map(|code| format!(", {code}")).unwrap_or_default())]
    Rejected {
        /// HTTP status.
        status: u16,
        /// Stripe's error code.
        code: Option<String>,
        /// Stripe's message, for logs.
        message: String,
    },
    /// The request timed out, Stripe asks to retry later, or too many requests are waiting to be sent.
    #[error("Stripe is unavailable: {0}")]
    Unavailable(String),
    /// Another request holds the idempotency key or the object; the same request may succeed in a moment.
    #[error("Stripe is busy with another request: {0}")]
    Conflict(String),
    /// A required field is missing from the response.
    #[error("Stripe's response is not usable: {0}")]
    Object(#[from] ObjectError),
    /// The request could not be built.
    #[error("request to Stripe: {0}")]
    Request(String),
    /// The catalog refers to a price that Stripe does not have.
    #[error("no active price in Stripe with lookup key `{0}`: run `tollgate catalog apply` or set its id")]
    NoSuchPrice(String),
}

impl GatewayError {
    /// Returns whether Stripe has no such object.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Rejected { status: 404, .. })
    }

    /// Returns whether the same request about another object might succeed.
    pub const fn concerns_one_object(&self) -> bool {
        match self {
            // The key is invalid, or is missing a permission.
            Self::Rejected { status, .. } => !matches!(status, 401 | 403),
            Self::Conflict(_) | Self::Object(_) | Self::NoSuchPrice(_) => true,
            Self::Unavailable(_) | Self::Request(_) => false,
        }
    }

    /// Returns whether any request would fail: Stripe is unavailable, or rejects the key.
    pub const fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Rejected { status: 401, .. })
    }

    /// Returns whether Stripe will reject the same request again.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Rejected { .. } | Self::NoSuchPrice(_))
    }

    /// Classifies a response without the object (Stripe docs, "Errors").
    pub(super) fn of_response(status: u16, json: Option<&Value>) -> Self {
        let field = |pointer| json.and_then(|json| text(json, pointer)).map(str::to_owned);
        let message = field("/error/message").unwrap_or_default();
        let code = field("/error/code");
        match status {
            // A request with the same key is still in progress.
            409 => Self::Conflict(message),
            429 if code.as_deref() == Some(LOCK_TIMEOUT) => Self::Conflict(message),
            424 | 429 | 500.. => Self::Unavailable(format!("status {status}: {message}")),
            // A success without JSON: from a proxy, or truncated.
            200..=399 => Self::Unavailable(format!("status {status} without JSON")),
            _ => Self::Rejected { status, code, message },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_conflict_with_another_request_is_not_an_outage() {
        let error = |status, code: &str| {
            GatewayError::of_response(status, Some(&json!({ "error": { "code": code, "message": "later" } })))
        };
        for conflict in [error(409, "idempotency_key_in_use"), error(429, LOCK_TIMEOUT)] {
            assert!(!conflict.is_outage() && !conflict.is_final() && conflict.concerns_one_object(), "{conflict:?}");
        }
        assert!(error(429, "rate_limit").is_outage());
    }
}
