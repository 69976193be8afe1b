//! Sending overage to Stripe.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::metering::outbox;
use crate::stripe_account::{self, StripeAccountError};

/// The interval at which the outbox is polled. An hour's usage is sent when the hour is over.
const INTERVAL: Duration = Duration::from_secs(60);

/// Sends until `stop`.
pub async fn run(core: Arc<Core>, stop: CancellationToken) {
    // Without a metered price there is nothing to send, and the catalog does not change at run time.
    let has_work = core.catalog().metered_prices().next().is_some();
    while !stop.is_cancelled() {
        if has_work && let Err(error) = send_due(&core).await {
            tracing::error!(%error, "cannot send overage");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// Sends what is due. Another Stripe account would reject it permanently, so the key's account is confirmed
/// first.
pub async fn send_due(core: &Core) -> Result<(), StripeAccountError> {
    stripe_account::verify(core).await?;
    outbox::send_due(core).await?;
    Ok(())
}
