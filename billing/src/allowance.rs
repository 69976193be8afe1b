//! What a use is taken from: the window's included allowance first, then credits, then,
//! where that is sold, overage. Whole or not at all.
//!
//! A window belongs to a subscription and its billing anchor; the free plan's is the calendar
//! month. Within a window the count goes on whatever the plan becomes: an upgrade raises the
//! limit and a downgrade lowers it. The free plan and a subscription count apart, and each goes
//! on where it was left. When a subscription's anchor moves (a change between monthly and
//! yearly, a trial that ends early), its window is cut short and another begins: then the cut
//! one included its share by time, and what was used beyond that share counts in the next one
//! ([`carried_over`]). So nobody loses what was included, and nobody gets it twice by switching back
//! and forth (`tests/allowance.rs`).

use crate::limit::{Limit, Overage};
use crate::time::Timestamp;
use crate::usage_window::UsageWindow;

/// The most that is ever counted of anything: what a database's whole number holds.
pub const MAX_UNITS: u64 = i64::MAX as u64;

/// How things stand with one meter in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// What the plan includes.
    pub limit: Limit,
    /// Used of that.
    pub used: u64,
    /// Held of that by work that has not ended.
    pub reserved: u64,
    /// Credits left; below zero when used ones were refunded.
    pub credits: i64,
    /// Used beyond both, to be billed.
    pub overage: u64,
}

/// What one use was taken from. The parts add up to its quantity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocation {
    /// From the allowance.
    pub included: u64,
    /// From credits.
    pub credits: u64,
    /// From neither: billed.
    pub overage: u64,
}

impl Allowance {
    /// What is left of the allowance.
    pub fn included_left(&self) -> u64 {
        let limit = match self.limit {
            Limit::Finite(limit) => limit.min(MAX_UNITS),
            Limit::Unlimited => MAX_UNITS,
        };
        limit.saturating_sub(self.used).saturating_sub(self.reserved)
    }

    /// What can be used without being billed; `Unlimited` where the plan says so.
    pub fn left(&self) -> Limit {
        match self.limit {
            Limit::Unlimited => Limit::Unlimited,
            Limit::Finite(_) => Limit::Finite(self.included_left().saturating_add(self.credits_left())),
        }
    }

    /// Takes `quantity`; `None` when there is not as much, and then nothing of it.
    pub fn take(&self, quantity: u64, overage: Overage) -> Option<Allocation> {
        let included = quantity.min(self.included_left());
        let credits = (quantity - included).min(self.credits_left());
        let beyond = quantity - included - credits;
        let is_had = match overage {
            Overage::Deny => beyond == 0,
            Overage::Bill => beyond <= MAX_UNITS.saturating_sub(self.overage),
        };
        is_had.then_some(Allocation { included, credits, overage: beyond })
    }

    fn credits_left(&self) -> u64 {
        u64::try_from(self.credits).unwrap_or_default()
    }
}

/// What of `used` in a window that was cut short at `cut` counts in the window that follows: all
/// beyond its share of `limit` by time, rounded in favour of whoever used it.
pub fn carried_over(used: u64, limit: Limit, window: UsageWindow, cut: Timestamp) -> u64 {
    let Limit::Finite(limit) = limit else { return 0 };
    let length = i128::from(window.end.0) - i128::from(window.start.0);
    let elapsed = (i128::from(cut.0) - i128::from(window.start.0)).clamp(0, length.max(0));
    let (Ok(length), Ok(elapsed)) = (u128::try_from(length), u128::try_from(elapsed)) else { return 0 };
    if length == 0 {
        return 0;
    }
    // A window is a month at most: the product of its seconds and a count stays far below the type's end.
    let share = (u128::from(limit) * elapsed).div_ceil(length);
    used.saturating_sub(u64::try_from(share).unwrap_or(u64::MAX))
}
