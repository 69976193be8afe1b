//! `/v1/customers`

use serde_json::Value;

use crate::error::ApiError;
use crate::fields::{Fields, copy, merge_metadata};
use crate::flows::{payment, subscription};
use crate::http::call::{Call, Route, deleted, route};
use crate::http::list::{matches_filters, page};
use crate::objects;
use crate::store::Tx;

pub(super) const ROUTES: &[Route] = &[
    route("POST /v1/customers", create),
    route("GET /v1/customers", list),
    route("GET /v1/customers/:id", retrieve),
    route("POST /v1/customers/:id", update),
    route("DELETE /v1/customers/:id", delete),
    route("GET /v1/customers/:id/payment_methods", payment_methods),
];

const FIELDS: &[&str] = &[
    "address",
    "balance",
    "description",
    "email",
    "invoice_prefix",
    "name",
    "next_invoice_sequence",
    "phone",
    "preferred_locales",
    "shipping",
    "tax_exempt",
];

fn apply(customer: &mut Value, params: &Value) {
    copy(customer, params, FIELDS);
    merge_metadata(customer, params);
    if params.text("balance").is_empty() && params.get("balance").is_some_and(Value::is_string) {
        customer.set("balance", 0);
    }
    if let Some(settings) = params.get("invoice_settings") {
        let fields = ["default_payment_method", "footer"];
        copy(&mut customer["invoice_settings"], settings, &fields);
    }
}

/// The parameter that sets a customer's default card.
const DEFAULT: &str = "invoice_settings[default_payment_method]";

fn set_default(customer: &mut Value, method: &Value) {
    customer["invoice_settings"].set("default_payment_method", method["id"].clone());
}

fn create(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    let mut customer = objects::customer(params, tx.now());
    apply(&mut customer, params);
    let id = customer.text("id").to_owned();
    tx.create("customer.created", &customer);
    for key in ["payment_method", "source"] {
        if let Some(method) = params.some(key) {
            let method = payment::method(tx, method, key)?;
            let method = payment::attach(tx, &method, &id)?;
            if key == "source" {
                tx.quietly(&id, |customer| {
                    customer["invoice_settings"].set("default_payment_method", method["id"].clone());
                });
            }
        }
    }
    if let Some(default) = params["invoice_settings"].some("default_payment_method") {
        let method = payment::of_customer(tx, default, &id, DEFAULT)?;
        tx.quietly(&id, |customer| set_default(customer, &method));
    }
    tx.find("customer", &id)
}

fn list(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let all = tx.newest("customer");
    page(call, all.filter(|customer| !customer.flag("deleted") && matches_filters(call, customer, &["email"])))
}

fn retrieve(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let customer = tx.find("customer", &call.id)?;
    Ok(if customer.flag("deleted") { deleted("customer", &call.id) } else { customer })
}

fn existing(tx: &Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let customer = tx.find("customer", id)?;
    if customer.flag("deleted") {
        return Err(ApiError::missing("customer", id));
    }
    Ok(customer)
}

fn update(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    existing(tx, &call.id)?;
    let default = match call.params["invoice_settings"].some("default_payment_method") {
        Some(id) => Some(payment::of_customer(tx, id, &call.id, DEFAULT)?),
        None => None,
    };
    tx.change(&call.id, "customer.updated", |customer| {
        apply(customer, &call.params);
        if let Some(method) = &default {
            set_default(customer, method);
        }
    })
}

/// Deletes a customer and cancels its subscriptions.
fn delete(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let customer = existing(tx, &call.id)?;
    let running: Vec<String> = tx
        .referring("subscription", &call.id)
        .filter(|subscription| !matches!(subscription.text("status"), "canceled" | "incomplete_expired"))
        .map(|subscription| subscription.text("id").to_owned())
        .collect();
    for id in running {
        subscription::end(tx, &id, "cancellation_requested")?;
    }
    tx.emit("customer.deleted", &customer, None);
    tx.put(deleted("customer", &call.id));
    Ok(deleted("customer", &call.id))
}

fn payment_methods(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    existing(tx, &call.id)?;
    let all = tx.referring("payment_method", &call.id);
    page(call, all.filter(|method| matches_filters(call, method, &["type", "allow_redisplay"])))
}
