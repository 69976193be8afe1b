//! What nothing costs.

use billing::{Catalog, Money};

/// Returns the price of a plan that has none, in the currency of the plans that have one.
pub fn free_price(catalog: &Catalog) -> String {
    let priced = catalog.plans().iter().flat_map(|plan| &plan.prices).next();
    priced.map_or_else(|| "Free".to_owned(), |price| Money::new(0, price.amount.currency.clone()).to_string())
}
