//! A plan: a tier with its features, limits and prices.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::catalog::interval::Interval;
use crate::ids::PriceId;
use crate::keys::{Feature, Meter};
use crate::limit::Limit;
use crate::money::Money;

/// The name of a tier, such as `PRO`.
///
/// Tiers rank by their place in the catalog (`Catalog::rank`), not by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tier(String);

impl Tier {
    /// Returns a tier with this name, whether or not the catalog has it.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Returns the name as written in `plans.toml`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One way to pay for a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// The billing interval.
    pub interval: Interval,
    /// The amount per interval. For display only: Stripe charges its own price.
    pub amount: Money,
    /// Stripe's lookup key, which finds the price when no id is configured.
    pub lookup_key: String,
    /// Stripe's id, if the environment configures one.
    pub id: Option<PriceId>,
}

/// A tier with its features, limits and prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The tier, which is the plan's name in code.
    pub tier: Tier,
    /// The display name.
    pub name: String,
    /// One sentence about who the plan is for.
    pub summary: String,
    /// Units of each meter included per usage window.
    pub limits: BTreeMap<Meter, Limit>,
    /// The features it includes.
    pub features: BTreeSet<Feature>,
    /// The prices on sale; empty for the free plan.
    pub prices: Vec<Price>,
    /// Ids of prices that are no longer sold but still belong to this plan.
    pub retired_prices: BTreeSet<PriceId>,
}

impl Plan {
    /// Returns the limit for `meter`; a meter without a limit is not included.
    pub fn limit(&self, meter: Meter) -> Limit {
        self.limits.get(&meter).copied().unwrap_or(Limit::Finite(0))
    }

    /// Returns `true` if this plan has every feature of `other`, and no lower limit.
    pub fn includes(&self, other: &Self) -> bool {
        let is_covered = |(meter, limit): (&Meter, &Limit)| self.limit(*meter).max(*limit) == self.limit(*meter);
        self.features.is_superset(&other.features) && other.limits.iter().all(is_covered)
    }

    /// Returns the price on sale for `interval`; of several currencies, the first in the file.
    pub fn price(&self, interval: Interval) -> Option<&Price> {
        self.prices.iter().find(|price| price.interval == interval)
    }
}
