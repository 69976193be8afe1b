//! Customers that no account owns, such as those of another product that is sold with the same Stripe account. There
//! may be thousands, so a scheduled run does not ask Stripe about one that was checked within a day, and reports it
//! as before. Changes in between are not missed: an event of the customer is applied as any other, and an
//! account that is created later makes the events that name it due.

use billing::{CustomerId, Timestamp};

use super::comparison::{Comparison, Mode};
use crate::store::{StoreError, Tx, unlinked_customers};

/// The time for which a check counts, in seconds.
const CHECK_LASTS: i64 = 86_400;

/// Returns whether a customer is known to have no account, so that Stripe need not be asked. An operator's run always
/// asks.
pub(super) async fn is_known(comparison: &Comparison<'_>, customer: &CustomerId) -> Result<bool, StoreError> {
    let core = comparison.core;
    Ok(comparison.is_scheduled
        && unlinked_customers::was_checked_after(core.db(), customer, expired(core.now())).await?)
}

/// Records that a customer has no account, according to Stripe.
pub(super) async fn set_checked(comparison: &Comparison<'_>, customer: &CustomerId) -> Result<(), StoreError> {
    if comparison.mode == Mode::DryRun {
        return Ok(());
    }
    let core = comparison.core;
    let mut tx = core.db().begin().await?;
    unlinked_customers::set_checked(&mut tx, customer, core.now()).await?;
    tx.commit().await
}

/// Forgets the checks that no longer count.
pub(super) async fn forget(tx: &mut Tx, now: Timestamp) -> Result<(), StoreError> {
    unlinked_customers::forget(tx, expired(now)).await
}

/// Returns the time up to which checks no longer count.
fn expired(now: Timestamp) -> Timestamp {
    now.plus_seconds(-CHECK_LASTS)
}
