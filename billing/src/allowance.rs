//! Covers usage from the included allowance first, then from credits, then as billed overage.
//! A request is granted as a whole or not at all.
//!
//! Usage is counted per window, and a window belongs to a subscription and its billing anchor; on
//! the free plan it is the calendar month. Within a window the count continues across plan changes:
//! an upgrade raises the limit and a downgrade lowers it. The free plan and a subscription are
//! counted separately, and each count resumes where it stopped.
//!
//! When a subscription's anchor moves (a switch between monthly and yearly billing, a trial that
//! ends early), its window is cut short and another begins. The window that was cut included a
//! share of the limit proportional to its length, and usage beyond that share counts against the
//! next window ([`carried_over`]). Switching back and forth therefore neither loses nor multiplies
//! an allowance (`tests/allowance.rs`).

use crate::limit::{Limit, Overage};
use crate::time::Timestamp;
use crate::usage_window::UsageWindow;

/// The largest number of units that is ever counted: the maximum of a database integer.
pub const MAX_UNITS: u64 = i64::MAX as u64;

/// One meter's allowance and usage in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Units the plan includes.
    pub limit: Limit,
    /// Included units that are used.
    pub used: u64,
    /// Included units that are reserved for work in progress.
    pub reserved: u64,
    /// Credits left; negative if used credits were refunded.
    pub credits: i64,
    /// Units used beyond both, or reserved for it, which are billed.
    pub overage: u64,
}

/// The sources of one request's units. They add up to the requested quantity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocation {
    /// Units from the plan's allowance.
    pub included: u64,
    /// Units from credits.
    pub credits: u64,
    /// Units from neither, which are billed.
    pub overage: u64,
}

impl Allowance {
    /// Returns how many included units are left.
    pub fn included_left(&self) -> u64 {
        let limit = match self.limit {
            Limit::Finite(limit) => limit.min(MAX_UNITS),
            Limit::Unlimited => MAX_UNITS,
        };
        limit.saturating_sub(self.used).saturating_sub(self.reserved)
    }

    /// Returns how many units can be used without being billed.
    pub fn left(&self) -> Limit {
        match self.limit {
            Limit::Unlimited => Limit::Unlimited,
            Limit::Finite(_) => Limit::Finite(self.included_left().saturating_add(self.credits_left())),
        }
    }

    /// Allocates `quantity` units; `None` if there are not enough for all of them.
    pub fn take(&self, quantity: u64, overage: Overage) -> Option<Allocation> {
        let included = quantity.min(self.included_left());
        let credits = (quantity - included).min(self.credits_left());
        let beyond = quantity - included - credits;
        let is_granted = match overage {
            Overage::Deny => beyond == 0,
            Overage::Bill { max } => beyond <= max.min(MAX_UNITS).saturating_sub(self.overage),
        };
        is_granted.then_some(Allocation { included, credits, overage: beyond })
    }

    fn credits_left(&self) -> u64 {
        u64::try_from(self.credits).unwrap_or_default()
    }
}

/// Returns how much of `used` counts against the next window after `window` was cut short at `cut`.
///
/// That is everything beyond the share of `limit` for the time that passed, rounded in the
/// customer's favor.
pub fn carried_over(used: u64, limit: Limit, window: UsageWindow, cut: Timestamp) -> u64 {
    let Limit::Finite(limit) = limit else { return 0 };
    let length = i128::from(window.end.0) - i128::from(window.start.0);
    let elapsed = (i128::from(cut.0) - i128::from(window.start.0)).clamp(0, length.max(0));
    let (Ok(length), Ok(elapsed)) = (u128::try_from(length), u128::try_from(elapsed)) else { return 0 };
    if length == 0 {
        return 0;
    }
    // Both factors fit 64 bits, so the product cannot overflow.
    let share = (u128::from(limit) * elapsed).div_ceil(length);
    used.saturating_sub(u64::try_from(share).unwrap_or(u64::MAX))
}
