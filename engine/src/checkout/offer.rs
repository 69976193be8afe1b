//! The plans and products for sale.

use billing::{Catalog, Interval, Plan, Price, PriceId, Product};

use super::error::CheckoutError;
use crate::core::Core;
use crate::store::checkouts::CheckoutItem;
use crate::stripe::GatewayError;

/// A plan at an interval, or a product.
#[derive(Clone, Copy, Debug)]
pub(super) enum Offer<'a> {
    Plan(&'a Plan, &'a Price),
    Product(&'a Product),
}

#[derive(Clone, Debug)]
pub(super) struct OfferPrices {
    pub(super) price: PriceId,
    /// The prices of usage that is billed with a plan.
    pub(super) metered: Vec<PriceId>,
}

impl<'a> Offer<'a> {
    /// Finds a plan by its name and interval.
    pub(super) fn plan(catalog: &'a Catalog, plan: &str, interval: &str) -> Result<Self, CheckoutError> {
        let plan = catalog.plan_named(plan).ok_or(CheckoutError::Unknown)?;
        let interval = Interval::parse(interval).ok_or(CheckoutError::Unknown)?;
        let price = plan.price(interval).ok_or(CheckoutError::NotForSale)?;
        Ok(Self::Plan(plan, price))
    }

    /// Finds a product by its key.
    pub(super) fn product(catalog: &'a Catalog, key: &str) -> Result<Self, CheckoutError> {
        catalog.product(key).map(Self::Product).ok_or(CheckoutError::Unknown)
    }

    pub(super) fn item(&self) -> CheckoutItem {
        match self {
            Self::Plan(plan, price) => CheckoutItem::plan(&plan.tier, price.interval),
            Self::Product(product) => CheckoutItem::Product(product.key.clone()),
        }
    }

    /// Finds the ids of its prices, configured or by lookup key in Stripe.
    pub(super) async fn prices(&self, core: &Core) -> Result<OfferPrices, GatewayError> {
        let mut metered = Vec::new();
        if let Self::Plan(plan, price) = self {
            for (_, metered_price) in core.catalog().metered_prices_of(plan) {
                let key = metered_price.lookup_key_at(price.interval);
                metered.push(core.gateway().price_by_lookup_key(&key).await?);
            }
        }
        let (id, lookup_key) = match self {
            Self::Plan(_, price) => (&price.id, &price.lookup_key),
            Self::Product(product) => (&product.id, &product.lookup_key),
        };
        let price = match id {
            Some(id) => id.clone(),
            None => core.gateway().price_by_lookup_key(lookup_key).await?,
        };
        Ok(OfferPrices { price, metered })
    }
}
