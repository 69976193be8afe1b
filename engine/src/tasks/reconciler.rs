//! Comparing with Stripe on a schedule.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::reconcile;

/// The schedule of comparisons with Stripe.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// The delay after startup.
    pub first: Duration,
    /// The interval between comparisons. Of several nodes, one compares.
    pub every: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { first: Duration::from_secs(30), every: Duration::from_secs(3600) }
    }
}

/// Compares until `stop`.
pub async fn run(core: Arc<Core>, schedule: Schedule, stop: CancellationToken) {
    let mut wait = schedule.first;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = schedule.every;
        if let Err(error) = reconcile::reconcile_if_due(&core).await {
            tracing::warn!(%error, "the comparison with Stripe failed; retrying later");
        }
    }
}
