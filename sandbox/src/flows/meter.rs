//! Reported usage, and its invoice lines.
//!
//! Invariant: an event counts once. Its identifier is rejected for 24 hours; after that Stripe no longer
//! guarantees uniqueness, and neither does the sandbox. Proved by
//! `usage_counts_once_and_is_billed_at_the_end_of_the_period`.

use serde_json::{Value, json};

use crate::clock::{DAY, HOUR};
use crate::error::ApiError;
use crate::fields::Fields;
use crate::flows::proration;
use crate::flows::terms::name_of;
use crate::ids;
use crate::objects::{Customer, InvoiceLine, Subscription};
use crate::store::Tx;

const EVENT: &str = "billing.meter_event";
const METER: &str = "billing.meter";
/// The maximum age of an event.
const MAX_AGE: i64 = 35 * DAY;
/// The maximum time of an event in the future, in seconds.
const MAX_AHEAD: i64 = 300;
/// The time during which identifiers are unique and events can be canceled.
const RETENTION: i64 = DAY;

/// Returns the active meter of an event name.
fn meter_of<'a>(tx: &'a Tx<'_>, event_name: &str) -> Result<&'a Value, ApiError> {
    let meter = tx.newest(METER).find(|meter| meter.text("event_name") == event_name);
    let meter = meter.ok_or_else(|| {
        let message = format!("No active meter found for event name '{event_name}'.");
        ApiError::invalid("no_meter", message).on("event_name")
    })?;
    if meter.text("status") != "active" {
        let message = format!("The meter for event name '{event_name}' has been deactivated.");
        return Err(ApiError::invalid("archived_meter", message).on("event_name"));
    }
    Ok(meter)
}

/// Records a usage event.
///
/// # Errors
/// There is no such meter or customer, the value is not a whole number, the time is too far in the past or
/// in the future, or the identifier is a duplicate.
pub(crate) fn report(tx: &mut Tx<'_>, params: &Value) -> Result<Value, ApiError> {
    let now = tx.now();
    let payload = &params["payload"];
    let event_name = params.text("event_name");
    let meter = meter_of(tx, event_name)?;
    let customer = payload.some(meter["customer_mapping"].text("event_payload_key")).ok_or_else(|| {
        ApiError::invalid("meter_event_no_customer_defined", "The payload does not contain a customer.").on("payload")
    })?;
    if tx.read::<Customer>(customer).is_err() {
        let message = format!("No such customer: '{customer}'");
        return Err(ApiError::invalid("meter_event_customer_not_found", message).on("payload"));
    }
    let counts = meter["default_aggregation"].text("formula") == "count";
    let key = meter["value_settings"].text("event_payload_key");
    match payload.some(key) {
        None if !counts => {
            let message = format!("The payload has no value under '{key}'.");
            return Err(ApiError::invalid("meter_event_value_not_found", message).on("payload"));
        }
        Some(value) if value.parse::<i64>().is_err() => {
            let message = format!("The value '{value}' is not a whole number.");
            return Err(ApiError::invalid("meter_event_invalid_value", message).on("payload"));
        }
        _ => {}
    }
    let timestamp = params.some_int("timestamp").unwrap_or(now);
    if timestamp < now - MAX_AGE {
        let message = "The timestamp must be within the past 35 calendar days.";
        return Err(ApiError::invalid("timestamp_too_far_in_past", message).on("timestamp"));
    }
    if timestamp > now + MAX_AHEAD {
        let message = "The timestamp must not be more than 5 minutes in the future.";
        return Err(ApiError::invalid("timestamp_in_future", message).on("timestamp"));
    }
    let identifier = params.some("identifier").map_or_else(|| ids::new(""), str::to_owned);
    let key_in_store = store_key(&identifier);
    if let Some(known) = tx.get(&key_in_store).cloned() {
        let received = known.int("created");
        if received + RETENTION > now {
            let message = format!("An event already exists with identifier {identifier}.");
            return Err(ApiError::invalid("duplicate_meter_event", message).on("identifier"));
        }
        tx.put_as(format!("{key_in_store}:{received}"), known);
    }
    let event = json!({
        "object": EVENT,
        "created": now,
        "event_name": event_name,
        "identifier": identifier,
        "livemode": false,
        "payload": payload,
        "timestamp": timestamp,
    });
    tx.put_as(key_in_store, event.clone());
    Ok(event)
}

fn store_key(identifier: &str) -> String {
    format!("_meter_event:{identifier}")
}

/// Cancels a usage event of the last 24 hours.
pub(crate) fn cancel(tx: &mut Tx<'_>, event_name: &str, identifier: &str) -> Result<Value, ApiError> {
    meter_of(tx, event_name)?;
    let key_in_store = store_key(identifier);
    let known = tx.get(&key_in_store).filter(|event| event.text("event_name") == event_name);
    let known = known.ok_or_else(|| {
        let message = format!("No meter event found with identifier '{identifier}'.");
        ApiError::invalid("resource_missing", message).on("cancel[identifier]")
    })?;
    if known.int("created") + RETENTION <= tx.now() {
        let message = "Meter events can only be canceled within 24 hours of being received.";
        return Err(ApiError::invalid("", message).on("cancel[identifier]"));
    }
    tx.quietly(&key_in_store, |event| event.set("_canceled", true));
    Ok(json!({
        "object": "billing.meter_event_adjustment",
        "cancel": { "identifier": identifier },
        "event_name": event_name,
        "livemode": false,
        "status": "complete",
        "type": "cancel",
    }))
}

/// Returns a customer's usage of a meter between two times.
pub(crate) fn used(tx: &Tx<'_>, meter: &Value, customer: &str, (start, end): (i64, i64)) -> i64 {
    let key = meter["value_settings"].text("event_payload_key");
    let counted = tx.referring(EVENT, customer).filter(|event| {
        event["event_name"] == meter["event_name"]
            && (start..end).contains(&event.int("timestamp"))
            && !event.flag("_canceled")
    });
    let value = |event: &Value| event["payload"].text(key).parse::<i64>().unwrap_or(0);
    match meter["default_aggregation"].text("formula") {
        "count" => i64::try_from(counted.count()).unwrap_or(i64::MAX),
        "last" => counted.max_by_key(|event| event.int("timestamp")).map_or(0, value),
        _ => counted.map(value).sum(),
    }
}

/// Returns a customer's usage of a meter, by hour, by day or in total.
///
/// # Errors
/// The bounds are not at the start of a minute, or of the hour or day when grouped.
pub(crate) fn summaries(tx: &Tx<'_>, meter: &Value, params: &Value) -> Result<Vec<Value>, ApiError> {
    let customer = tx.customer(params.text("customer"))?;
    let (start, end) = (params.int("start_time"), params.int("end_time"));
    let window = match params.text("value_grouping_window") {
        "hour" => HOUR,
        "day" => DAY,
        _ => (end - start).max(60),
    };
    let grain = if params.get("value_grouping_window").is_some() { window } else { 60 };
    for (name, moment) in [("start_time", start), ("end_time", end)] {
        if moment % grain != 0 {
            let message = "The timestamp must align with the boundaries of a minute, or of the grouping window.";
            return Err(ApiError::invalid("", message).on(name));
        }
    }
    let mut found = Vec::new();
    let mut from = start;
    while from < end {
        let until = (from + window).min(end);
        found.push(json!({
            "id": format!("mtrusg_test_{}_{from}", meter.text("id")),
            "object": "billing.meter_event_summary",
            "aggregated_value": used(tx, meter, &customer.id, (from, until)),
            "end_time": until,
            "livemode": false,
            "meter": meter["id"],
            "start_time": from,
        }));
        from = until;
    }
    found.reverse();
    Ok(found)
}

/// Returns the invoice lines for the usage in a period.
pub(crate) fn lines(tx: &Tx<'_>, subscription: &Subscription, period: (i64, i64)) -> Vec<InvoiceLine> {
    let items = subscription.items().iter().filter(|item| item.is_metered());
    items
        .map(|item| {
            let price = &item.price;
            let meter = price.recurring.as_ref().and_then(|recurring| tx.get(recurring.meter.as_deref()?));
            let quantity = meter.map_or(0, |meter| used(tx, meter, &subscription.customer, period));
            let billed = item.with_usage(quantity);
            proration::line(&billed, &name_of(tx, &price.product), price.times(quantity), period)
        })
        .collect()
}
