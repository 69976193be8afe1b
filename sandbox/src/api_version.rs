//! Rendering objects for an API version, without the sandbox's internal fields.
//!
//! The store holds objects as the default version has them. Fields that Stripe has moved or removed
//! are restored for callers with an older version.
//!
//! Invariant: no field whose name starts with `_` leaves the sandbox, and `metadata` is rendered
//! as it was sent. Proved by `older_versions_get_their_own_fields` in `tests/webhooks.rs`.

use serde_json::{Map, Value, json};

use crate::fields::Fields;

/// The API version of calls and endpoints that do not specify one.
pub(crate) const DEFAULT_VERSION: &str = "2026-09-30.endive";

/// Basil moved a subscription's period to its items and an invoice's subscription to `parent`.
const BASIL: &str = "2025-03-31";
/// Dahlia renamed `ui_mode: hosted` to `hosted_page`.
const DAHLIA: &str = "2026-03-25";

/// Returns whether a version is older than 2025-03-31.basil.
pub(crate) fn before_basil(version: &str) -> bool {
    version < BASIL
}

/// Returns an object as a caller with the given API version sees it.
pub(crate) fn render(value: &Value, version: &str) -> Value {
    match value {
        Value::Object(map) => render_object(map, version),
        Value::Array(elements) => elements.iter().map(|element| render(element, version)).collect(),
        other => other.clone(),
    }
}

fn render_object(map: &Map<String, Value>, version: &str) -> Value {
    let mut shown = Map::new();
    for (key, value) in map {
        if key == "metadata" {
            shown.insert(key.clone(), value.clone());
        } else if !key.starts_with('_') {
            shown.insert(key.clone(), render(value, version));
        }
    }
    let mut shown = Value::Object(shown);
    match shown.text("object") {
        "checkout.session" if version < DAHLIA && shown.text("ui_mode") == "hosted_page" => {
            shown.set("ui_mode", "hosted");
        }
        _ => {}
    }
    if before_basil(version) {
        match shown.text("object") {
            "subscription" => old_subscription(&mut shown, map),
            "subscription_item" => without(&mut shown, &["current_period_end", "current_period_start"]),
            "invoice" => old_invoice(&mut shown, map),
            "line_item" => old_line(&mut shown),
            "invoiceitem" => old_item(&mut shown),
            "payment_intent" | "charge" => {
                shown.set("invoice", map.get("_invoice").cloned().unwrap_or_default());
            }
            _ => {}
        }
    }
    shown
}

fn without(object: &mut Value, fields: &[&str]) {
    if let Value::Object(map) = object {
        map.retain(|field, _| !fields.contains(&field.as_str()));
    }
}

fn old_subscription(subscription: &mut Value, stored: &Map<String, Value>) {
    let items = stored.get("items").cloned().unwrap_or_default();
    let Some(first) = items.list("data").first() else {
        return;
    };
    for key in ["current_period_start", "current_period_end", "plan", "quantity"] {
        subscription.set(key, first[key].clone());
    }
    subscription.set("discount", Value::Null);
}

fn old_invoice(invoice: &mut Value, stored: &Map<String, Value>) {
    let details = &invoice["parent"]["subscription_details"];
    let (subscription, metadata) = (details["subscription"].clone(), details["metadata"].clone());
    invoice.set("subscription", subscription);
    invoice.set("subscription_details", json!({ "metadata": metadata }));
    let paid = invoice.text("status") == "paid";
    invoice.set("paid", paid);
    invoice.set("paid_out_of_band", stored.get("_out_of_band").and_then(Value::as_bool).unwrap_or(false));
    for field in ["application_fee_amount", "discount", "quote", "tax", "transfer_data"] {
        invoice.set(field, Value::Null);
    }
    invoice.set("total_tax_amounts", json!([]));
    for (key, hidden) in [("payment_intent", "_payment_intent"), ("charge", "_charge")] {
        if invoice.get(key).is_none() {
            invoice.set(key, stored.get(hidden).cloned().unwrap_or_default());
        }
    }
    without(invoice, &["parent", "total_taxes", "amount_overpaid", "confirmation_secret"]);
}

fn old_line(line: &mut Value) {
    let parent = line["parent"].clone();
    let of_subscription = &parent["subscription_item_details"];
    let of_item = &parent["invoice_item_details"];
    let details = if of_subscription.is_object() { of_subscription } else { of_item };
    line.set("subscription", details["subscription"].clone());
    line.set("subscription_item", of_subscription["subscription_item"].clone());
    line.set("invoice_item", details["invoice_item"].clone());
    line.set("proration", details.flag("proration"));
    line.set("type", if of_subscription.is_object() { "subscription" } else { "invoiceitem" });
    line.set("tax_amounts", json!([]));
    line.set("tax_rates", json!([]));
    without(line, &["parent", "taxes"]);
}

fn old_item(item: &mut Value) {
    let owner = item["parent"]["subscription_details"].clone();
    item.set("subscription", owner["subscription"].clone());
    item.set("subscription_item", owner["subscription_item"].clone());
    let unit = item["pricing"]["unit_amount_decimal"].clone();
    item.set("unit_amount_decimal", unit);
    without(item, &["parent", "net_amount"]);
}
