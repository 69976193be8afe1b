//! Reading values from Stripe's JSON.

use billing::{Currency, Money, Timestamp};
use serde_json::Value;

/// A required field is missing or of the wrong type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{object}: no usable `{field}`")]
pub struct ObjectError {
    /// Stripe's name of the object.
    pub object: &'static str,
    /// The name of the field in Stripe's API.
    pub field: &'static str,
}

/// An object, with fields that only sync needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<T> {
    /// The object that was read.
    pub object: T,
    /// `metadata.account_id`, or its equivalent.
    pub account: Option<String>,
    /// The payment method: of a customer, the one that its invoices are charged to; of a payment, the last one
    /// that was tried.
    pub method: Option<String>,
}

/// Returns the id at `pointer`, which is an id or an expanded object.
pub fn id_of(value: &Value, pointer: &str) -> Option<String> {
    match value.pointer(pointer)? {
        Value::String(id) => Some(id.clone()),
        object => text(object, "/id").map(str::to_owned),
    }
    .filter(|id| !id.is_empty() && is_storable(id))
}

/// Returns the string at `pointer`.
pub fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| is_storable(text))
}

/// Returns whether both databases can store a string: PostgreSQL stores no NUL. Stripe sends none either, and
/// an event that could not be stored would be delivered again for days.
fn is_storable(text: &str) -> bool {
    !text.contains('\0')
}

/// Returns the string at `pointer`, unless it is empty.
pub(super) fn non_empty(value: &Value, pointer: &str) -> Option<String> {
    text(value, pointer).filter(|text| !text.is_empty()).map(str::to_owned)
}

pub(super) fn number(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

/// Returns the boolean at `pointer`; `false` if the field is missing.
pub(super) fn flag(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}

pub(super) fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    number(value, pointer).map(Timestamp)
}

/// `Some(None)` if Stripe has no such time; `None` if the value is not a time.
pub(super) fn optional_time(value: &Value, pointer: &str) -> Option<Option<Timestamp>> {
    match value.pointer(pointer) {
        None | Some(Value::Null) => Some(None),
        Some(_) => time(value, pointer).map(Some),
    }
}

/// Returns the amount at `pointer`, in the object's `currency`.
pub fn money(value: &Value, pointer: &str) -> Option<Money> {
    let currency = Currency::parse(text(value, "/currency")?).ok()?;
    Some(Money::new(number(value, pointer)?, currency))
}

/// Returns the elements of a list, which is Stripe's list object or a plain array.
pub(super) fn elements<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let list = value.pointer(pointer);
    let data = list.and_then(|list| list.get("data")).or(list);
    data.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
