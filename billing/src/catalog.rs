//! What is sold: plans, their prices and limits, and one-time products.
//!
//! The one source is `plans.toml`. It is read whole and checked whole: every
//! fault is reported, none is corrected silently (`tests/catalog.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::PriceId;
use crate::money::{Currency, Money};

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

    /// The price on sale for `interval`.
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
    /// How much.
    pub amount: Money,
    /// Stripe's lookup key of its price.
    pub lookup_key: String,
    /// The meter it adds to, and how many units.
    pub grants: Option<(Meter, u64)>,
}

/// Everything that is sold, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    plans: Vec<Plan>,
    products: Vec<Product>,
    trial_days: u32,
    grace_days: u32,
}

/// All that is wrong with a `plans.toml`, one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct CatalogFaults(pub Vec<String>);

impl Catalog {
    /// Reads `plans.toml`. `environment` gives the value of a variable that a price
    /// names with `env = "…"`; an empty value counts as unset.
    ///
    /// # Errors
    /// Every fault there is, at once.
    pub fn parse(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, CatalogFaults> {
        let file: File = toml::from_str(text).map_err(|error| CatalogFaults(vec![error.to_string()]))?;
        let mut faults = Vec::new();
        let catalog = file.check(environment, &mut faults);
        if faults.is_empty() { Ok(catalog) } else { Err(CatalogFaults(faults)) }
    }

    /// The plans, lowest tier first.
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// The one-time products.
    pub fn products(&self) -> &[Product] {
        &self.products
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

    /// The lowest plan that opens `feature`.
    pub fn cheapest_with(&self, feature: Feature) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.features.contains(&feature))
    }
}

/// `plans.toml` as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    trial_days: u32,
    #[serde(default = "three")]
    grace_days: u32,
    #[serde(default)]
    plan: Vec<PlanEntry>,
    #[serde(default)]
    product: Vec<ProductEntry>,
}

fn three() -> u32 {
    3
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanEntry {
    tier: String,
    name: String,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    limits: BTreeMap<String, LimitEntry>,
    #[serde(default)]
    features: Vec<String>,
    #[serde(default)]
    price: Vec<PriceEntry>,
    #[serde(default)]
    retired_prices: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum LimitEntry {
    Count(i64),
    Word(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceEntry {
    interval: String,
    amount: i64,
    currency: String,
    lookup_key: String,
    env: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductEntry {
    key: String,
    name: String,
    #[serde(default)]
    summary: String,
    amount: i64,
    currency: String,
    lookup_key: String,
    meter: Option<String>,
    quantity: Option<u64>,
}

impl File {
    fn check(self, environment: &dyn Fn(&str) -> Option<String>, faults: &mut Vec<String>) -> Catalog {
        if self.plan.is_empty() {
            faults.push("no [[plan]]: at least the free plan must be there".to_owned());
        }
        if self.trial_days > 730 {
            faults.push(format!("trial_days = {}: Stripe takes at most 730", self.trial_days));
        }
        let mut seen = Seen::default();
        let plans = self
            .plan
            .into_iter()
            .enumerate()
            .map(|(place, entry)| entry.check(place, environment, &mut seen, faults))
            .collect();
        let products = self.product.into_iter().map(|entry| entry.check(&mut seen, faults)).collect();
        Catalog { plans, products, trial_days: self.trial_days, grace_days: self.grace_days }
    }
}

/// What must not stand twice in the file.
#[derive(Default)]
struct Seen(BTreeSet<(&'static str, String)>);

impl Seen {
    fn once(&mut self, kind: &'static str, name: &str, faults: &mut Vec<String>) {
        if !self.0.insert((kind, name.to_ascii_lowercase())) {
            faults.push(format!("{kind} `{name}` stands twice"));
        }
    }
}

impl PlanEntry {
    fn check(
        self,
        place: usize,
        environment: &dyn Fn(&str) -> Option<String>,
        seen: &mut Seen,
        faults: &mut Vec<String>,
    ) -> Plan {
        let tier = self.tier;
        if tier.is_empty() || !tier.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
            faults.push(format!("tier `{tier}`: use letters, digits, `_` and `-`"));
        }
        seen.once("tier", &tier, faults);
        if place == 0 && !self.price.is_empty() {
            faults.push(format!("plan `{tier}` comes first and so is everybody's: it cannot have a price"));
        }
        if place > 0 && self.price.is_empty() {
            faults.push(format!("plan `{tier}` has no [[plan.price]]: only the first plan is free"));
        }

        let mut limits = BTreeMap::new();
        for (key, entry) in self.limits {
            match (Meter::parse(&key), entry.check()) {
                (Some(meter), Some(limit)) => {
                    limits.insert(meter, limit);
                }
                (None, _) => faults.push(format!("plan `{tier}`: unknown meter `{key}` (known: {})", keys(Meter::ALL))),
                (_, None) => {
                    faults.push(format!("plan `{tier}`: limit of `{key}` must be a number from 0 up or \"unlimited\""))
                }
            }
        }
        for meter in Meter::ALL {
            if !limits.contains_key(meter) && !faults.iter().any(|fault| fault.contains(meter.as_str())) {
                faults.push(format!("plan `{tier}`: limits lack `{meter}`"));
            }
        }

        let mut features = BTreeSet::new();
        for key in self.features {
            match Feature::parse(&key) {
                Some(feature) => {
                    features.insert(feature);
                }
                None => faults.push(format!("plan `{tier}`: unknown feature `{key}` (known: {})", keys(Feature::ALL))),
            }
        }

        let mut intervals = BTreeSet::new();
        let mut prices = Vec::new();
        for entry in self.price {
            let owner = format!("plan `{tier}`");
            seen.once("lookup_key", &entry.lookup_key, faults);
            let amount = money(&owner, entry.amount, &entry.currency, faults);
            let Some(interval) = Interval::parse(&entry.interval) else {
                faults.push(format!("{owner}: interval `{}` (known: {})", entry.interval, keys(Interval::ALL)));
                continue;
            };
            if !intervals.insert(interval) {
                faults.push(format!("{owner}: two prices per {interval}"));
            }
            let id = entry.env.as_deref().and_then(environment).filter(|id| !id.trim().is_empty());
            if let Some(id) = &id {
                seen.once("price id", id, faults);
            }
            if let Some(amount) = amount {
                prices.push(Price { interval, amount, lookup_key: entry.lookup_key, id: id.map(PriceId::new) });
            }
        }
        for id in &self.retired_prices {
            seen.once("price id", id, faults);
        }

        Plan {
            tier: Tier::new(tier),
            name: self.name,
            summary: self.summary,
            limits,
            features,
            prices,
            retired_prices: self.retired_prices.into_iter().map(PriceId::new).collect(),
        }
    }
}

impl LimitEntry {
    fn check(&self) -> Option<Limit> {
        match self {
            Self::Count(count) => u64::try_from(*count).ok().map(Limit::Finite),
            Self::Word(word) => (word == "unlimited").then_some(Limit::Unlimited),
        }
    }
}

impl ProductEntry {
    fn check(self, seen: &mut Seen, faults: &mut Vec<String>) -> Product {
        let owner = format!("product `{}`", self.key);
        seen.once("product", &self.key, faults);
        seen.once("lookup_key", &self.lookup_key, faults);
        let amount = money(&owner, self.amount, &self.currency, faults);
        let grants = match (self.meter, self.quantity) {
            (None, None) => None,
            (Some(key), Some(quantity)) if quantity > 0 => {
                let meter = Meter::parse(&key);
                if meter.is_none() {
                    faults.push(format!("{owner}: unknown meter `{key}` (known: {})", keys(Meter::ALL)));
                }
                meter.map(|meter| (meter, quantity))
            }
            _ => {
                faults.push(format!("{owner}: `meter` and a `quantity` from 1 up belong together"));
                None
            }
        };
        Product {
            key: self.key,
            name: self.name,
            summary: self.summary,
            amount: amount.unwrap_or_else(|| Money::new(0, Currency::parse("usd").expect("usd is a currency"))),
            lookup_key: self.lookup_key,
            grants,
        }
    }
}

fn money(owner: &str, amount: i64, currency: &str, faults: &mut Vec<String>) -> Option<Money> {
    if amount < 0 {
        faults.push(format!("{owner}: amount {amount} is below zero"));
    }
    match Currency::parse(currency) {
        Ok(currency) => Some(Money::new(amount, currency)),
        Err(error) => {
            faults.push(format!("{owner}: {error}"));
            None
        }
    }
}

fn keys<T: fmt::Display>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
