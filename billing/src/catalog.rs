//! What is sold: plans, their prices and limits, and one-time products.
//!
//! The one source is `plans.toml`. It is read whole and checked whole: every
//! fault is reported, none is corrected silently (`tests/catalog.rs`).

mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::allowance::Overage;
use crate::ids::PriceId;
use crate::money::Money;
use crate::subscription::Item;

/// The name of a tier, such as `PRO`. Tiers are ordered by their place in the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tier(String);

impl Tier {
    /// The tier of this name; whether it is sold is the catalogue's to say.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name as in `plans.toml`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! closed_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $key:literal, $label:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $key)] $variant,)*
        }

        impl $name {
            /// Every one there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The key used in `plans.toml`, in the database and in the API.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $key),* }
            }

            /// The name that people read.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),* }
            }

            /// The one with this key.
            pub fn parse(key: &str) -> Option<Self> {
                match key { $($key => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

closed_set! {
    /// What a plan opens. A new feature is a new line here; a typo does not compile.
    Feature {
        /// Usage over time, by key and by day.
        AdvancedAnalytics = "advancedAnalytics", "Advanced analytics";
        /// Serving under the customer's own domain.
        CustomDomain = "customDomain", "Custom domain";
        /// Answers first.
        PrioritySupport = "prioritySupport", "Priority support";
    }
}

closed_set! {
    /// What is counted against a plan's limits.
    Meter {
        /// Calls of the public API.
        ApiCalls = "apiCallsPerMonth", "API calls";
        /// Texts generated.
        AiGenerations = "aiGenerationsPerMonth", "AI generations";
    }
}

closed_set! {
    /// How often a price is charged.
    Interval {
        /// Every month.
        Month = "month", "month";
        /// Every year.
        Year = "year", "year";
    }
}

/// How much of a meter a plan includes in each window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// This many.
    Finite(u64),
    /// No end.
    Unlimited,
}

impl Limit {
    /// The larger of two, `Unlimited` being larger than any number.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        match (self, other) {
            (Self::Finite(a), Self::Finite(b)) => Self::Finite(a.max(b)),
            _ => Self::Unlimited,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finite(limit) => f.write_str(&crate::money::grouped(*limit)),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

/// One way to pay for a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// How often it is charged.
    pub interval: Interval,
    /// How much each time. Shown to people; what Stripe charges is Stripe's price.
    pub amount: Money,
    /// Stripe's lookup key, by which the price is found when no id is configured.
    pub lookup_key: String,
    /// Stripe's id, when the environment gave one.
    pub id: Option<PriceId>,
}

/// One tier and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The tier's name.
    pub tier: Tier,
    /// What people read.
    pub name: String,
    /// One sentence: who it is for.
    pub summary: String,
    /// What is included of each meter per window.
    pub limits: BTreeMap<Meter, Limit>,
    /// What is opened.
    pub features: BTreeSet<Feature>,
    /// The prices on sale; empty for the free plan.
    pub prices: Vec<Price>,
    /// Ids of prices no longer sold that still mean this plan.
    pub retired_prices: BTreeSet<PriceId>,
}

impl Plan {
    /// What is included of `meter`; a meter the plan does not name is not included.
    pub fn limit(&self, meter: Meter) -> Limit {
        self.limits.get(&meter).copied().unwrap_or(Limit::Finite(0))
    }

    /// The price on sale for `interval`; of several currencies, the first in the file.
    pub fn price(&self, interval: Interval) -> Option<&Price> {
        self.prices.iter().find(|price| price.interval == interval)
    }
}

/// Something bought once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// The name in forms and addresses.
    pub key: String,
    /// What people read.
    pub name: String,
    /// One sentence: what one gets.
    pub summary: String,
    /// How much. Shown to people; what Stripe charges is Stripe's price.
    pub amount: Money,
    /// Stripe's lookup key, by which its price is found when no id is configured.
    pub lookup_key: String,
    /// Stripe's id of its price, when the environment gave one.
    pub id: Option<PriceId>,
    /// Ids of prices no longer sold that still mean this product.
    pub retired_prices: BTreeSet<PriceId>,
    /// The meter it adds to, and how many units.
    pub grants: Option<(Meter, u64)>,
}

/// How use of a meter beyond the limit is billed: by the unit, through a meter at Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeteredPrice {
    /// The event name of Stripe's meter.
    pub event_name: String,
    /// What the lookup keys of Stripe's metered prices begin with: see [`MeteredPrice::lookup_key_at`].
    pub lookup_key: String,
    /// What a unit costs; `None` for prices that somebody else makes and changes.
    pub unit: Option<Money>,
}

impl MeteredPrice {
    /// The lookup key of the price for subscriptions of this interval: all items of one have the same.
    /// Only a subscription that has it as an item is billed.
    pub fn lookup_key_at(&self, interval: Interval) -> String {
        format!("{}_{interval}", self.lookup_key)
    }
}

/// Everything that is sold, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    plans: Vec<Plan>,
    products: Vec<Product>,
    /// The meters whose overage is billed.
    metered: BTreeMap<Meter, MeteredPrice>,
    trial_days: u32,
    grace_days: u32,
}

/// All that is wrong with a `plans.toml`, one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct CatalogErrors(pub Vec<String>);

impl Catalog {
    /// Reads `plans.toml`. `environment` gives the value of a variable that a price
    /// names with `env = "…"`; an empty value counts as unset, spaces around one are dropped.
    ///
    /// # Errors
    /// Every fault there is, at once; only a text that is not TOML at all has a single one.
    pub fn parse(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, CatalogErrors> {
        file::read(text, environment)
    }

    /// The plans, lowest tier first.
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// The one-time products.
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// What happens beyond the limit of a meter.
    pub fn overage(&self, meter: Meter) -> Overage {
        if self.metered.contains_key(&meter) { Overage::Bill } else { Overage::Deny }
    }

    /// How overage of a meter is billed; `None` where it is denied.
    pub fn metered_price(&self, meter: Meter) -> Option<&MeteredPrice> {
        self.metered.get(&meter)
    }

    /// Whether an item of a subscription is the metered price of `meter`.
    pub fn bills(&self, meter: Meter, item: &Item) -> bool {
        let Some((price, key)) = self.metered_price(meter).zip(item.lookup_key.as_deref()) else { return false };
        Interval::ALL.iter().any(|interval| price.lookup_key_at(*interval) == key)
    }

    /// The meters whose overage is billed, and how.
    pub fn metered_prices(&self) -> impl Iterator<Item = (Meter, &MeteredPrice)> {
        self.metered.iter().map(|(meter, price)| (*meter, price))
    }

    /// The metered prices that belong into a subscription of `plan`: those of the meters that it limits.
    pub fn metered_prices_of(&self, plan: &Plan) -> impl Iterator<Item = (Meter, &MeteredPrice)> {
        self.metered_prices().filter(|(meter, _)| plan.limit(*meter) != Limit::Unlimited)
    }

    /// Whether an item bills use and so stands for no tier.
    pub fn is_metered(&self, item: &Item) -> bool {
        Meter::ALL.iter().any(|meter| self.bills(*meter, item))
    }

    /// Days of a first trial; 0 means none.
    pub const fn trial_days(&self) -> u32 {
        self.trial_days
    }

    /// Days of access after a failed payment, and of patience with a period that has not moved on.
    pub const fn grace_days(&self) -> u32 {
        self.grace_days
    }

    /// The plan everybody has who pays for nothing: the lowest.
    pub fn free(&self) -> &Plan {
        &self.plans[0]
    }

    /// The plan of this tier.
    pub fn plan(&self, tier: &Tier) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.tier == *tier)
    }

    /// The plan whose tier is named in a form; names are compared without regard to case.
    pub fn plan_named(&self, name: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.tier.as_str().eq_ignore_ascii_case(name))
    }

    /// The product with this key.
    pub fn product(&self, key: &str) -> Option<&Product> {
        self.products.iter().find(|product| product.key == key)
    }

    /// The tier's place, 0 being the lowest; `None` for a tier that is not in the catalogue.
    pub fn rank(&self, tier: &Tier) -> Option<usize> {
        self.plans.iter().position(|plan| plan.tier == *tier)
    }

    /// The tier that a Stripe price stands for, by its id or, failing that, its lookup key.
    pub fn tier_of_price(&self, id: &PriceId, lookup_key: Option<&str>) -> Option<&Tier> {
        let by_id = self.plans.iter().find(|plan| {
            plan.retired_prices.contains(id) || plan.prices.iter().any(|price| price.id.as_ref() == Some(id))
        });
        let by_key = || {
            let key = lookup_key?;
            self.plans.iter().find(|plan| plan.prices.iter().any(|price| price.lookup_key == key))
        };
        by_id.or_else(by_key).map(|plan| &plan.tier)
    }

    /// The product that a Stripe price stands for, by its id or, failing that, its lookup key.
    pub fn product_of_price(&self, id: &PriceId, lookup_key: Option<&str>) -> Option<&Product> {
        let by_id = |product: &&Product| product.id.as_ref() == Some(id) || product.retired_prices.contains(id);
        let by_key = |product: &&Product| lookup_key == Some(product.lookup_key.as_str());
        self.products.iter().find(by_id).or_else(|| self.products.iter().find(by_key))
    }

    /// The lowest plan that opens `feature`.
    pub fn cheapest_with(&self, feature: Feature) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.features.contains(&feature))
    }
}
