//! Closed accounts whose address and name Stripe still has, because it did not erase them at the time.

use super::comparison::{Comparison, Mode};
use crate::closing;
use crate::store::customers;
use crate::sync::SyncError;

/// Erases them in Stripe, except in a dry run.
pub(super) async fn erase(comparison: &mut Comparison<'_>) -> Result<(), SyncError> {
    if comparison.mode == Mode::DryRun {
        return Ok(());
    }
    for customer in customers::to_erase(comparison.core.db()).await? {
        let erased = closing::erase_customer(comparison.core, &customer).await;
        comparison.skip_if_single(customer.as_str(), erased)?;
    }
    Ok(())
}
