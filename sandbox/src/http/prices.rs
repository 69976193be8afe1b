//! `/v1/products` and `/v1/prices`

use serde_json::Value;

use crate::error::ApiError;
use crate::fields::{Fields, assign, copy, merge_metadata};
use crate::flows::terms::amount_of;
use crate::http::call::{Call, Route, deleted, route};
use crate::http::list::{matches_filters, page};
use crate::objects::{self, Object, Price};
use crate::store::Tx;

pub(super) const ROUTES: &[Route] = &[
    route("POST /v1/products", create_product),
    route("GET /v1/products", list_products),
    route("GET /v1/products/:id", |tx, call| tx.find("product", &call.id)),
    route("POST /v1/products/:id", update_product),
    route("DELETE /v1/products/:id", delete_product),
    route("POST /v1/prices", create_price),
    route("GET /v1/prices", list_prices),
    route("GET /v1/prices/:id", |tx, call| tx.find("price", &call.id)),
    route("POST /v1/prices/:id", update_price),
];

const PRODUCT_FIELDS: &[&str] = &[
    "active",
    "default_price",
    "description",
    "images",
    "marketing_features",
    "name",
    "shippable",
    "statement_descriptor",
    "tax_code",
    "unit_label",
    "url",
];

fn create_product(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    let product = new_product(tx, params)?;
    let Some(data) = params.get("default_price_data") else {
        return Ok(product);
    };
    let price = new_price(tx, data, product.text("id"), "default_price_data")?;
    tx.quietly(product.text("id"), |product| product.set("default_price", price.id));
    tx.find("product", product.text("id"))
}

fn new_product(tx: &mut Tx<'_>, params: &Value) -> Result<Value, ApiError> {
    if let Some(id) = params.some("id")
        && tx.get(id).is_some()
    {
        let mut error = ApiError::invalid("resource_already_exists", "Product already exists.");
        error.status = 400;
        return Err(error.on("id"));
    }
    let mut product = objects::product(params, tx.now());
    copy(&mut product, params, PRODUCT_FIELDS);
    tx.create("product.created", &product);
    Ok(product)
}

fn list_products(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let ids = call.params.list("ids");
    let all = tx.newest("product");
    page(
        call,
        all.filter(|product| {
            matches_filters(call, product, &["active", "shippable", "type", "url"])
                && (ids.is_empty() || ids.contains(&product["id"]))
        }),
    )
}

fn update_product(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    tx.find("product", &call.id)?;
    let now = tx.now();
    tx.change(&call.id, "product.updated", |product| {
        copy(product, &call.params, PRODUCT_FIELDS);
        merge_metadata(product, &call.params);
        product.set("updated", now);
    })
}

fn delete_product(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let product = tx.find("product", &call.id)?;
    let priced = tx.referring("price", &call.id).next().is_some();
    if priced {
        let message = "This product cannot be deleted because it has one or more user-created prices.";
        return Err(ApiError::invalid("", message));
    }
    tx.emit("product.deleted", &product, None);
    tx.remove(&call.id);
    Ok(deleted("product", &call.id))
}

fn new_price(tx: &mut Tx<'_>, params: &Value, product: &str, prefix: &str) -> Result<Price, ApiError> {
    let amount = amount_of(params, prefix)?;
    check_meter(tx, &params["recurring"])?;
    let mut price = Price::new(params, product, amount, tx.now());
    price.apply(params);
    claim_lookup_key(tx, &mut price, params)?;
    tx.insert("price.created", &price)?;
    Ok(price)
}

/// Checks that metered prices, and only those, have a meter.
fn check_meter(tx: &Tx<'_>, recurring: &Value) -> Result<(), ApiError> {
    let metered = recurring.text("usage_type") == "metered";
    match recurring.some("meter") {
        None if metered => {
            let message = "Metered prices must be backed by a meter. Pass `recurring[meter]`.";
            Err(ApiError::invalid("parameter_missing", message).on("recurring[meter]"))
        }
        Some(_) if !metered => {
            let message = "`recurring[meter]` can only be set if `recurring[usage_type]` is `metered`.";
            Err(ApiError::invalid("", message).on("recurring[meter]"))
        }
        Some(id) => tx.named("billing.meter", id, "recurring[meter]").map(|_| ()),
        None => Ok(()),
    }
}

/// Assigns a lookup key, which must be unique; `transfer_lookup_key` takes it from its current price.
fn claim_lookup_key(tx: &mut Tx<'_>, price: &mut Price, params: &Value) -> Result<(), ApiError> {
    let Some(key) = params.some("lookup_key") else {
        assign(&mut price.lookup_key, params, "lookup_key");
        return Ok(());
    };
    let owner = tx
        .newest("price")
        .find(|other| other.text("lookup_key") == key && other.text("id") != price.id)
        .map(|other| other.text("id").to_owned());
    if let Some(owner) = owner {
        if !params.flag("transfer_lookup_key") {
            let message = format!(
                "A price (`{owner}`) already uses that lookup key. If you want to transfer it, use `transfer_lookup_key`."
            );
            return Err(ApiError::invalid("resource_already_exists", message).on("lookup_key"));
        }
        tx.update(&owner, "price.updated", |other: &mut Price| other.lookup_key = None)?;
    }
    price.lookup_key = Some(key.to_owned());
    Ok(())
}

fn create_price(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    let product = match (params.some("product"), params.get("product_data")) {
        (Some(_), Some(_)) => {
            let message = "You may only specify one of these parameters: product, product_data.";
            return Err(ApiError::invalid("", message).on("product"));
        }
        (Some(id), None) => tx.named("product", id, "product")?.text("id").to_owned(),
        (None, Some(data)) => new_product(tx, data)?.text("id").to_owned(),
        (None, None) => {
            let message = "Missing required param: product.";
            return Err(ApiError::invalid("parameter_missing", message).on("product"));
        }
    };
    new_price(tx, params, &product, "")?.to_json()
}

fn list_prices(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let keys = call.params.list("lookup_keys");
    let recurring = &call.params["recurring"];
    let all = tx.newest("price");
    page(
        call,
        all.filter(|price| {
            matches_filters(call, price, &["active", "currency", "product", "type"])
                && (keys.is_empty() || keys.contains(&price["lookup_key"]))
                && ["interval", "meter", "usage_type"].iter().all(|field| {
                    recurring.get(*field).is_none_or(|requested| price["recurring"].get(*field) == Some(requested))
                })
        }),
    )
}

fn update_price(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut price: Price = tx.read(&call.id)?;
    claim_lookup_key(tx, &mut price, &call.params)?;
    price.update(&call.params);
    tx.replace(&call.id, "price.updated", &price)?;
    price.to_json()
}
