//! Reading the meters of an account.

use billing::{AccountId, Catalog, Entitlement, Meter, Overage, Reason, Subscription, usage_window};

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
    let counters = counters_at(db, account, window, window_owner(entitlement)).await?;
    let balances = credits::balances(db, account).await?;
    let subscriptions = core.cache().subscriptions(db, account).await?;
    let read = |meter: Meter| {
        let limit = entitlement.limit(meter);
        let balance = balances.iter().find(|balance| balance.meter == meter.as_str());
        let credits = balance.map_or(0, credits::Balance::left);
        let beyond = beyond(catalog, &subscriptions, entitlement, meter);
        let is_current = |counter: &&Counter| counter.meter == meter.as_str() && counter.window_start == window.start.0;
        match counters.iter().find(is_current) {
            Some(counter) => MeterReading::new(counter, meter, limit, window, credits, beyond),
            None => MeterReading {
                meter,
                used: carried_into(&counters, meter, window),
                reserved: 0,
                limit,
                from_credits: 0,
                credits,
                overage: 0,
                beyond,
                window,
            },
        }
    };
    Ok(catalog.meters().iter().map(|definition| read(definition.meter)).collect())
}

/// The subscription whose windows apply; none on the free plan.
pub(super) fn window_owner(entitlement: &Entitlement) -> Option<&str> {
    match (&entitlement.reason, entitlement.window_anchor) {
        (Reason::Subscription { id, .. }, Some(_)) => Some(id.as_str()),
        _ => None,
    }
}

/// The treatment of usage beyond the limit. Overage is billed through an item of the subscription;
/// without that item it is denied.
pub(super) fn beyond(
    catalog: &Catalog,
    subscriptions: &[Subscription],
    entitlement: &Entitlement,
    meter: Meter,
) -> Overage {
    let is_billed = subscriptions
        .iter()
        .filter(|each| Some(each.id.as_str()) == window_owner(entitlement))
        .any(|each| each.items.iter().any(|item| catalog.bills(meter, item.lookup_key.as_deref())));
    if is_billed { catalog.overage(meter) } else { Overage::Deny }
}
