//! The validated catalog and its lookups.

use std::fmt;

use crate::catalog::definition::{FeatureDefinition, MeterDefinition};
use crate::catalog::error::CatalogErrors;
use crate::catalog::metered_price::MeteredPrice;
use crate::catalog::on_pause::OnPause;
use crate::catalog::on_reversal::{OnDispute, OnFullRefund};
use crate::catalog::plan::{Plan, Tier};
use crate::catalog::product::Product;
use crate::ids::PriceId;
use crate::keys::{Feature, Meter};
use crate::limit::{Limit, Overage};

/// The validated catalog: everything that is sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    pub(super) features: Vec<FeatureDefinition>,
    pub(super) meters: Vec<MeterDefinition>,
    pub(super) plans: Vec<Plan>,
    pub(super) products: Vec<Product>,
    pub(super) trial_days: u32,
    pub(super) grace_days: u32,
    pub(super) on_pause: OnPause,
    pub(super) on_dispute: OnDispute,
    pub(super) on_full_refund: OnFullRefund,
}

impl Catalog {
    /// Returns the declared features, in the order of the file.
    pub fn features(&self) -> &[FeatureDefinition] {
        &self.features
    }

    /// Returns the declared meters, in the order of the file.
    pub fn meters(&self) -> &[MeterDefinition] {
        &self.meters
    }

    /// Returns the declared feature with this key, which may be user input.
    pub fn feature(&self, key: &str) -> Option<Feature> {
        self.features.iter().map(|definition| definition.feature).find(|feature| feature.as_str() == key)
    }

    /// Returns the declared meter with this key, which may be user input.
    pub fn meter(&self, key: &str) -> Option<Meter> {
        self.meters.iter().map(|definition| definition.meter).find(|meter| meter.as_str() == key)
    }

    /// Returns the name of a feature on pages; its key if it is not declared.
    pub fn feature_label(&self, feature: Feature) -> &str {
        let definition = self.features.iter().find(|definition| definition.feature == feature);
        definition.map_or(feature.as_str(), |definition| &definition.label)
    }

    /// Returns the name of a meter on pages; its key if it is not declared.
    pub fn meter_label(&self, meter: Meter) -> &str {
        self.definition(meter).map_or(meter.as_str(), |definition| &definition.label)
    }

    /// Checks that the features and meters that code names by constants are declared.
    ///
    /// # Errors
    /// One for each missing declaration, with a list of the declared ones.
    pub fn check_declared(&self, features: &[Feature], meters: &[Meter]) -> Result<(), CatalogErrors> {
        let declared_features: Vec<Feature> = self.features.iter().map(|definition| definition.feature).collect();
        let declared_meters: Vec<Meter> = self.meters.iter().map(|definition| definition.meter).collect();
        let mut errors = undeclared("feature", features, &declared_features);
        errors.extend(undeclared("meter", meters, &declared_meters));
        if errors.is_empty() { Ok(()) } else { Err(CatalogErrors(errors)) }
    }

    fn definition(&self, meter: Meter) -> Option<&MeterDefinition> {
        self.meters.iter().find(|definition| definition.meter == meter)
    }

    /// Returns the plans, lowest tier first.
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// Returns the one-time products.
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// Returns the length of a first trial in days; 0 means no trial.
    pub const fn trial_days(&self) -> u32 {
        self.trial_days
    }

    /// Returns the days of access after a failed payment, and after a period that was not renewed.
    pub const fn grace_days(&self) -> u32 {
        self.grace_days
    }

    /// Returns what happens while a subscription is paused on request.
    pub const fn on_pause(&self) -> OnPause {
        self.on_pause
    }

    /// Returns what happens when the payment for the current period is disputed.
    pub const fn on_dispute(&self) -> OnDispute {
        self.on_dispute
    }

    /// Returns what happens when the payment for the current period is refunded in full.
    pub const fn on_full_refund(&self) -> OnFullRefund {
        self.on_full_refund
    }

    /// Returns the lowest plan, which every account has without paying.
    pub fn free(&self) -> &Plan {
        &self.plans[0]
    }

    /// Returns the plan of this tier.
    pub fn plan(&self, tier: &Tier) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.tier == *tier)
    }

    /// Returns the plan whose tier has this name, ignoring ASCII case.
    pub fn plan_named(&self, name: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.tier.as_str().eq_ignore_ascii_case(name))
    }

    /// Returns the product with this key.
    pub fn product(&self, key: &str) -> Option<&Product> {
        self.products.iter().find(|product| product.key == key)
    }

    /// Returns the tier's place, 0 being the lowest; `None` if it is not in the catalog.
    pub fn rank(&self, tier: &Tier) -> Option<usize> {
        self.plans.iter().position(|plan| plan.tier == *tier)
    }

    /// Returns the tier that a Stripe price belongs to, by its id or, failing that, its lookup key.
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

    /// Returns the product that a Stripe price belongs to, by its id or, failing that, its lookup key.
    pub fn product_of_price(&self, id: &PriceId, lookup_key: Option<&str>) -> Option<&Product> {
        let by_id = |product: &&Product| product.id.as_ref() == Some(id) || product.retired_prices.contains(id);
        let by_key = |product: &&Product| lookup_key == Some(product.lookup_key.as_str());
        self.products.iter().find(by_id).or_else(|| self.products.iter().find(by_key))
    }

    /// Returns the lowest plan that includes `feature`.
    pub fn cheapest_with(&self, feature: Feature) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.features.contains(&feature))
    }

    /// Returns what happens to usage of `meter` beyond `limit` on a subscription that is billed for it.
    ///
    /// Without a `max_overage`, as much as the plan includes is billed and more is denied.
    pub fn overage(&self, meter: Meter, limit: Limit) -> Overage {
        let Some(price) = self.metered_price(meter) else { return Overage::Deny };
        let included = match limit {
            Limit::Finite(limit) => limit,
            Limit::Unlimited => u64::MAX,
        };
        Overage::Bill { max: price.max.unwrap_or(included) }
    }

    /// Returns the price of overage of `meter`; `None` if overage is denied.
    pub fn metered_price(&self, meter: Meter) -> Option<&MeteredPrice> {
        self.definition(meter)?.metered_price.as_ref()
    }

    /// Returns the meters whose overage is billed, with their prices.
    pub fn metered_prices(&self) -> impl Iterator<Item = (Meter, &MeteredPrice)> {
        self.meters.iter().filter_map(|definition| Some((definition.meter, definition.metered_price.as_ref()?)))
    }

    /// Returns the metered prices that a subscription to `plan` has: those of the meters it limits.
    pub fn metered_prices_of(&self, plan: &Plan) -> impl Iterator<Item = (Meter, &MeteredPrice)> {
        self.metered_prices().filter(|(meter, _)| plan.limit(*meter) != Limit::Unlimited)
    }

    /// Returns `true` if `lookup_key` is that of a metered price of `meter`.
    pub fn bills(&self, meter: Meter, lookup_key: Option<&str>) -> bool {
        let Some((price, key)) = self.metered_price(meter).zip(lookup_key) else { return false };
        price.has_lookup_key(key)
    }

    /// Returns `true` if `lookup_key` is that of a metered price, which belongs to no tier.
    pub fn is_metered(&self, lookup_key: Option<&str>) -> bool {
        self.metered_prices().any(|(meter, _)| self.bills(meter, lookup_key))
    }
}

fn undeclared<T: PartialEq + fmt::Display>(kind: &str, named: &[T], declared: &[T]) -> Vec<String> {
    let known: Vec<String> = declared.iter().map(ToString::to_string).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let missing = named.iter().filter(|key| !declared.contains(key));
    missing.map(|key| format!("plans.toml does not declare the {kind} `{key}` (declared: {known})")).collect()
}
