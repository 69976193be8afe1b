//! The price of the free plan.

use billing::{Catalog, Money};

/// Returns a price of zero in the currency of the paid plans.
pub fn free_price(catalog: &Catalog) -> String {
    let priced = catalog.plans().iter().flat_map(|plan| &plan.prices).next();
    priced.map_or_else(|| "Free".to_owned(), |price| Money::new(0, price.amount.currency.clone()).to_string())
}
