//! Applying the catalog to Stripe.

use billing::{Catalog, PriceId};

use super::change::Change;
use super::plan::plan;
use super::wanted::WantedPrice;
use crate::stripe::objects::ObjectError;
use crate::stripe::prices::NewPrice;
use crate::stripe::{Gateway, GatewayError};

/// Applies one change.
pub async fn apply(gateway: &Gateway, change: &Change) -> Result<(), GatewayError> {
    match change {
        Change::CreateMeter { event_name, label } => gateway.create_meter(event_name, label).await.map(drop),
        Change::CreateProduct { id, name, description } => gateway.create_product(id, name, description).await,
        Change::UpdateProduct { id, name, description, .. } => gateway.update_product(id, name, description).await,
        Change::CreatePrice(price) => {
            // An archived price keeps its lookup key until another price takes it over.
            let archived = gateway.archived_price(&price.lookup_key).await?;
            create_price(gateway, price, archived.as_ref()).await
        }
        Change::ReplacePrice { old, new } => {
            create_price(gateway, new, Some(&old.id)).await?;
            gateway.archive_price(&old.id).await
        }
    }
}

/// Brings Stripe in line with the catalog, and returns the changes made.
pub async fn apply_all(gateway: &Gateway, catalog: &Catalog) -> Result<Vec<Change>, GatewayError> {
    let changes = plan(gateway, catalog).await?;
    for change in &changes {
        apply(gateway, change).await?;
    }
    Ok(changes)
}

async fn create_price(gateway: &Gateway, price: &WantedPrice, replaces: Option<&PriceId>) -> Result<(), GatewayError> {
    let meter = match &price.event_name {
        // Created by the change before this one.
        Some(event_name) => {
            let meter = gateway.meter(event_name).await?;
            Some(meter.ok_or(ObjectError { object: "billing.meter", field: "id" })?)
        }
        None => None,
    };
    let new = NewPrice {
        product: &price.product,
        lookup_key: &price.lookup_key,
        amount: &price.amount,
        interval: price.interval,
        meter: meter.as_deref(),
        replaces,
    };
    gateway.create_price(&new).await.map(drop)
}
