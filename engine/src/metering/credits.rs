//! Credits: prepaid units of a meter that roll over from window to window until they are used.
//!
//! Each purchase sets its current grant, any number of times and in any order: the balance is the sum
//! of the latest values (`tests/store/credits.rs`). The window's included allowance is used first. A
//! refund takes back the purchase's grant, used or not: if that takes the balance below zero, no credits
//! are available until it is above zero again. Counted usage is never changed.

use billing::{AccountId, Meter, Timestamp};

use crate::store::credits::{self as rows, Granted};
use crate::store::{StoreError, Tx};

/// Sets a purchase's current grant: `units` of `meter` to `account`, 0 once it was refunded. `source`
/// is the purchase's natural key. Call it in the transaction that writes the purchase. Setting the same
/// grant again changes nothing.
pub async fn set_granted(
    tx: &mut Tx,
    account: &AccountId,
    meter: Meter,
    source: &str,
    units: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let before = rows::take_grant(tx, source, account, meter, now).await?;
    // A purchase takes back no more than it granted.
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
