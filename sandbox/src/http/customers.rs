//! `/v1/customers`

use serde_json::Value;

use crate::error::ApiError;
use crate::fields::Fields;
use crate::flows::{payment, subscription};
use crate::http::call::{Call, Route, deleted, route};
use crate::http::list::{matches_filters, page};
use crate::objects::{Customer, Object, Subscription};
use crate::store::Tx;

pub(super) const ROUTES: &[Route] = &[
    route("POST /v1/customers", create),
    route("GET /v1/customers", list),
    route("GET /v1/customers/:id", retrieve),
    route("POST /v1/customers/:id", update),
    route("DELETE /v1/customers/:id", delete),
    route("GET /v1/customers/:id/payment_methods", payment_methods),
];

/// The parameter that sets a customer's default card.
const DEFAULT: &str = "invoice_settings[default_payment_method]";

fn create(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    let mut customer = Customer::new(tx.now());
    customer.apply(params)?;
    let id = customer.id.as_str();
    tx.insert("customer.created", &customer)?;
    for key in ["payment_method", "source"] {
        if let Some(method) = params.some(key) {
            let method = payment::method(tx, method, key)?;
            let method = payment::attach(tx, &method, id)?;
            if key == "source" {
                set_default(tx, id, &method)?;
            }
        }
    }
    if let Some(default) = params["invoice_settings"].some("default_payment_method") {
        let method = payment::of_customer(tx, default, id, DEFAULT)?;
        set_default(tx, id, &method)?;
    }
    tx.find(Customer::KIND, id)
}

fn set_default(tx: &mut Tx<'_>, customer: &str, method: &Value) -> Result<(), ApiError> {
    tx.update_quietly(customer, |customer: &mut Customer| {
        customer.invoice_settings.default_payment_method = Some(method.text("id").to_owned());
    })?;
    Ok(())
}

fn list(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let all = tx.newest("customer");
    page(call, all.filter(|customer| !customer.flag("deleted") && matches_filters(call, customer, &["email"])))
}

fn retrieve(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let customer = tx.find("customer", &call.id)?;
    Ok(if customer.flag("deleted") { deleted("customer", &call.id) } else { customer })
}

fn update(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut changed: Customer = tx.read(&call.id)?;
    changed.apply(&call.params)?;
    if let Some(id) = call.params["invoice_settings"].some("default_payment_method") {
        let method = payment::of_customer(tx, id, &call.id, DEFAULT)?;
        changed.invoice_settings.default_payment_method = Some(method.text("id").to_owned());
    }
    tx.replace(&call.id, "customer.updated", &changed)?;
    tx.find(Customer::KIND, &call.id)
}

/// Deletes a customer and cancels its subscriptions.
fn delete(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let customer: Customer = tx.read(&call.id)?;
    let subscriptions: Vec<Subscription> = tx.owned_by(&call.id)?;
    for running in subscriptions.iter().filter(|subscription| !subscription.status.has_ended()) {
        subscription::end(tx, &running.id, "cancellation_requested")?;
    }
    tx.emit("customer.deleted", &customer.to_json()?, None);
    tx.put(deleted("customer", &call.id));
    Ok(deleted("customer", &call.id))
}

fn payment_methods(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    tx.read::<Customer>(&call.id)?;
    let all = tx.referring("payment_method", &call.id);
    page(call, all.filter(|method| matches_filters(call, method, &["type", "allow_redisplay"])))
}
