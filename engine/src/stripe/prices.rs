//! Products and prices.

use std::fmt;

use billing::{Interval, Money, PriceId};
use serde_json::Value;
use stripe_product::price::{
    CreatePrice, CreatePriceRecurring, CreatePriceRecurringInterval, CreatePriceRecurringUsageType, ListPrice,
    RetrievePrice, UpdatePrice,
};
use stripe_product::product::{CreateProduct, RetrieveProduct, UpdateProduct};

use super::gateway::Gateway;
use super::gateway_error::GatewayError;
use super::objects::{self, ObjectError, text};

/// A product as it is in Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripeProduct {
    /// Its name on Stripe's pages.
    pub name: String,
    /// Its description; empty for none.
    pub description: String,
    /// Whether it is active.
    pub is_active: bool,
}

/// A price as it is in Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripePrice {
    /// `price_…`.
    pub id: PriceId,
    /// The amount; `None` for a price without a fixed one.
    pub amount: Option<Money>,
    /// How often it is charged; `None` for a one-time price.
    pub interval: Option<StripeInterval>,
    /// The id of the meter that it bills; `None` for a price that does not depend on usage.
    pub meter: Option<String>,
}

/// An interval in Stripe; `plans.toml` uses two of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripeInterval {
    count: u64,
    /// Stripe's name of the unit, such as `month`.
    unit: String,
}

impl From<Interval> for StripeInterval {
    fn from(interval: Interval) -> Self {
        Self { count: 1, unit: interval.as_str().to_owned() }
    }
}

impl fmt::Display for StripeInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => f.write_str(&self.unit),
            count => write!(f, "{count} {}s", self.unit),
        }
    }
}

/// Describes a charge, such as `$29 every month`.
pub fn describe_charge(amount: Option<&Money>, interval: Option<&StripeInterval>, is_metered: bool) -> String {
    let amount = amount.map_or_else(|| "no fixed amount".to_owned(), Money::to_string);
    let amount = if is_metered { format!("{amount} per unit,") } else { amount };
    match interval {
        Some(interval) if is_metered => format!("{amount} billed every {interval}"),
        Some(interval) => format!("{amount} every {interval}"),
        None => format!("{amount} once"),
    }
}

/// A price to be created.
#[derive(Clone, Debug)]
pub struct NewPrice<'a> {
    /// The id of its product.
    pub product: &'a str,
    /// The lookup key that it will have.
    pub lookup_key: &'a str,
    /// The amount; for a metered price, the amount per unit.
    pub amount: &'a Money,
    /// How often it is charged; `None` for a one-time price.
    pub interval: Option<Interval>,
    /// The id of the meter that it bills.
    pub meter: Option<&'a str>,
    /// The active or archived price that has the lookup key, and loses it.
    pub replaces: Option<&'a PriceId>,
}

impl Gateway {
    /// Finds the id of the active price with this lookup key. It is never cached, because a price can be
    /// replaced at any time (docs.stripe.com/products-prices/manage-prices, "Lookup keys").
    pub async fn price_by_lookup_key(&self, key: &str) -> Result<PriceId, GatewayError> {
        let price = self.find_price(key).await?;
        Ok(price.ok_or_else(|| GatewayError::NoSuchPrice(key.to_owned()))?.id)
    }

    /// Finds the active price with this lookup key.
    pub async fn find_price(&self, key: &str) -> Result<Option<StripePrice>, GatewayError> {
        let request = ListPrice::new().lookup_keys(vec![key.to_owned()]).active(true).limit(1);
        let page = self.send(&request, None).await?;
        page.pointer("/data/0").map(price).transpose().map_err(Into::into)
    }

    /// Finds the archived price that still has this lookup key.
    pub async fn archived_price(&self, key: &str) -> Result<Option<PriceId>, GatewayError> {
        let request = ListPrice::new().lookup_keys(vec![key.to_owned()]).active(false).limit(1);
        let page = self.send(&request, None).await?;
        Ok(page.pointer("/data/0").map(price).transpose()?.map(|price| price.id))
    }

    /// Reads the price with this id; `None` if it does not exist or is archived.
    pub async fn price(&self, id: &PriceId) -> Result<Option<StripePrice>, GatewayError> {
        match self.send(&RetrievePrice::new(id.as_str()), None).await {
            Ok(response) if response.get("active").and_then(Value::as_bool) == Some(false) => Ok(None),
            Ok(response) => Ok(Some(price(&response)?)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the lookup key of a price, active or not; `None` if it has none, or does not exist.
    pub(super) async fn lookup_key(&self, id: &PriceId) -> Result<Option<String>, GatewayError> {
        match self.send(&RetrievePrice::new(id.as_str()), None).await {
            Ok(price) => Ok(text(&price, "/lookup_key").map(str::to_owned)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a small request, to check that Stripe is reachable and accepts the key.
    pub async fn ping(&self) -> Result<(), GatewayError> {
        self.send(&ListPrice::new().limit(1), None).await.map(drop)
    }

    /// Creates a price.
    pub async fn create_price(&self, new: &NewPrice<'_>) -> Result<StripePrice, GatewayError> {
        // A currency that async-stripe does not know is sent unchanged, for Stripe to reject.
        let Ok(currency) = new.amount.currency.as_str().parse::<stripe_types::Currency>();
        let mut request = CreatePrice::new(currency)
            .unit_amount(new.amount.minor)
            .lookup_key(new.lookup_key)
            .product(new.product)
            .transfer_lookup_key(new.replaces.is_some());
        if let Some(interval) = new.interval {
            let mut recurring = CreatePriceRecurring::new(match interval {
                Interval::Month => CreatePriceRecurringInterval::Month,
                Interval::Year => CreatePriceRecurringInterval::Year,
            });
            if let Some(meter) = new.meter {
                recurring.meter = Some(meter.to_owned());
                recurring.usage_type = Some(CreatePriceRecurringUsageType::Metered);
            }
            request = request.recurring(recurring);
        }
        let replaces = new.replaces.map_or("none", PriceId::as_str);
        let interval = new.interval.map_or("once", Interval::as_str);
        let meter = new.meter.map(|meter| format!(":{meter}")).unwrap_or_default();
        let key = format!("price:{}:{replaces}:{}:{interval}{meter}", new.lookup_key, new.amount);
        let response = self.send(&request, Some(&key)).await?;
        Ok(price(&response)?)
    }

    /// Archives a price. Its subscribers keep paying it.
    pub async fn archive_price(&self, id: &PriceId) -> Result<(), GatewayError> {
        self.send(&UpdatePrice::new(id.as_str()).active(false), None).await.map(drop)
    }

    /// Reads the product with this id.
    pub async fn product(&self, id: &str) -> Result<Option<StripeProduct>, GatewayError> {
        match self.send(&RetrieveProduct::new(id), None).await {
            Ok(response) => Ok(Some(product(&response)?)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a product with an id that we choose, so that it is created once.
    pub async fn create_product(&self, id: &str, name: &str, description: &str) -> Result<(), GatewayError> {
        let mut request = CreateProduct::new(name).id(id);
        // Stripe rejects an empty description.
        if !description.is_empty() {
            request = request.description(description);
        }
        self.send(&request, None).await.map(drop)
    }

    /// Changes a product's name and description, and activates it.
    pub async fn update_product(&self, id: &str, name: &str, description: &str) -> Result<(), GatewayError> {
        let request = UpdateProduct::new(id).name(name).description(description).active(true);
        self.send(&request, None).await.map(drop)
    }
}

fn product(value: &Value) -> Result<StripeProduct, ObjectError> {
    Ok(StripeProduct {
        name: text(value, "/name").ok_or(ObjectError { object: "product", field: "name" })?.to_owned(),
        description: text(value, "/description").unwrap_or_default().to_owned(),
        is_active: value.get("active").and_then(Value::as_bool).unwrap_or(true),
    })
}

fn price(value: &Value) -> Result<StripePrice, ObjectError> {
    let id = objects::id_of(value, "/id").ok_or(ObjectError { object: "price", field: "id" })?;
    let interval = text(value, "/recurring/interval").map(|unit| StripeInterval {
        count: value.pointer("/recurring/interval_count").and_then(Value::as_u64).unwrap_or(1),
        unit: unit.to_owned(),
    });
    Ok(StripePrice {
        id: PriceId::new(id),
        amount: objects::money(value, "/unit_amount"),
        interval,
        meter: text(value, "/recurring/meter").map(str::to_owned),
    })
}
