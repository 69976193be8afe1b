//! The price of usage beyond a limit.

use crate::catalog::interval::Interval;
use crate::money::Money;

/// The price of usage beyond a limit: per unit, billed through a meter in Stripe (Stripe docs,
/// "Usage-based billing").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeteredPrice {
    /// The event name of the meter in Stripe.
    pub event_name: String,
    /// The stem of the lookup keys of the metered prices in Stripe; see [`MeteredPrice::lookup_key_at`].
    pub lookup_key: String,
    /// The price of one unit; `None` if the prices are managed in Stripe.
    pub unit: Option<Money>,
    /// The most units that are billed per usage window; `None` for as many as the plan includes.
    pub max: Option<u64>,
}

impl MeteredPrice {
    /// Returns the lookup key of the price for subscriptions with this interval.
    ///
    /// All items of a subscription share one interval, so a meter needs a price for each. Only a
    /// subscription that has that price as an item is billed.
    pub fn lookup_key_at(&self, interval: Interval) -> String {
        format!("{}_{interval}", self.lookup_key)
    }

    /// Returns `true` if `lookup_key` names one of this meter's prices, whatever its interval.
    pub fn has_lookup_key(&self, lookup_key: &str) -> bool {
        Interval::ALL.iter().any(|interval| self.lookup_key_at(*interval) == lookup_key)
    }
}
