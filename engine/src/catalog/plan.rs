//! Comparing `plans.toml` with Stripe.

use billing::Catalog;

use super::change::Change;
use super::wanted::{self, WantedProduct};
use crate::stripe::prices::StripeProduct;
use crate::stripe::{Gateway, GatewayError};

/// Lists the changes that Stripe needs, in the order in which to apply them.
pub async fn plan(gateway: &Gateway, catalog: &Catalog) -> Result<Vec<Change>, GatewayError> {
    let mut changes = Vec::new();
    for product in wanted::fixed(catalog) {
        changes.extend(product.compare(gateway, None).await?);
    }
    for (event_name, label, product) in wanted::metered(catalog) {
        let meter = gateway.meter(event_name).await?;
        if meter.is_none() {
            changes.push(Change::CreateMeter { event_name: event_name.to_owned(), label: label.to_owned() });
        }
        changes.extend(product.compare(gateway, meter.as_deref()).await?);
    }
    Ok(changes)
}

impl WantedProduct {
    /// Compares a product and its prices; `meter` is the id of the meter that the prices bill.
    async fn compare(self, gateway: &Gateway, meter: Option<&str>) -> Result<Vec<Change>, GatewayError> {
        let Self { id, name, description, prices } = self;
        let wanted = StripeProduct { name: name.clone(), description: description.clone(), is_active: true };
        let mut changes = Vec::new();
        match gateway.product(&id).await? {
            Some(product) if product == wanted => {}
            Some(product) => changes.push(Change::UpdateProduct { id, old_name: product.name, name, description }),
            None => changes.push(Change::CreateProduct { id, name, description }),
        }
        for price in prices {
            match gateway.find_price(&price.lookup_key).await? {
                Some(found) if price.matches(&found, meter) => {}
                Some(old) => changes.push(Change::ReplacePrice { old, new: price }),
                None => changes.push(Change::CreatePrice(price)),
            }
        }
        Ok(changes)
    }
}
