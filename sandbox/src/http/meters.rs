//! `/v1/billing/meters`, `/v1/billing/meter_events` and their adjustments

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::fields::{Fields, copy};
use crate::flows::meter;
use crate::http::call::{Call, Route, route};
use crate::http::list::{matches_filters, page};
use crate::objects;
use crate::store::Tx;

/// The endpoint for usage. Calls for the same customer and meter must not overlap.
pub(crate) const REPORT: &str = "POST /v1/billing/meter_events";

pub(super) const ROUTES: &[Route] = &[
    route("POST /v1/billing/meters", create),
    route("GET /v1/billing/meters", list),
    route("GET /v1/billing/meters/:id", |tx, call| tx.find(METER, &call.id)),
    route("POST /v1/billing/meters/:id", update),
    route("POST /v1/billing/meters/:id/deactivate", |tx, call| set_active(tx, call, false)),
    route("POST /v1/billing/meters/:id/reactivate", |tx, call| set_active(tx, call, true)),
    route("GET /v1/billing/meters/:id/event_summaries", summaries),
    route(REPORT, |tx, call| meter::report(tx, &call.params)),
    route("POST /v1/billing/meter_event_adjustments", adjust),
];

const METER: &str = "billing.meter";

/// Returns the lock that a usage report needs: on the customer and the meter.
pub(crate) fn lock_name(call: &Call) -> String {
    let payload = call.params["payload"].as_object();
    let customer = payload.and_then(|payload| payload.get("stripe_customer_id")).and_then(Value::as_str);
    format!("meter:{}:{}", customer.unwrap_or_default(), call.params.text("event_name"))
}

/// Returns the error for a report that overlaps another one for the same customer and meter.
pub(crate) fn in_flight() -> ApiError {
    ApiError::rate_limited(
        "You can only make one concurrent call per customer per meter. Another call for this customer and meter is in progress.",
    )
}

fn create(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    let taken =
        tx.newest(METER).any(|known| known["event_name"] == params["event_name"] && known["status"] == "active");
    if taken {
        let message = format!("There is already an active meter with the event name '{}'.", params.text("event_name"));
        return Err(ApiError::invalid("resource_already_exists", message).on("event_name"));
    }
    let mut made = objects::meter(params.text("display_name"), params.text("event_name"), tx.now());
    copy(&mut made, params, &["default_aggregation", "event_time_window"]);
    for settings in ["customer_mapping", "value_settings"] {
        let fields = ["event_payload_key", "type"];
        copy(&mut made[settings], &params[settings], &fields);
    }
    tx.create("billing.meter.created", &made);
    Ok(made)
}

fn list(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    page(call, tx.newest(METER).filter(|meter| matches_filters(call, meter, &["status"])))
}

fn update(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    tx.find(METER, &call.id)?;
    let now = tx.now();
    tx.change(&call.id, "billing.meter.updated", |meter| {
        copy(meter, &call.params, &["display_name"]);
        meter.set("updated", now);
    })
}

fn set_active(tx: &mut Tx<'_>, call: &Call, active: bool) -> Result<Value, ApiError> {
    let current = tx.find(METER, &call.id)?;
    if (current.text("status") == "active") == active {
        let message = format!("This meter is already {}.", current.text("status"));
        return Err(ApiError::invalid("", message));
    }
    let now = tx.now();
    let event = if active { "billing.meter.reactivated" } else { "billing.meter.deactivated" };
    tx.change(&call.id, event, |meter| {
        meter.set("status", if active { "active" } else { "inactive" });
        meter.set("status_transitions", json!({ "deactivated_at": (!active).then_some(now) }));
        meter.set("updated", now);
    })
}

fn summaries(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let meter = tx.find(METER, &call.id)?;
    let found = meter::summaries(tx, &meter, &call.params)?;
    page(call, &found)
}

fn adjust(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let identifier = call.params["cancel"].some("identifier").ok_or_else(|| {
        let message = "Missing required param: cancel[identifier].";
        ApiError::invalid("parameter_missing", message).on("cancel[identifier]")
    })?;
    meter::cancel(tx, call.params.text("event_name"), identifier)
}
