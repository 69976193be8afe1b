//! The state of an account's meters.

use billing::allowance::Allowance;
use billing::{Limit, Meter, Overage, Timestamp, UsageWindow};

use super::window::units;
use crate::store::usage::Counter;

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

/// The beginning of the UTC day that `at` lies in.
pub const fn midnight(at: Timestamp) -> Timestamp {
    Timestamp(at.0 - at.0.rem_euclid(billing::time::DAY))
}
