//! Rendering for an API version, and hiding what is ours.
//!
//! The store holds objects in the shape of the default version. What older versions had, and
//! Stripe has since moved, is added on the way out.
//!
//! Invariant: nothing whose name starts with `_` leaves the sandbox, and `metadata` is rendered
//! as it was sent. Proved by `old_versions_see_the_old_shape` in `tests/webhooks.rs`.

use serde_json::{Map, Value, json};

use crate::fields::Fields;

/// The version of calls and endpoints that name none.
pub(crate) const DEFAULT_VERSION: &str = "2026-09-30.endive";

/// Basil moved a subscription's period to its items and an invoice's subscription to `parent`.
const BASIL: &str = "2025-03-31";
/// Dahlia renamed `ui_mode: hosted` to `hosted_page`.
const DAHLIA: &str = "2026-03-25";

/// Whether a version has the shapes from before 2025-03-31.basil.
pub(crate) fn before_basil(version: &str) -> bool {
    version < BASIL
}

/// An object as a caller with that API version sees it.
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
        "subscription" if before_basil(version) => old_subscription(&mut shown),
        "invoice" if before_basil(version) => old_invoice(&mut shown, map),
        "line_item" if before_basil(version) => old_line(&mut shown),
        "checkout.session" if version < DAHLIA && shown.text("ui_mode") == "hosted_page" => {
            shown.set("ui_mode", "hosted");
        }
        _ => {}
    }
    shown
}

fn old_subscription(subscription: &mut Value) {
    let Some(first) = subscription.data("items").first().cloned() else {
        return;
    };
    for key in ["current_period_start", "current_period_end"] {
        subscription.set(key, first[key].clone());
    }
    subscription.set("plan", first["plan"].clone());
    subscription.set("quantity", first["quantity"].clone());
    subscription.set("discount", Value::Null);
}

fn old_invoice(invoice: &mut Value, stored: &Map<String, Value>) {
    let details = &invoice["parent"]["subscription_details"];
    let (subscription, metadata) = (details["subscription"].clone(), details["metadata"].clone());
    invoice.set("subscription", subscription);
    invoice.set("subscription_details", json!({ "metadata": metadata }));
    let paid = invoice.text("status") == "paid";
    invoice.set("paid", paid);
    invoice.set("paid_out_of_band", false);
    invoice.set("tax", Value::Null);
    invoice.set("discount", Value::Null);
    for (key, hidden) in [("payment_intent", "_payment_intent"), ("charge", "_charge")] {
        if invoice.get(key).is_none() {
            invoice.set(key, stored.get(hidden).cloned().unwrap_or_default());
        }
    }
}

fn old_line(line: &mut Value) {
    let item = line["parent"]["subscription_item_details"].clone();
    line.set("subscription", item["subscription"].clone());
    line.set("subscription_item", item["subscription_item"].clone());
    line.set("proration", item.flag("proration"));
    let kind = if item.is_object() { "subscription" } else { "invoiceitem" };
    line.set("type", kind);
}
