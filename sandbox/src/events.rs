//! Events: what changed, who wants to know, what is still to be delivered.

use serde_json::{Map, Value, json};

use crate::fields::Fields;
use crate::ids;

/// What `previous_attributes` says of a change: every field that differs, with its old value,
/// descending into hashes and taking lists whole. `None` when nothing that shows differs.
pub(crate) fn previous(before: &Value, after: &Value) -> Option<Value> {
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

/// Whether events of a type carry `previous_attributes`.
pub(crate) fn tells_previous(kind: &str) -> bool {
    kind.ends_with(".updated") || kind == "charge.refunded"
}

/// Whether an endpoint is enabled and subscribed to a type of event.
pub(crate) fn wanted(endpoint: &Value, kind: &str) -> bool {
    endpoint.text("status") == "enabled"
        && endpoint.list("enabled_events").iter().any(|wanted| wanted == "*" || wanted == kind)
}

/// A delivery (kind `_delivery` while pending, `_delivered` afterwards) of an event to an endpoint, due at a moment of the sandbox's clock
/// (milliseconds).
pub(crate) fn delivery(event: &str, kind: &str, endpoint: &str, due: i64) -> Value {
    json!({
        "id": ids::new("dlv_"),
        "object": "_delivery",
        "event": event,
        "type": kind,
        "endpoint": endpoint,
        "state": "pending",
        "attempts": 0,
        "due": due,
        "last_status": null,
        "last_error": null,
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
