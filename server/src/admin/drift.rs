//! Differences from Stripe.

use std::time::Duration;

use engine::StoreError;
use engine::reconcile::{self, Interrupted, Mode, STRIPE_KEEPS_DAYS};
use engine::store::drift::{self as rows, DriftEntry, DriftFilter, Run};
use engine::store::{Cursor, Page};

use super::page::{READ, ROWS};
use super::roles::OperatorPermit;
use crate::tollgate::Tollgate;

/// The time an operator waits for a comparison.
const WAIT: Duration = Duration::from_secs(20);

/// Reads a page of differences, open and closed, newest first.
pub async fn drift(
    tollgate: &Tollgate,
    _: &OperatorPermit,
    filter: &DriftFilter,
    after: &Cursor,
) -> Result<Page<DriftEntry>, StoreError> {
    let rows = rows::list(tollgate.db(), filter, after, READ).await?;
    Ok(Page::new(rows, ROWS, |entry| Cursor { at: entry.found_at, key: entry.id.clone() }))
}

/// Reads the latest finished comparison with Stripe.
pub async fn last_run(tollgate: &Tollgate, _: &OperatorPermit) -> Result<Option<Run>, StoreError> {
    rows::latest_run(tollgate.db()).await
}

/// Compares with Stripe now, and repairs what is safe. Returns `false` if that takes longer than
/// [`WAIT`]: it continues in the background, and is recorded when it ends.
pub async fn compare(tollgate: &Tollgate, _: &OperatorPermit) -> Result<bool, Interrupted> {
    let comparing = tokio::spawn({
        let tollgate = tollgate.clone();
        async move { reconcile::reconcile(&tollgate, Mode::Repair, STRIPE_KEEPS_DAYS).await }
    });
    match tokio::time::timeout(WAIT, comparing).await {
        Ok(Ok(compared)) => compared.map(|_| true),
        Ok(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
        Err(_) => Ok(false),
    }
}
