//! Credits: units of a meter that were bought once, and last from window to window until
//! they are used.
//!
//! A purchase says what it gives now, as often and in whatever order it likes: the balance
//! is the sum of what was said last (`tests/store/credits.rs`). The window's included
//! allowance is used first. A refund takes back what the purchase gave, used or not: then
//! the balance is below zero, and nothing is to be had until it is above again. It never
//! goes back into what was counted.

use billing::{AccountId, Meter, Timestamp};

use crate::store::credits::{self as rows, Granted};
use crate::store::{StoreError, Tx};

/// Says what a purchase gives *now*: `units` of `meter` to `account`, 0 once it was refunded.
/// `source` is the purchase's natural key. To be called in the transaction that writes the
/// purchase; saying the same again changes nothing.
///
/// # Errors
/// The database failed, or there is no such account.
pub async fn set_granted(
    tx: &mut Tx,
    account: &AccountId,
    meter: Meter,
    source: &str,
    units: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let before = rows::take_grant(tx, source, account, meter, now).await?;
    // Less than nothing is nothing: a purchase takes no more back than it gave.
    let granted = Granted { account_id: account.to_string(), meter: meter.as_str().to_owned(), units: units.max(0) };
    if before == granted {
        return Ok(());
    }
    rows::set_grant(tx, source, &granted, now).await?;
    if before.units != 0 {
        rows::move_granted(tx, &before.account_id, &before.meter, -before.units).await?;
    }
    rows::move_granted(tx, &granted.account_id, &granted.meter, granted.units).await
}
