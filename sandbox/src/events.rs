//! Events: recording changes, and creating deliveries for the subscribed endpoints.

use serde_json::{Map, Value, json};

use crate::api_version::DEFAULT_VERSION;
use crate::clock;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::ids;
use crate::store::Tx;

/// The window within which shuffled events can overtake each other, in milliseconds.
const SHUFFLED_WITHIN: i64 = 3_000;

impl Tx<'_> {
    /// Writes a new object and emits an event about it.
    pub(crate) fn create(&mut self, event: &str, object: &Value) {
        self.put(object.clone());
        self.emit(event, object, None);
    }

    /// Changes an object and emits `event`. An `…updated` event carries the previous values, and is not
    /// emitted when no visible field has changed.
    pub(crate) fn change(&mut self, id: &str, event: &str, work: impl FnOnce(&mut Value)) -> Result<Value, ApiError> {
        self.change_with_events(id, &[event], work)
    }

    /// Changes an object and emits several events about it; see [`Tx::change`].
    pub(crate) fn change_with_events(
        &mut self,
        id: &str,
        events: &[&str],
        work: impl FnOnce(&mut Value),
    ) -> Result<Value, ApiError> {
        let before = self.get(id).cloned().ok_or_else(|| ApiError::internal(format!("{id} vanished")))?;
        let mut after = before.clone();
        work(&mut after);
        self.put(after.clone());
        let previous = previous(&before, &after);
        for event in events {
            match has_previous_attributes(event) {
                false => self.emit(event, &after, None),
                true if previous.is_some() => self.emit(event, &after, previous.clone()),
                true => {}
            }
        }
        Ok(after)
    }

    /// Records an event about the current state of an object, and creates its deliveries.
    pub(crate) fn emit(&mut self, kind: &str, object: &Value, previous: Option<Value>) {
        let id = ids::new("evt_");
        let endpoints = subscribed_endpoints(self, kind);
        let mut data = json!({ "object": object });
        if let Some(previous) = previous {
            data["previous_attributes"] = previous;
        }
        self.put(json!({
            "id": id,
            "object": "event",
            "api_version": DEFAULT_VERSION,
            "created": self.now(),
            "data": data,
            "livemode": false,
            "pending_webhooks": endpoints.len(),
            "request": {
                "id": self.origin.request,
                "idempotency_key": self.origin.idempotency_key,
            },
            "type": kind,
        }));
        for endpoint in endpoints {
            dispatch(self, &id, kind, &endpoint);
        }
    }
}

/// The kind of thin events.
pub(crate) const THIN: &str = "v2.core.event";

/// Returns whether an object is an event, thin or not.
pub(crate) fn is_event(object: &Value) -> bool {
    matches!(object.text("object"), "event" | THIN)
}

/// Records a thin event, and delivers it to an endpoint, or to every enabled one. It names an object instead of
/// holding it. By default it is about meter events that could not be counted.
///
/// Source: "Thin events", docs.stripe.com/event-destinations.
pub(crate) fn emit_thin(tx: &mut Tx<'_>, params: &Value) -> Result<Value, ApiError> {
    let kind = params.some("type").unwrap_or("v1.billing.meter.no_meter_found");
    let related = params.some("object").map(|id| {
        let object = tx.get(id).map_or("billing.meter", |object| object.text("object"));
        let folder = object.replace('.', "/");
        json!({ "id": id, "type": object, "url": format!("/v1/{folder}s/{id}") })
    });
    let endpoints: Vec<String> = match params.some("endpoint") {
        Some(id) => vec![tx.named("webhook_endpoint", id, "endpoint")?.text("id").to_owned()],
        None => {
            let enabled = tx.newest("webhook_endpoint").rev().filter(|endpoint| endpoint.text("status") == "enabled");
            enabled.map(|endpoint| endpoint.text("id").to_owned()).collect()
        }
    };
    let event = json!({
        "id": ids::new("evt_test_"),
        "object": THIN,
        "context": null,
        "created": clock::iso(tx.now()),
        "livemode": false,
        "reason": null,
        "related_object": related,
        "type": kind,
    });
    tx.put(event.clone());
    for endpoint in &endpoints {
        dispatch(tx, event.text("id"), kind, endpoint);
    }
    Ok(event)
}

/// Returns the `previous_attributes` of a change: the old values of all fields that differ, descending
/// into objects but not into lists. `None` when no visible field differs.
fn previous(before: &Value, after: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return None;
    };
    let mut changed = Map::new();
    for key in old.keys().chain(new.keys()) {
        if key.starts_with('_') || changed.contains_key(key) {
            continue;
        }
        let was = old.get(key).unwrap_or(&Value::Null);
        let is = new.get(key).unwrap_or(&Value::Null);
        if was == is {
            continue;
        }
        let inner = if was.is_object() && is.is_object() { previous(was, is) } else { Some(was.clone()) };
        if let Some(inner) = inner {
            changed.insert(key.clone(), inner);
        }
    }
    (!changed.is_empty()).then_some(Value::Object(changed))
}

/// Returns whether events of a type carry `previous_attributes`.
fn has_previous_attributes(kind: &str) -> bool {
    kind.ends_with(".updated") || kind == "charge.refunded"
}

/// Returns whether an endpoint is enabled and subscribed to a type of event.
pub(crate) fn subscribes_to(endpoint: &Value, kind: &str) -> bool {
    endpoint.text("status") == "enabled"
        && endpoint.list("enabled_events").iter().any(|pattern| pattern == "*" || pattern == kind)
}

/// Returns the endpoints that receive events of a type, oldest first.
pub(crate) fn subscribed_endpoints(tx: &Tx<'_>, kind: &str) -> Vec<String> {
    let endpoints = tx.newest("webhook_endpoint").rev().filter(|endpoint| subscribes_to(endpoint, kind));
    endpoints.map(|endpoint| endpoint.text("id").to_owned()).collect()
}

/// The object that stores the delivery conditions.
pub(crate) const CONDITIONS: &str = "_conditions";

/// The fields of the delivery conditions.
pub(crate) const CONDITION_FIELDS: &[&str] =
    &["delay_seconds", "drop_next", "drop_percent", "duplicate_next", "duplicate_percent", "shuffle"];

/// Creates the delivery of an event to an endpoint. Depending on the delivery conditions it is dropped,
/// duplicated, delayed or shuffled.
fn dispatch(tx: &mut Tx<'_>, event: &str, kind: &str, endpoint: &str) {
    let mut due = tx.now() * 1000;
    let Some(conditions) = tx.get(CONDITIONS).cloned() else {
        return tx.put(delivery(event, kind, endpoint, due));
    };
    due += conditions.int("delay_seconds") * 1000;
    if conditions.flag("shuffle") {
        due += ids::below(SHUFFLED_WITHIN);
    }
    let mut made = delivery(event, kind, endpoint, due);
    if applies(tx, &conditions, "drop") {
        made.set("state", "dropped");
    } else if applies(tx, &conditions, "duplicate") {
        tx.put(delivery(event, kind, endpoint, due));
    }
    tx.put(made);
}

/// Returns whether a condition applies to the next delivery: by count, or at random by percentage.
fn applies(tx: &mut Tx<'_>, conditions: &Value, what: &str) -> bool {
    let next = format!("{what}_next");
    let left = conditions.int(&next);
    if left > 0 {
        tx.quietly(CONDITIONS, |conditions| conditions.set(&next, left - 1));
        return true;
    }
    ids::below(100) < conditions.int(&format!("{what}_percent"))
}

/// Creates a delivery of an event to an endpoint, due at a time of the sandbox's clock in milliseconds.
/// It stays `pending` until it is `delivered`, `failed` or `dropped`.
pub(crate) fn delivery(event: &str, kind: &str, endpoint: &str, due: i64) -> Value {
    json!({
        "id": ids::new("dlv_"),
        "object": "_delivery",
        "event": event,
        "type": kind,
        "endpoint": endpoint,
        "state": "pending",
        "created": due / 1000,
        "due": due,
        "attempts": [],
    })
}

#[cfg(test)]
mod tests {
    use super::previous;
    use serde_json::json;

    #[test]
    fn previous_attributes_hold_old_values_only() {
        let before = json!({"a": 1, "m": {"x": "1", "y": "2"}, "l": [1], "same": 1, "_own": 1});
        let after = json!({"a": 2, "m": {"x": "1", "z": "3"}, "l": [2], "same": 1, "_own": 2});
        assert_eq!(previous(&before, &after), Some(json!({"a": 1, "m": {"y": "2", "z": null}, "l": [1]})));
        assert_eq!(previous(&before, &before), None);
    }
}
