//! Products and prices.

use billing::{Interval, Money, PriceId};
use serde_json::Value;
use stripe_product::price::{
    CreatePrice, CreatePriceRecurring, CreatePriceRecurringInterval, CreatePriceRecurringUsageType, ListPrice,
    RetrievePrice, UpdatePrice,
};
use stripe_product::product::{CreateProduct, RetrieveProduct, UpdateProduct};

use super::gateway::{Gateway, GatewayError};
use super::shape::{self, ShapeError, text};

/// A product as Stripe has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripeProduct {
    /// What people read on Stripe's pages.
    pub name: String,
    /// One sentence.
    pub description: String,
    /// Whether it can be sold.
    pub is_active: bool,
}

/// An active price as Stripe has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripePrice {
    /// `price_…`.
    pub id: PriceId,
    /// How much; `None` for a price that is no fixed amount.
    pub amount: Option<Money>,
    /// How often, in Stripe's words, such as `1 month`; `None` for a price that is paid once.
    pub interval: Option<String>,
    /// The meter that it bills, if it bills use.
    pub meter: Option<String>,
}

/// A price to be.
#[derive(Clone, Debug)]
pub struct NewPrice<'a> {
    /// Stripe's product that it is a price of.
    pub product: &'a str,
    /// By which it is found.
    pub lookup_key: &'a str,
    /// How much.
    pub amount: &'a Money,
    /// How often; `None` is once.
    pub interval: Option<Interval>,
    /// The meter whose use it bills; `None` for what is paid whatever is used.
    pub meter: Option<&'a str>,
    /// The price that has the lookup key now, on sale or not, and loses it.
    pub replaces: Option<&'a PriceId>,
}

/// How often a price is charged, in Stripe's words.
pub fn interval_words(interval: Interval) -> String {
    format!("1 {interval}")
}

impl Gateway {
    /// The id of the active price with this lookup key; asked once, then remembered.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn price_by_lookup_key(&self, key: &str) -> Result<PriceId, GatewayError> {
        if let Some(id) = self.known_price(key) {
            return Ok(id);
        }
        let price = self.find_price(key).await?.ok_or_else(|| GatewayError::NoSuchPrice(key.to_owned()))?;
        self.remember_price(key, Some(&price.id));
        Ok(price.id)
    }

    /// The active price with this lookup key, as Stripe has it now.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn find_price(&self, key: &str) -> Result<Option<StripePrice>, GatewayError> {
        let request = ListPrice::new().lookup_keys(vec![key.to_owned()]).active(true).limit(1);
        let page = self.send(&request, None).await?;
        page.pointer("/data/0").map(price).transpose().map_err(Into::into)
    }

    /// The price that has this lookup key although it is off sale. It keeps the key, which no other
    /// can have, until it is taken over.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn price_off_sale(&self, key: &str) -> Result<Option<PriceId>, GatewayError> {
        let request = ListPrice::new().lookup_keys(vec![key.to_owned()]).active(false).limit(1);
        let page = self.send(&request, None).await?;
        Ok(page.pointer("/data/0").map(price).transpose()?.map(|price| price.id))
    }

    /// The price with this id, if it is on sale.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn price(&self, id: &PriceId) -> Result<Option<StripePrice>, GatewayError> {
        match self.send(&RetrievePrice::new(id.as_str()), None).await {
            Ok(answer) if answer.get("active").and_then(Value::as_bool) == Some(false) => Ok(None),
            Ok(answer) => Ok(Some(price(&answer)?)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks for next to nothing, to see whether Stripe answers and takes the key.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn is_reachable(&self) -> Result<(), GatewayError> {
        self.send(&ListPrice::new().limit(1), None).await.map(drop)
    }

    /// Makes a price.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn create_price(&self, new: &NewPrice<'_>) -> Result<StripePrice, GatewayError> {
        // A currency that the library does not know is passed on as it is: Stripe says no by itself.
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
        let how_often = new.interval.map_or("once", Interval::as_str);
        let of = new.meter.map(|meter| format!(":{meter}")).unwrap_or_default();
        let key = format!("price:{}:{replaces}:{}:{how_often}{of}", new.lookup_key, new.amount);
        let answer = self.send(&request, Some(&key)).await?;
        self.remember_price(new.lookup_key, None);
        Ok(price(&answer)?)
    }

    /// Takes a price off sale. Whoever pays it goes on paying it.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn archive_price(&self, id: &PriceId) -> Result<(), GatewayError> {
        self.send(&UpdatePrice::new(id.as_str()).active(false), None).await.map(drop)
    }

    /// The product with this id.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn product(&self, id: &str) -> Result<Option<StripeProduct>, GatewayError> {
        match self.send(&RetrieveProduct::new(id), None).await {
            Ok(answer) => Ok(Some(product(&answer)?)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a product with an id of ours, so that it is made once.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn create_product(&self, id: &str, name: &str, description: &str) -> Result<(), GatewayError> {
        let mut request = CreateProduct::new(name).id(id);
        // Stripe takes no empty description.
        if !description.is_empty() {
            request = request.description(description);
        }
        self.send(&request, None).await.map(drop)
    }

    /// Makes a product say this, and be for sale.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn update_product(&self, id: &str, name: &str, description: &str) -> Result<(), GatewayError> {
        let request = UpdateProduct::new(id).name(name).description(description).active(true);
        self.send(&request, None).await.map(drop)
    }
}

fn product(value: &Value) -> Result<StripeProduct, ShapeError> {
    Ok(StripeProduct {
        name: text(value, "/name").ok_or(ShapeError { object: "product", field: "name" })?.to_owned(),
        description: text(value, "/description").unwrap_or_default().to_owned(),
        is_active: value.get("active").and_then(Value::as_bool).unwrap_or(true),
    })
}

fn price(value: &Value) -> Result<StripePrice, ShapeError> {
    let id = shape::id_of(value, "/id").ok_or(ShapeError { object: "price", field: "id" })?;
    let interval = text(value, "/recurring/interval").map(|interval| {
        let count = value.pointer("/recurring/interval_count").and_then(Value::as_u64).unwrap_or(1);
        format!("{count} {interval}")
    });
    Ok(StripePrice {
        id: PriceId::new(id),
        amount: shape::money(value, "/unit_amount"),
        interval,
        meter: text(value, "/recurring/meter").map(str::to_owned),
    })
}
