//! `expand[]`: replaces ids with the objects they refer to.
//!
//! Invariant: a path that names nothing expandable is rejected; a `null` along the path is not an
//! error. Source: "Expanding Responses", docs.stripe.com/api.

use serde_json::Value;

use crate::api_version;
use crate::error::ApiError;
use crate::fields::{Fields, list_of};
use crate::store::Tx;

/// Stripe's limit on the depth of a path; a list's `data` counts as a level.
const MAX_DEPTH: usize = 4;

/// Expands every requested path.
pub(crate) fn expand(tx: &Tx<'_>, value: &mut Value, paths: &[Value], version: &str) -> Result<(), ApiError> {
    for path in paths.iter().filter_map(Value::as_str) {
        let segments: Vec<&str> = path.split('.').collect();
        if segments.len() > MAX_DEPTH {
            let message = format!("You cannot expand more than {MAX_DEPTH} levels of a property. Property: {path}");
            return Err(ApiError::invalid("", message).on("expand"));
        }
        walk(tx, value, &segments, version).map_err(|()| {
            let message = format!("This property cannot be expanded ({path}).");
            ApiError::invalid("", message).on("expand")
        })?;
    }
    Ok(())
}

fn walk(tx: &Tx<'_>, value: &mut Value, path: &[&str], version: &str) -> Result<(), ()> {
    let [field, rest @ ..] = path else {
        return Ok(());
    };
    if let Value::Array(elements) = value {
        return elements.iter_mut().try_for_each(|element| walk(tx, element, path, version));
    }
    if let Some(included) = included(tx, value, field, version) {
        value.set(field, included);
    }
    let Some(child) = value.get_mut(*field) else {
        return Err(());
    };
    if *field == "id" {
        return Err(());
    }
    replace(tx, child)?;
    match child {
        Value::Null => Ok(()),
        child => walk(tx, child, rest, version),
    }
}

/// Replaces an id with its object. Fails for a value that is neither an id nor an object.
fn replace(tx: &Tx<'_>, child: &mut Value) -> Result<(), ()> {
    match child {
        Value::String(id) => {
            let object = tx.get(id).filter(|object| !object.text("object").starts_with('_'));
            *child = object.cloned().ok_or(())?;
            Ok(())
        }
        Value::Array(elements) => {
            elements.iter_mut().filter(|element| element.is_string()).try_for_each(|element| replace(tx, element))
        }
        Value::Object(_) | Value::Null => Ok(()),
        Value::Bool(_) | Value::Number(_) => Err(()),
    }
}

/// Returns a field that Stripe includes only when it is expanded.
fn included(tx: &Tx<'_>, object: &Value, field: &str, version: &str) -> Option<Value> {
    if object.get(field).is_some() {
        return None;
    }
    let id = object.text("id");
    match (object.text("object"), field) {
        ("checkout.session", "line_items") => {
            Some(list_of(object.list("_line_items"), &format!("/v1/checkout/sessions/{id}/line_items")))
        }
        ("invoice", "payments") => {
            let payments = tx.referring("invoice_payment", id).cloned().collect::<Vec<_>>();
            Some(list_of(&payments, &format!("/v1/invoice_payments?invoice={id}")))
        }
        ("invoice", "confirmation_secret") => {
            let intent = tx.get(object.text("_payment_intent"));
            let secret = intent.map(
                |intent| serde_json::json!({ "client_secret": intent["client_secret"], "type": "payment_intent" }),
            );
            Some(secret.unwrap_or_default())
        }
        ("invoice", "payment_intent" | "charge") if api_version::before_basil(version) => {
            Some(object.get(format!("_{field}")).cloned().unwrap_or_default())
        }
        ("invoice", "subscription") if api_version::before_basil(version) => {
            Some(object["parent"]["subscription_details"]["subscription"].clone())
        }
        ("customer", "subscriptions") => {
            let data = tx.referring("subscription", id).filter(|found| found.text("status") != "canceled");
            Some(list_of(&data.cloned().collect::<Vec<_>>(), &format!("/v1/customers/{id}/subscriptions")))
        }
        ("customer", "sources") => Some(list_of(&[], &format!("/v1/customers/{id}/sources"))),
        ("customer", "tax_ids") => Some(list_of(&[], &format!("/v1/customers/{id}/tax_ids"))),
        ("customer", "tax") => Some(
            serde_json::json!({ "automatic_tax": "unrecognized_location", "ip_address": null, "location": null, "provider": "stripe" }),
        ),
        ("charge", "refunds") => {
            let refunds = tx.referring("refund", id);
            Some(list_of(&refunds.cloned().collect::<Vec<_>>(), &format!("/v1/charges/{id}/refunds")))
        }
        _ => None,
    }
}
