//! Billed usage, compared with Stripe's count. Nothing is repaired: a program must not take back billed
//! usage.

use billing::{AccountId, CustomerId, Meter, Timestamp};

use super::comparison::Comparison;
use super::drift::{BilledUsage, Drift};
use crate::core::Core;
use crate::store::{customers, meter_events};
use crate::sync::SyncError;

/// The number of days for which usage is compared.
const COMPARED_DAYS: i64 = 30;
/// Stripe aggregates with a delay, so the last full hour is left out as well as the current one.
const DELAY: i64 = 3600;

pub(super) async fn compare(comparison: &mut Comparison<'_>) -> Result<(), SyncError> {
    let core = comparison.core;
    for sender in meter_events::senders(core.db()).await.map_err(SyncError::from)? {
        let account = AccountId::new(sender.account_id);
        let Some(meter) = core.catalog().meter(&sender.meter) else { continue };
        let Some(customer) = customers::of_account(core.db(), &account).await? else { continue };
        let difference = difference(core, &account, meter, &customer).await;
        if let Some(Some(difference)) = comparison.skip_if_single(customer.as_str(), difference)? {
            comparison.open(Drift::BilledUsage(difference));
        }
    }
    Ok(())
}

async fn difference(
    core: &Core,
    account: &AccountId,
    meter: Meter,
    customer: &CustomerId,
) -> Result<Option<BilledUsage>, SyncError> {
    let Some(price) = core.catalog().metered_price(meter) else { return Ok(None) };
    let hour = core.now().0 - core.now().0.rem_euclid(3600);
    let (from, to) = (Timestamp(hour).plus_days(-COMPARED_DAYS), Timestamp(hour - DELAY));
    let sent = meter_events::sent_units(core.db(), account, meter.as_str(), from, to).await?;
    let counted = core.gateway().units_counted(&price.event_name, customer, from, to).await?;
    let found = BilledUsage { account: account.clone(), customer: customer.clone(), meter, sent, counted };
    Ok((sent != counted).then_some(found))
}
