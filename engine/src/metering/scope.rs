//! Where usage is counted.

use billing::{AccountId, Limit, Meter, Overage, UsageWindow};

use crate::store::usage::CounterKey;

/// The counter that a usage event belongs to, and what applied when the event was asked for.
#[derive(Clone, Debug)]
pub struct CounterScope {
    /// The account.
    pub account: AccountId,
    /// The meter.
    pub meter: Meter,
    /// The window.
    pub window: UsageWindow,
    /// The subscription whose window it is; none on the free plan.
    pub subscription: Option<String>,
    /// What the plan includes.
    pub limit: Limit,
    /// What happens beyond it.
    pub overage: Overage,
}

impl CounterScope {
    /// The counter's key.
    pub fn counter_key(&self) -> CounterKey {
        CounterKey { account: self.account.clone(), meter: self.meter, window: self.window.start }
    }
}
