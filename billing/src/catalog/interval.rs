//! Billing intervals.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The billing interval of a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interval {
    /// Charged every month.
    Month,
    /// Charged every year.
    Year,
}

impl Interval {
    /// All intervals, the shorter first.
    pub const ALL: &'static [Self] = &[Self::Month, Self::Year];

    /// Returns the name used in `plans.toml`, in forms and by Stripe.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// Returns the interval with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|interval| interval.as_str() == name)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
