//! The circuit breaker that stops events from being applied while Stripe is unavailable or rejects the API key.
//!
//! Retrying every event against a Stripe that is down would only add load. So events are not applied until
//! a retry time, and after that one at a time, until Stripe responds (`tests/http/outage.rs`).

use std::sync::{Mutex, MutexGuard, PoisonError};

use billing::Timestamp;

use crate::backoff::backoff;

/// The longest time between two retries, in seconds.
const MAX_DELAY: i64 = 60;

/// An outage of Stripe, as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The time of the first failed request.
    pub since: Timestamp,
    /// The time of the next retry.
    pub retry_at: Timestamp,
    /// The last error.
    pub reason: String,
    failures: i64,
}

/// Decides whether this node applies events.
#[derive(Debug, Default)]
pub struct CircuitBreaker(Mutex<Option<Outage>>);

impl CircuitBreaker {
    /// Returns the current outage; `None` while Stripe responds.
    pub fn outage(&self) -> Option<Outage> {
        self.lock().clone()
    }

    /// Begins an outage, or extends it after a failed retry. Requests that fail together count once.
    pub(crate) fn record_failure(&self, now: Timestamp, reason: &str) {
        let mut outage = self.lock();
        let (since, failures) = match &*outage {
            Some(outage) if now < outage.retry_at => return,
            Some(outage) => (outage.since, outage.failures + 1),
            None => (now, 1),
        };
        let retry_at = now.plus_seconds(backoff(failures, MAX_DELAY, reason));
        tracing::warn!(reason, "no event is applied until {retry_at}");
        *outage = Some(Outage { since, retry_at, reason: reason.to_owned(), failures });
    }

    /// Ends the outage: Stripe has responded.
    pub(crate) fn record_success(&self) {
        if let Some(outage) = self.lock().take() {
            tracing::info!(since = %outage.since, "Stripe is available again; events are applied");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Outage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
