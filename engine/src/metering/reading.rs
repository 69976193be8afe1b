//! What a meter says.

use billing::allowance::Allowance;
use billing::{
    AccountId, Catalog, Entitlement, Limit, Meter, Overage, Reason, Subscription, Timestamp, UsageWindow, usage_window,
};

use super::window::{carried_into, counters_at, units};
use crate::core::Core;
use crate::store::usage::Counter;
use crate::store::{StoreError, credits};

/// The state of a meter in the current window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterReading {
    /// The meter.
    pub meter: Meter,
    /// Used of the limit.
    pub used: u64,
    /// Reserved of the limit by work that has not ended.
    pub reserved: u64,
    /// What the plan includes.
    pub limit: Limit,
    /// Used beyond the limit, out of credits.
    pub from_credits: u64,
    /// Credits left; below zero when used ones were refunded.
    pub credits: i64,
    /// Used beyond both, to be billed.
    pub overage: u64,
    /// What happens to usage beyond both.
    pub beyond: Overage,
    /// The window.
    pub window: UsageWindow,
}

impl MeterReading {
    pub(super) fn new(
        counter: &Counter,
        meter: Meter,
        limit: Limit,
        window: UsageWindow,
        credits: i64,
        beyond: Overage,
    ) -> Self {
        Self {
            meter,
            used: units(counter.used),
            reserved: units(counter.reserved),
            limit,
            from_credits: units(counter.from_credits),
            credits,
            overage: units(counter.overage),
            beyond,
            window,
        }
    }

    pub(super) const fn allowance(&self) -> Allowance {
        Allowance {
            limit: self.limit,
            used: self.used,
            reserved: self.reserved,
            credits: self.credits,
            overage: self.overage,
        }
    }

    /// What can still be used without being billed.
    pub fn left(&self) -> Limit {
        self.allowance().left()
    }
}

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

/// The subscription whose windows count; none on the free plan.
pub(super) fn window_owner(entitlement: &Entitlement) -> Option<&str> {
    match (&entitlement.reason, entitlement.window_anchor) {
        (Reason::Subscription { id, .. }, Some(_)) => Some(id.as_str()),
        _ => None,
    }
}

/// What happens beyond the limit. Overage is billed through an item of the subscription; without that
/// item it is denied.
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

/// The beginning of the UTC day that `at` lies in.
pub const fn midnight(at: Timestamp) -> Timestamp {
    Timestamp(at.0 - at.0.rem_euclid(billing::time::DAY))
}
