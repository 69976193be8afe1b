//! Idempotency keys that survive a failure of Stripe's.
//!
//! A request that is repeated under its key takes effect once. But Stripe also repeats a failure under the key,
//! for a day. So a request that has failed for some minutes needs another key, after a check whether an earlier
//! request has taken effect anyway (`tests/http/outage.rs`).

use billing::Timestamp;

use crate::core::Core;
use crate::store::StoreError;
use crate::store::unanswered::{self, Unanswered};
use crate::stripe::GatewayError;

/// The time for which a request is repeated under one key, in seconds. A request in progress in Stripe ends
/// much earlier.
const RETRY_WINDOW: i64 = 180;
/// The time for which an unanswered request is stored, in seconds: longer than Stripe remembers a key.
pub(crate) const REMEMBERED: i64 = 2 * 86_400;

/// The idempotency key of a request.
#[derive(Debug)]
pub(crate) struct Key {
    base: String,
    unanswered: Option<Unanswered>,
}

impl Key {
    /// Returns the key for the next attempt of the request named `base`.
    pub(crate) async fn of(core: &Core, base: String) -> Result<Self, StoreError> {
        let unanswered = unanswered::by_key(core.db(), &base).await?;
        Ok(Self { base, unanswered })
    }

    /// Returns the key for the next attempt of a request whose effect was just looked for. A key under which
    /// the request can no longer be repeated is replaced.
    pub(crate) async fn renewed_if_failing(core: &Core, base: String) -> Result<Self, StoreError> {
        let key = Self::of(core, base).await?;
        if key.failing_since(core.now()).is_some() { key.renewed(core).await } else { Ok(key) }
    }

    /// Returns the time of the first failure, if it is too long ago to repeat the request under this key.
    pub(crate) fn failing_since(&self, now: Timestamp) -> Option<Timestamp> {
        let since = self.unanswered.map(|unanswered| Timestamp(unanswered.since))?;
        (since.plus_seconds(RETRY_WINDOW) <= now).then_some(since)
    }

    /// Returns the next key. Requests that renew it together get the same.
    pub(crate) async fn renewed(self, core: &Core) -> Result<Self, StoreError> {
        self.replace(core).await?;
        Self::of(core, self.base).await
    }

    /// Records the outcome of the request, and returns Stripe's response.
    pub(crate) async fn settle<T, E>(&self, core: &Core, response: Result<T, GatewayError>) -> Result<T, E>
    where
        E: From<GatewayError> + From<StoreError>,
    {
        match response {
            // Stripe repeats a rejection too.
            Err(error) if error.is_final() => {
                self.replace(core).await?;
                Err(error.into())
            }
            response => self.settle_once(core, response).await,
        }
    }

    /// Records the outcome of a request that Stripe may reject once: the key of a rejection stays, so that
    /// requests sent together are rejected together.
    pub(crate) async fn settle_once<T, E>(&self, core: &Core, response: Result<T, GatewayError>) -> Result<T, E>
    where
        E: From<GatewayError> + From<StoreError>,
    {
        let is_answered = response.as_ref().err().is_none_or(GatewayError::is_final);
        if is_answered == self.unanswered.is_some() {
            let mut tx = core.db().begin().await?;
            match is_answered {
                true => unanswered::record_success(&mut tx, &self.base).await?,
                false => unanswered::insert(&mut tx, &self.base, core.now()).await?,
            }
            tx.commit().await?;
        }
        Ok(response?)
    }

    async fn replace(&self, core: &Core) -> Result<(), StoreError> {
        let mut tx = core.db().begin().await?;
        unanswered::renew(&mut tx, &self.base, self.number() + 1, core.now()).await?;
        tx.commit().await
    }

    fn number(&self) -> i64 {
        self.unanswered.map_or(0, |unanswered| unanswered.number)
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.number() {
            0 => f.write_str(&self.base),
            number => write!(f, "{}:{number}", self.base),
        }
    }
}
