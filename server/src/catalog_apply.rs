//! Making Stripe sell what `plans.toml` says: first the differences, then their repair.
//!
//! A price at Stripe cannot be changed. One that costs something else now is made anew, takes the
//! lookup key over, and the old one is taken off sale; whoever pays it goes on paying it, and its id
//! belongs into `retired_prices`, which the change says. A price whose id the environment gives is
//! somebody's own business. Running it again changes nothing (`tests/http/catalog.rs`).

use std::fmt;

use billing::{Interval, Money, PriceId};

use crate::stripe::GatewayError;
use crate::stripe::catalog::{NewPrice, StripePrice, StripeProduct, interval_words};
use crate::tollgate::Tollgate;

/// One difference between `plans.toml` and Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Stripe lacks the meter by which use is billed.
    CreateMeter {
        /// By which it is told of use.
        event_name: String,
    },
    /// Stripe lacks the product.
    CreateProduct {
        /// Stripe's id, which is ours to choose.
        id: String,
        /// What it is called.
        name: String,
    },
    /// The product is called something else, says something else or is off sale.
    UpdateProduct {
        /// Stripe's id.
        id: String,
        /// What it is called now.
        from: String,
        /// What it will be called.
        to: String,
    },
    /// Stripe lacks the price.
    CreatePrice {
        /// By which it is found.
        lookup_key: String,
        /// How much, in words.
        amount: String,
    },
    /// The price costs something else, or is charged at another interval.
    ReplacePrice {
        /// By which it is found.
        lookup_key: String,
        /// The price that loses the key and goes off sale.
        old: PriceId,
        /// What it costs now, in words.
        from: String,
        /// What it will cost.
        to: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateMeter { event_name } => write!(f, "create meter {event_name}"),
            Self::CreateProduct { id, name } => write!(f, "create product {id} ({name})"),
            Self::UpdateProduct { id, from, to } if from == to => write!(f, "update product {id} ({name})", name = to),
            Self::UpdateProduct { id, from, to } => write!(f, "update product {id} ({from} becomes {to})"),
            Self::CreatePrice { lookup_key, amount } => write!(f, "create price {lookup_key} ({amount})"),
            Self::ReplacePrice { lookup_key, old, from, to } => write!(
                f,
                "replace price {lookup_key} ({from} becomes {to}); put {old} into `retired_prices` in plans.toml, because people may be paying it"
            ),
        }
    }
}

/// What Stripe would have to change.
///
/// # Errors
/// Stripe gave no usable answer.
pub async fn plan(tollgate: &Tollgate) -> Result<Vec<Change>, GatewayError> {
    compare(tollgate, false).await
}

/// Changes it.
///
/// # Errors
/// Stripe gave no usable answer; what was changed before stays.
pub async fn apply(tollgate: &Tollgate) -> Result<Vec<Change>, GatewayError> {
    compare(tollgate, true).await
}

async fn compare(tollgate: &Tollgate, change: bool) -> Result<Vec<Change>, GatewayError> {
    let mut changes = Vec::new();
    for wanted in wanted(tollgate) {
        changes.extend(wanted.compare(tollgate, change).await?);
    }
    for (meter, price) in tollgate.catalog().metered_prices() {
        let Some(unit) = &price.unit else { continue };
        let mut there = tollgate.gateway().meter(&price.event_name).await?;
        if there.is_none() {
            changes.push(Change::CreateMeter { event_name: price.event_name.clone() });
            if change {
                there = Some(
                    tollgate.gateway().create_meter(&price.event_name, tollgate.catalog().meter_label(meter)).await?,
                );
            }
        }
        let keys: Vec<_> = Interval::ALL.iter().map(|interval| (*interval, price.lookup_key_at(*interval))).collect();
        let name = format!("{} beyond the plan", tollgate.catalog().meter_label(meter));
        let prices = keys.iter().map(|(interval, lookup_key)| WantedPrice {
            lookup_key,
            amount: unit,
            interval: Some(*interval),
            // One that is yet to be made is nobody's.
            meter: Some(there.as_deref().unwrap_or("to be made")),
        });
        let product = Wanted {
            id: product_id(&format!("meter_{}", price.event_name)),
            name: &name,
            description: "",
            prices: prices.collect(),
        };
        changes.extend(product.compare(tollgate, change).await?);
    }
    Ok(changes)
}

/// A product of Stripe's, as it should be.
struct Wanted<'a> {
    id: String,
    name: &'a str,
    description: &'a str,
    prices: Vec<WantedPrice<'a>>,
}

struct WantedPrice<'a> {
    lookup_key: &'a str,
    amount: &'a Money,
    interval: Option<Interval>,
    /// Stripe's id of the meter that it bills, if it bills use.
    meter: Option<&'a str>,
}

/// A product for each plan and for each thing that is sold once.
fn wanted(tollgate: &Tollgate) -> Vec<Wanted<'_>> {
    let catalog = tollgate.catalog();
    let plans = catalog.plans().iter().map(|plan| Wanted {
        id: product_id(plan.tier.as_str()),
        name: &plan.name,
        description: &plan.summary,
        prices: plan
            .prices
            .iter()
            .filter(|price| price.id.is_none())
            .map(|price| WantedPrice {
                lookup_key: &price.lookup_key,
                amount: &price.amount,
                interval: Some(price.interval),
                meter: None,
            })
            .collect(),
    });
    let products = catalog.products().iter().filter(|product| product.id.is_none()).map(|product| Wanted {
        id: product_id(&product.key),
        name: &product.name,
        description: &product.summary,
        prices: vec![WantedPrice {
            lookup_key: &product.lookup_key,
            amount: &product.amount,
            interval: None,
            meter: None,
        }],
    });
    plans.chain(products).filter(|wanted| !wanted.prices.is_empty()).collect()
}

/// Stripe's id of the product for a tier or a product's key.
fn product_id(key: &str) -> String {
    format!("tollgate_{}", key.to_ascii_lowercase().replace('-', "_"))
}

impl Wanted<'_> {
    async fn compare(&self, tollgate: &Tollgate, change: bool) -> Result<Vec<Change>, GatewayError> {
        let mut changes: Vec<Change> = self.product(tollgate, change).await?.into_iter().collect();
        for price in &self.prices {
            changes.extend(price.compare(tollgate, &self.id, change).await?);
        }
        Ok(changes)
    }

    async fn product(&self, tollgate: &Tollgate, change: bool) -> Result<Option<Change>, GatewayError> {
        let gateway = tollgate.gateway();
        let should_be =
            StripeProduct { name: self.name.to_owned(), description: self.description.to_owned(), is_active: true };
        match gateway.product(&self.id).await? {
            Some(product) if product == should_be => Ok(None),
            Some(product) => {
                if change {
                    gateway.update_product(&self.id, self.name, self.description).await?;
                }
                Ok(Some(Change::UpdateProduct { id: self.id.clone(), from: product.name, to: self.name.to_owned() }))
            }
            None => {
                if change {
                    gateway.create_product(&self.id, self.name, self.description).await?;
                }
                Ok(Some(Change::CreateProduct { id: self.id.clone(), name: self.name.to_owned() }))
            }
        }
    }
}

impl WantedPrice<'_> {
    async fn compare(&self, tollgate: &Tollgate, product: &str, change: bool) -> Result<Option<Change>, GatewayError> {
        let gateway = tollgate.gateway();
        let there = gateway.find_price(self.lookup_key).await?;
        if there.as_ref().is_some_and(|price| self.is(price)) {
            return Ok(None);
        }
        if change {
            let on_sale = there.as_ref().map(|price| price.id.clone());
            let old = match &on_sale {
                Some(_) => on_sale.clone(),
                None => gateway.price_off_sale(self.lookup_key).await?,
            };
            let new = NewPrice {
                product,
                lookup_key: self.lookup_key,
                amount: self.amount,
                interval: self.interval,
                meter: self.meter,
                replaces: old.as_ref(),
            };
            gateway.create_price(&new).await?;
            if let Some(old) = on_sale {
                gateway.archive_price(&old).await?;
            }
        }
        let lookup_key = self.lookup_key.to_owned();
        let to = words(Some(self.amount), self.interval.map(interval_words).as_deref(), self.meter.is_some());
        Ok(Some(match there {
            None => Change::CreatePrice { lookup_key, amount: to },
            Some(StripePrice { id, amount, interval, meter }) => {
                let from = words(amount.as_ref(), interval.as_deref(), meter.is_some());
                Change::ReplacePrice { lookup_key, old: id, from, to }
            }
        }))
    }

    fn is(&self, price: &StripePrice) -> bool {
        price.amount.as_ref() == Some(self.amount)
            && price.interval == self.interval.map(interval_words)
            && price.meter.as_deref() == self.meter
    }
}

fn words(amount: Option<&Money>, interval: Option<&str>, is_metered: bool) -> String {
    let amount = amount.map_or_else(|| "no fixed amount".to_owned(), Money::to_string);
    let amount = if is_metered { format!("{amount} for each use,") } else { amount };
    match interval {
        Some(interval) => format!("{amount} every {interval}"),
        None => format!("{amount} once"),
    }
}
