//! Payments that are disputed or were taken back, as stored: a dispute is lost without a response, and the
//! subscription renews unless it is canceled. Nothing is repaired.

use super::comparison::Comparison;
use super::drift::Drift;
use crate::store::subscriptions;
use crate::sync::SyncError;

pub(super) async fn report(comparison: &mut Comparison<'_>) -> Result<(), SyncError> {
    for (id, stored) in subscriptions::with_flagged_reversals(comparison.core.db()).await? {
        let Some(stored) = comparison.skip_if_single(id.as_str(), stored.map_err(SyncError::from))? else { continue };
        for kind in stored.object.flagged_reversals() {
            comparison.open(Drift::ReversedPayment { subscription: id.clone(), kind });
        }
    }
    Ok(())
}
