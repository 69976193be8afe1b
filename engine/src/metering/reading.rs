//! The state of an account's meters.

use billing::allowance::Allowance;
use billing::{Limit, Meter, Overage, Timestamp, UsageWindow};

use super::window::units;
use crate::store::usage::Counter;

/// The state of a meter in the current window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterReading {
    /// The meter that was read.
    pub meter: Meter,
    /// Units of the limit used.
    pub used: u64,
    /// Units of the limit reserved by work in progress.
    pub reserved: u64,
    /// The plan's limit.
    pub limit: Limit,
    /// Credits used beyond the limit.
    pub from_credits: u64,
    /// Credits left; negative if used ones were refunded.
    pub credits: i64,
    /// Units used beyond limit and credits, to be billed.
    pub overage: u64,
    /// Units beyond both that are reserved by work in progress.
    pub reserved_overage: u64,
    /// The treatment of usage beyond limit and credits.
    pub overage_policy: Overage,
    /// The window that the counts belong to.
    pub window: UsageWindow,
}

impl MeterReading {
    pub(super) fn new(
        counter: &Counter,
        meter: Meter,
        limit: Limit,
        window: UsageWindow,
        credits: i64,
        overage_policy: Overage,
    ) -> Self {
        Self {
            meter,
            used: units(counter.used),
            reserved: units(counter.reserved),
            limit,
            from_credits: units(counter.from_credits),
            credits,
            overage: units(counter.overage),
            reserved_overage: units(counter.held_overage),
            overage_policy,
            window,
        }
    }

    pub(super) const fn allowance(&self) -> Allowance {
        Allowance {
            limit: self.limit,
            used: self.used,
            reserved: self.reserved,
            credits: self.credits,
            overage: self.overage.saturating_add(self.reserved_overage),
        }
    }

    /// Returns the units left before overage.
    pub fn left(&self) -> Limit {
        self.allowance().left()
    }
}

/// Returns the start of the UTC day that contains `at`.
pub const fn midnight(at: Timestamp) -> Timestamp {
    Timestamp(at.0 - at.0.rem_euclid(billing::time::DAY))
}
