//! Products, prices and meters.

use serde_json::{Value, json};

use crate::fields::{Fields, metadata};
use crate::ids;

pub(crate) fn product(params: &Value, now: i64) -> Value {
    json!({
        "id": params.some("id").map_or_else(|| ids::new("prod_"), str::to_owned),
        "object": "product",
        "active": true,
        "attributes": [],
        "created": now,
        "default_price": null,
        "description": null,
        "images": [],
        "livemode": false,
        "marketing_features": [],
        "metadata": metadata(params),
        "name": params.text("name"),
        "package_dimensions": null,
        "shippable": null,
        "statement_descriptor": null,
        "tax_code": null,
        "type": "service",
        "unit_label": null,
        "updated": now,
        "url": null,
    })
}

/// A price of `product`; the caller has validated the currency and the amount.
pub(crate) fn price(params: &Value, product: &str, amount: (Option<i64>, String), now: i64) -> Value {
    let (unit_amount, decimal) = amount;
    let recurring = params.get("recurring").map(|recurring| {
        json!({
            "interval": recurring.text("interval"),
            "interval_count": recurring.some_int("interval_count").unwrap_or(1),
            "meter": recurring.some("meter"),
            "trial_period_days": null,
            "usage_type": recurring.some("usage_type").unwrap_or("licensed"),
        })
    });
    json!({
        "id": ids::new("price_"),
        "object": "price",
        "active": true,
        "billing_scheme": "per_unit",
        "created": now,
        "currency": params.text("currency"),
        "custom_unit_amount": null,
        "livemode": false,
        "lookup_key": null,
        "metadata": metadata(params),
        "nickname": null,
        "product": product,
        "recurring": recurring,
        "tax_behavior": params.some("tax_behavior").unwrap_or("unspecified"),
        "tiers_mode": null,
        "transform_quantity": null,
        "type": if recurring.is_some() { "recurring" } else { "one_time" },
        "unit_amount": unit_amount,
        "unit_amount_decimal": decimal,
    })
}

/// The legacy plan object that subscription items still include beside the price.
pub(crate) fn plan(price: &Value) -> Value {
    let recurring = &price["recurring"];
    json!({
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": "per_unit",
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": false,
        "metadata": price["metadata"],
        "meter": recurring["meter"],
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": null,
        "transform_usage": null,
        "trial_period_days": null,
        "usage_type": recurring["usage_type"],
    })
}

/// The `pricing` of an invoice line or item.
pub(crate) fn pricing(price: &Value) -> Value {
    json!({
        "price_details": { "price": price["id"], "product": price["product"] },
        "type": "price_details",
        "unit_amount_decimal": price["unit_amount_decimal"],
    })
}

/// A meter that sums values.
pub(crate) fn meter(display_name: &str, event_name: &str, now: i64) -> Value {
    json!({
        "id": ids::new("mtr_test_"),
        "object": "billing.meter",
        "created": now,
        "customer_mapping": { "event_payload_key": "stripe_customer_id", "type": "by_id" },
        "default_aggregation": { "formula": "sum" },
        "display_name": display_name,
        "event_name": event_name,
        "event_time_window": null,
        "livemode": false,
        "status": "active",
        "status_transitions": { "deactivated_at": null },
        "updated": now,
        "value_settings": { "event_payload_key": "value" },
    })
}
