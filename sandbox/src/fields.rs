//! Reading and writing fields of JSON objects.
//!
//! Invariant: reading never fails. A field that is absent, `null` or of another type reads as the
//! empty value of the requested type, which is how Stripe treats an unset field.

use serde_json::{Map, Value};

/// The value of an absent list.
const EMPTY: &[Value] = &[];

/// Lenient access to the fields of a JSON object.
pub(crate) trait Fields {
    /// Returns the text of a field, or `""` when it is unset.
    fn text(&self, key: &str) -> &str;
    /// Returns the text of a field unless it is unset or empty. Stripe unsets a field with `""`.
    fn some(&self, key: &str) -> Option<&str>;
    /// Returns the integer of a field, or `0` when it is unset.
    fn int(&self, key: &str) -> i64;
    /// Returns the value of a field if it is an integer.
    fn some_int(&self, key: &str) -> Option<i64>;
    /// Returns whether a field is `true`.
    fn flag(&self, key: &str) -> bool;
    /// Returns the elements of an array field.
    fn list(&self, key: &str) -> &[Value];
    /// Returns the elements of a field that holds one of Stripe's list objects.
    fn data(&self, key: &str) -> &[Value];
    /// Sets a field of an object.
    fn set(&mut self, key: &str, value: impl Into<Value>);
}

impl Fields for Value {
    fn text(&self, key: &str) -> &str {
        self.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn some(&self, key: &str) -> Option<&str> {
        Some(self.text(key)).filter(|text| !text.is_empty())
    }

    fn int(&self, key: &str) -> i64 {
        self.some_int(key).unwrap_or_default()
    }

    fn some_int(&self, key: &str) -> Option<i64> {
        self.get(key).and_then(Value::as_i64)
    }

    fn flag(&self, key: &str) -> bool {
        self.get(key).and_then(Value::as_bool).unwrap_or_default()
    }

    fn list(&self, key: &str) -> &[Value] {
        self.get(key).and_then(Value::as_array).map_or(EMPTY, Vec::as_slice)
    }

    fn data(&self, key: &str) -> &[Value] {
        self.get(key).map_or(EMPTY, |list| list.list("data"))
    }

    fn set(&mut self, key: &str, value: impl Into<Value>) {
        if let Value::Object(map) = self {
            map.insert(key.to_owned(), value.into());
        }
    }
}

/// Copies the parameters that were sent to the object; `""` unsets a field.
pub(crate) fn copy(object: &mut Value, params: &Value, keys: &[&str]) {
    for key in keys {
        match params.get(*key) {
            None => {}
            Some(Value::String(text)) if text.is_empty() => object.set(key, Value::Null),
            Some(value) => object.set(key, value.clone()),
        }
    }
}

/// Sets a field to a parameter if it was sent; `""` unsets it.
pub(crate) fn assign(text: &mut Option<String>, params: &Value, key: &str) {
    if params.get(key).is_some() {
        *text = params.some(key).map(str::to_owned);
    }
}

/// Merges metadata as Stripe does: keys that were sent are set, empty values remove their key, other
/// keys stay, and `metadata=""` removes all.
pub(crate) fn merge_metadata(object: &mut Value, params: &Value) {
    let mut merged = match object.get("metadata") {
        Some(Value::Object(map)) => map.clone(),
        _ => Map::new(),
    };
    merge(&mut merged, params);
    if params.get("metadata").is_some() {
        object.set("metadata", Value::Object(merged));
    }
}

/// Merges the parameter `metadata` into the metadata of an object; see [`merge_metadata`].
pub(crate) fn merge(metadata: &mut Map<String, Value>, params: &Value) {
    match params.get("metadata") {
        None => {}
        Some(Value::Object(sent)) => {
            for (key, value) in sent {
                if value.as_str().is_some_and(str::is_empty) {
                    metadata.remove(key);
                } else {
                    metadata.insert(key.clone(), value.clone());
                }
            }
        }
        Some(_) => metadata.clear(),
    }
}

/// Returns the metadata of a new object: what was sent, without empty values.
pub(crate) fn metadata(params: &Value) -> Map<String, Value> {
    let mut metadata = Map::new();
    merge(&mut metadata, params);
    metadata
}

/// Wraps elements in one of Stripe's list objects.
pub(crate) fn list_of(data: &[Value], url: &str) -> Value {
    let total = data.len();
    serde_json::json!({
        "object": "list", "data": data, "has_more": false, "total_count": total, "url": url,
    })
}
