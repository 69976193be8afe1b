//! A plan's limit for a meter, and the handling of overage.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::money::grouped;

/// The units of a meter that a plan includes in each usage window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// This many units.
    Finite(u64),
    /// Any number of units.
    Unlimited,
}

impl Limit {
    /// Returns the larger of two limits; `Unlimited` is larger than any number.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        match (self, other) {
            (Self::Finite(a), Self::Finite(b)) => Self::Finite(a.max(b)),
            _ => Self::Unlimited,
        }
    }
}

/// Formats as `10,000` or `unlimited`.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finite(limit) => f.write_str(&grouped(*limit)),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

/// The handling of usage beyond the limit once credits are used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overage {
    /// It is denied.
    #[default]
    Deny,
    /// It is allowed and billed per unit.
    Bill {
        /// The most units that are billed per usage window; more is denied.
        max: u64,
    },
}
