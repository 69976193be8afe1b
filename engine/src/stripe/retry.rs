//! Retrying failed requests.
//!
//! If Stripe sends `Stripe-Should-Retry` or `Retry-After`, these headers decide (Stripe docs, "Advanced error
//! handling"). Otherwise a request is retried, with growing, random delays, if it got no response or conflicted
//! with another request.

use std::time::Duration;

use http::HeaderName;
use http::header::{HeaderMap, RETRY_AFTER};

use super::gateway_error::GatewayError;
use crate::ids;

/// The total number of attempts of a request.
const ATTEMPTS: u32 = 4;
/// The longest wait accepted from Stripe. A customer may be waiting for the response; background tasks have
/// their own delays.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(10);

const SHOULD_RETRY: HeaderName = HeaderName::from_static("stripe-should-retry");

/// Stripe's headers about a retry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Advice {
    should_retry: Option<bool>,
    retry_after: Option<Duration>,
}

impl Advice {
    /// Reads the headers of a response.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            should_retry: text(SHOULD_RETRY).and_then(|flag| flag.parse().ok()),
            retry_after: text(RETRY_AFTER).and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs),
        }
    }
}

/// A failed attempt.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: GatewayError,
    pub(super) advice: Advice,
}

impl Failure {
    /// Creates the failure of an attempt without a response.
    pub(super) fn of_transport(error: reqwest::Error) -> Self {
        Self { error: GatewayError::Unavailable(error.without_url().to_string()), advice: Advice::default() }
    }

    /// Returns the delay before the next attempt; `None` if there is none.
    pub(super) fn delay(&self, attempts: u32) -> Option<Duration> {
        let is_temporary = matches!(self.error, GatewayError::Unavailable(_) | GatewayError::Conflict(_));
        let retry_after = self.advice.retry_after.unwrap_or_default();
        let may_retry = self.advice.should_retry.unwrap_or(is_temporary) && retry_after <= MAX_RETRY_AFTER;
        if !may_retry || attempts >= ATTEMPTS {
            return None;
        }
        let longest = 100_u64 << (2 * (attempts - 1));
        let jittered = Duration::from_millis(longest / 2 + ids::random_below(longest / 2 + 1));
        Some(jittered.max(retry_after))
    }
}
