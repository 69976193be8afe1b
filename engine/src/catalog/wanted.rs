//! The products and prices that `plans.toml` wants in Stripe.

use billing::{Catalog, Interval, Money, Plan, Product};

use crate::stripe::prices::StripePrice;

/// A product in Stripe, as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WantedProduct {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) prices: Vec<WantedPrice>,
}

/// A price in Stripe, as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedPrice {
    /// The id of its product.
    pub product: String,
    /// The lookup key by which the app finds it.
    pub lookup_key: String,
    /// The amount; for a metered price, the amount per unit.
    pub amount: Money,
    /// How often it is charged; `None` for a one-time price.
    pub interval: Option<Interval>,
    /// The event name of the meter that it bills; `None` for a fixed price.
    pub event_name: Option<String>,
}

impl WantedPrice {
    /// Returns whether Stripe's price is this one. `meter` is the id of the meter in Stripe.
    pub(super) fn matches(&self, price: &StripePrice, meter: Option<&str>) -> bool {
        price.amount.as_ref() == Some(&self.amount)
            && price.interval == self.interval.map(Into::into)
            && price.meter.is_some() == self.event_name.is_some()
            && price.meter.as_deref() == meter
    }
}

/// Returns a product for each plan and each product of the catalog, except those whose prices are configured by
/// id.
pub(super) fn fixed(catalog: &Catalog) -> Vec<WantedProduct> {
    let plans = catalog.plans().iter().map(of_plan);
    let products = catalog.products().iter().filter(|product| product.id.is_none()).map(of_product);
    plans.chain(products).filter(|wanted| !wanted.prices.is_empty()).collect()
}

fn of_plan(plan: &Plan) -> WantedProduct {
    let id = product_id(plan.tier.as_str());
    let prices = plan.prices.iter().filter(|price| price.id.is_none()).map(|price| WantedPrice {
        product: id.clone(),
        lookup_key: price.lookup_key.clone(),
        amount: price.amount.clone(),
        interval: Some(price.interval),
        event_name: None,
    });
    WantedProduct { prices: prices.collect(), name: plan.name.clone(), description: plan.summary.clone(), id }
}

fn of_product(product: &Product) -> WantedProduct {
    let id = product_id(&product.key);
    let price = WantedPrice {
        product: id.clone(),
        lookup_key: product.lookup_key.clone(),
        amount: product.amount.clone(),
        interval: None,
        event_name: None,
    };
    WantedProduct { prices: vec![price], name: product.name.clone(), description: product.summary.clone(), id }
}

/// Returns a product for each meter with a unit price in `plans.toml`, with the meter's event name and label.
pub(super) fn metered(catalog: &Catalog) -> Vec<(&str, &str, WantedProduct)> {
    let with_unit = catalog.metered_prices().filter_map(|(meter, price)| Some((meter, price, price.unit.as_ref()?)));
    with_unit
        .map(|(meter, price, unit)| {
            let (event_name, label) = (price.event_name.as_str(), catalog.meter_label(meter));
            let id = product_id(&format!("meter_{event_name}"));
            let prices = Interval::ALL.iter().map(|interval| WantedPrice {
                product: id.clone(),
                lookup_key: price.lookup_key_at(*interval),
                amount: unit.clone(),
                interval: Some(*interval),
                event_name: Some(event_name.to_owned()),
            });
            let prices = prices.collect();
            let name = format!("{label} beyond the plan");
            (event_name, label, WantedProduct { id, name, description: String::new(), prices })
        })
        .collect()
}

/// Returns the id of the product in Stripe for a tier or a product's key. We choose it, so that it is created
/// once.
fn product_id(key: &str) -> String {
    format!("tollgate_{}", key.to_ascii_lowercase().replace('-', "_"))
}
