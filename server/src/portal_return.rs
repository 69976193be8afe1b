//! Fetching what was changed in Stripe's customer portal, for the page that the portal links back to.
//!
//! It is a link, so any site can send a signed-in browser there repeatedly. It therefore uses the account's quota
//! of requests to Stripe, and no one waits long: the webhook delivers what is not fetched here.

use std::time::Duration;

use billing::AccountId;
use engine::portal;
use tokio::time::timeout;

use crate::tollgate::Tollgate;

/// The time that a visitor waits for Stripe.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Fetches the account's billing from Stripe. If that fails or takes too long, the stored state is left
/// unchanged.
#[tracing::instrument(skip_all, fields(account = %account))]
pub async fn refresh(tollgate: &Tollgate, account: &AccountId) {
    if tollgate.stripe_quota().take(account, tollgate.now()).is_err() {
        tracing::info!("the account's quota of requests to Stripe is used up; showing the stored state");
        return;
    }
    match timeout(TIMEOUT, portal::refresh(tollgate, account)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "could not fetch the portal's changes from Stripe"),
        Err(_) => tracing::warn!("Stripe did not return the portal's changes within {} s", TIMEOUT.as_secs()),
    }
}
