//! Making Stripe have the prices that `plans.toml` names.
//!
//! Only adds what is missing: a price at Stripe is never changed, and one whose id
//! the environment gives is somebody's own business.

use billing::{Interval, Money};

use crate::stripe::GatewayError;
use crate::tollgate::Tollgate;

/// One price of the catalogue and whether it had to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its lookup key.
    pub lookup_key: String,
    /// Whether it was missing.
    pub created: bool,
}

/// Makes the prices that Stripe lacks. Running it again makes nothing.
///
/// # Errors
/// Stripe gave no usable answer; what was made before stays.
pub async fn apply(tollgate: &Tollgate) -> Result<Vec<Applied>, GatewayError> {
    let mut done = Vec::new();
    for wanted in wanted(tollgate) {
        let created = tollgate.gateway().find_price(wanted.lookup_key).await?.is_none();
        if created {
            tollgate.gateway().create_price(wanted.name, wanted.lookup_key, wanted.amount, wanted.interval).await?;
        }
        done.push(Applied { lookup_key: wanted.lookup_key.to_owned(), created });
    }
    Ok(done)
}

struct Wanted<'a> {
    name: &'a str,
    lookup_key: &'a str,
    amount: &'a Money,
    interval: Option<Interval>,
}

fn wanted(tollgate: &Tollgate) -> Vec<Wanted<'_>> {
    let catalog = tollgate.catalog();
    let plans = catalog.plans().iter().flat_map(|plan| {
        plan.prices.iter().filter(|price| price.id.is_none()).map(|price| Wanted {
            name: &plan.name,
            lookup_key: &price.lookup_key,
            amount: &price.amount,
            interval: Some(price.interval),
        })
    });
    let products = catalog.products().iter().map(|product| Wanted {
        name: &product.name,
        lookup_key: &product.lookup_key,
        amount: &product.amount,
        interval: None,
    });
    plans.chain(products).collect()
}
