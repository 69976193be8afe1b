//! Products and meters.

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

/// Creates a meter that sums values.
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
