//! Reading the meters of an account.

use billing::{AccountId, Entitlement, Meter, SubscriptionId, overage, usage_window};

use super::reading::MeterReading;
use super::window::{carried_into, counters_at};
use crate::core::Core;
use crate::store::usage::Counter;
use crate::store::{StoreError, credits};

/// Reads all meters of an account, in the current window. `entitlement` is the account's own.
pub async fn readings(
    core: &Core,
    account: &AccountId,
    entitlement: &Entitlement,
) -> Result<Vec<MeterReading>, StoreError> {
    let (db, catalog) = (core.db(), core.catalog());
    let window = usage_window(entitlement.window_anchor, core.now());
    let (counters, balances, subscriptions) = tokio::try_join!(
        counters_at(db, account, window, entitlement.subscription().map(SubscriptionId::as_str)),
        credits::balances(db, account),
        core.cache().subscriptions(db, account),
    )?;
    let read = |meter: Meter| {
        let limit = entitlement.limit(meter);
        let balance = balances.iter().find(|balance| balance.meter == meter.as_str());
        let credits = balance.map_or(0, credits::Balance::left);
        let overage_policy = overage(&subscriptions, catalog, entitlement, meter);
        let is_current = |counter: &&Counter| counter.meter == meter.as_str() && counter.window_start == window.start.0;
        match counters.iter().find(is_current) {
            Some(counter) => MeterReading::new(counter, meter, limit, window, credits, overage_policy),
            None => MeterReading {
                meter,
                used: carried_into(&counters, meter, window),
                reserved: 0,
                limit,
                from_credits: 0,
                credits,
                overage: 0,
                reserved_overage: 0,
                overage_policy,
                window,
            },
        }
    };
    Ok(catalog.meters().iter().map(|definition| read(definition.meter)).collect())
}
