//! The counter of a usage event.

use billing::{AccountId, Limit, Meter, Overage, UsageWindow};

use crate::store::usage::CounterKey;

/// The counter that a usage event belongs to, and the terms that applied when it was requested.
#[derive(Clone, Debug)]
pub struct CounterScope {
    /// The account that uses the units.
    pub account: AccountId,
    /// The meter that counts them.
    pub meter: Meter,
    /// The window in which they count.
    pub window: UsageWindow,
    /// The subscription that the window belongs to; none on the free plan.
    pub subscription: Option<String>,
    /// The plan's limit.
    pub limit: Limit,
    /// The treatment of usage beyond it.
    pub overage: Overage,
}

impl CounterScope {
    /// Returns the key of the counter in the database.
    pub fn counter_key(&self) -> CounterKey {
        CounterKey { account: self.account.clone(), meter: self.meter, window: self.window.start }
    }
}
