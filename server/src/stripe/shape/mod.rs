//! Reading Stripe's objects leniently, in both API shapes.
//!
//! Before `2025-03-31.basil` a subscription's period and an invoice's subscription
//! stood at the top of the object; since then they are in the items and under
//! `parent` (Stripe's changelog for basil). Unknown fields never matter. A field
//! that is needed and cannot be found is an error, never a guess: a wrong date in
//! the database would open or close somebody's access (`tests/rules/shape.rs`).

mod checkout_session;
mod customer;
mod dispute;
mod event;
mod invoice;
mod payment;
mod subscription;

use billing::{Currency, Money, Timestamp};
use serde_json::Value;

pub use checkout_session::{CheckoutSession, SessionStatus, checkout_session};
pub use customer::customer;
pub use dispute::dispute;
pub use event::{Event, event};
pub use invoice::{invoice, invoice_subscription};
pub use payment::payment;
pub use subscription::{SubscriptionShape, subscription, subscription_item};

/// A field that is needed and is not there, or is of the wrong type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{object}: no usable `{field}`")]
pub struct ShapeError {
    /// Stripe's name of the object.
    pub object: &'static str,
    /// Where the field was looked for.
    pub field: &'static str,
}

/// An object, with whose it is by our own word: the account that we named when we made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<T> {
    /// The object.
    pub object: T,
    /// `metadata.account_id`, or what stands in its place.
    pub account: Option<String>,
}

/// The id at `pointer`, whether it is an id or the expanded object.
pub fn id_of(value: &Value, pointer: &str) -> Option<String> {
    match value.pointer(pointer)? {
        Value::String(id) => Some(id.clone()),
        object => text(object, "/id").map(str::to_owned),
    }
    .filter(|id| !id.is_empty())
}

/// The text at `pointer`.
pub fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// The text at `pointer`, if there is one and it is not empty.
fn words(value: &Value, pointer: &str) -> Option<String> {
    text(value, pointer).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn number(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    number(value, pointer).map(Timestamp)
}

/// `Some(None)` where Stripe says that there is no such time; `None` for what is no time at all.
fn time_if_any(value: &Value, pointer: &str) -> Option<Option<Timestamp>> {
    match value.pointer(pointer) {
        None | Some(Value::Null) => Some(None),
        Some(_) => time(value, pointer).map(Some),
    }
}

/// The amount at `pointer`, in the object's `currency`.
pub(super) fn money(value: &Value, pointer: &str) -> Option<Money> {
    let currency = Currency::parse(text(value, "/currency")?).ok()?;
    Some(Money::new(number(value, pointer)?, currency))
}

/// The elements of a list, whether it is Stripe's list object or a plain array.
fn elements<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let list = value.pointer(pointer);
    let data = list.and_then(|list| list.get("data")).or(list);
    data.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
