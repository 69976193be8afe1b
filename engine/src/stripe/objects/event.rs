//! An event's envelope.

use billing::{EventId, Timestamp};
use serde_json::Value;

use super::read::{ObjectError, text, time};
use crate::settings::StripeMode;

/// A webhook event's envelope.
#[derive(Clone, Debug)]
pub struct Event {
    /// `evt_…`.
    pub id: EventId,
    /// The type, such as `invoice.paid`.
    pub kind: String,
    /// The API version of its object.
    pub api_version: Option<String>,
    /// When it happened, by Stripe's clock.
    pub created: Timestamp,
    /// The mode it happened in; `None` if the event does not contain it.
    pub mode: Option<StripeMode>,
    /// `data.object`.
    pub object: Value,
}

/// Reads an event's envelope. The id, type, creation time and object are required.
pub fn event(value: &Value) -> Result<Event, ObjectError> {
    let missing = |field| ObjectError { object: "event", field };
    Ok(Event {
        id: EventId::new(text(value, "/id").ok_or_else(|| missing("id"))?),
        kind: text(value, "/type").ok_or_else(|| missing("type"))?.to_owned(),
        api_version: text(value, "/api_version").map(str::to_owned),
        created: time(value, "/created").ok_or_else(|| missing("created"))?,
        mode: value.pointer("/livemode").and_then(Value::as_bool).map(StripeMode::of_object),
        object: value
            .pointer("/data/object")
            .filter(|object| object.is_object())
            .ok_or_else(|| missing("data.object"))?
            .clone(),
    })
}
