//! Reading Stripe's objects leniently, in both API shapes.
//!
//! Before `2025-03-31.basil` a subscription's period and an invoice's subscription
//! stood at the top of the object; since then they are in the items and under
//! `parent` (Stripe's changelog for basil). Unknown fields never matter. A field
//! that is needed and cannot be found is an error, never a guess: a wrong date in
//! the database would open or close somebody's access (`tests/rules/shape.rs`).

use billing::{
    CheckoutSessionId, CustomerId, EventId, Item, Period, PriceId, Status, Subscription, SubscriptionId, Timestamp,
};
use serde_json::Value;

/// A field that is needed and is not there, or is of the wrong type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{object}: no usable `{field}`")]
pub struct ShapeError {
    /// Stripe's name of the object.
    pub object: &'static str,
    /// Where the field was looked for.
    pub field: &'static str,
}

/// A webhook event's envelope.
#[derive(Clone, Debug)]
pub struct Event {
    /// `evt_…`.
    pub id: EventId,
    /// Such as `invoice.paid`.
    pub kind: String,
    /// The version its object is rendered in.
    pub api_version: Option<String>,
    /// When it happened, by Stripe's clock.
    pub created: Timestamp,
    /// `data.object`.
    pub object: Value,
}

/// A Checkout Session, reduced to what decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckoutSession {
    /// `cs_…`.
    pub id: CheckoutSessionId,
    /// `open`, `complete` or `expired`.
    pub status: SessionStatus,
    /// Whether nothing is owed: Stripe's `payment_status` is not `unpaid`.
    pub paid: bool,
    /// Where to pay, while it is open.
    pub url: Option<String>,
    /// Whose it is.
    pub customer: Option<CustomerId>,
    /// What it led to.
    pub subscription: Option<SubscriptionId>,
    /// Our account, as we named it when we made the session.
    pub account: Option<String>,
}

/// Stripe's `status` of a Checkout Session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionStatus {
    /// To be paid.
    Open,
    /// Gone through.
    Complete,
    /// Too late.
    Expired,
}

/// A subscription with what only sync needs besides.
#[derive(Clone, Debug)]
pub struct SubscriptionShape {
    /// The subscription, without what our own memory adds.
    pub subscription: Subscription,
    /// `metadata.account_id`, as we named it when we made the subscription.
    pub account: Option<String>,
    /// When the invoice that is open on it was finalized: the start of a delinquency.
    pub open_invoice_since: Option<Timestamp>,
}

/// Reads an event's envelope.
///
/// # Errors
/// No id, type, creation time or object.
pub fn event(value: &Value) -> Result<Event, ShapeError> {
    let missing = |field| ShapeError { object: "event", field };
    Ok(Event {
        id: EventId::new(text(value, "/id").ok_or_else(|| missing("id"))?),
        kind: text(value, "/type").ok_or_else(|| missing("type"))?.to_owned(),
        api_version: text(value, "/api_version").map(str::to_owned),
        created: time(value, "/created").ok_or_else(|| missing("created"))?,
        object: value
            .pointer("/data/object")
            .filter(|object| object.is_object())
            .ok_or_else(|| missing("data.object"))?
            .clone(),
    })
}

/// Reads a subscription of either shape.
///
/// # Errors
/// A field that access depends on is missing.
pub fn subscription(value: &Value) -> Result<SubscriptionShape, ShapeError> {
    let missing = |field| ShapeError { object: "subscription", field };
    let created = time(value, "/created").ok_or_else(|| missing("created"))?;
    let items = value.pointer("/items/data").and_then(Value::as_array).ok_or_else(|| missing("items.data"))?;
    let items: Vec<Item> = items.iter().map(|item| subscription_item(item, value)).collect::<Result<_, _>>()?;
    if items.is_empty() {
        return Err(missing("items.data[0]"));
    }
    let latest_invoice = value.pointer("/latest_invoice").filter(|invoice| invoice.is_object());
    Ok(SubscriptionShape {
        account: text(value, "/metadata/account_id").map(str::to_owned),
        open_invoice_since: latest_invoice.filter(|invoice| text(invoice, "/status") == Some("open")).and_then(
            |invoice| time(invoice, "/status_transitions/finalized_at").or_else(|| time(invoice, "/created")),
        ),
        subscription: Subscription {
            id: SubscriptionId::new(text(value, "/id").ok_or_else(|| missing("id"))?),
            customer: CustomerId::new(id_of(value, "/customer").ok_or_else(|| missing("customer"))?),
            status: Status::from(text(value, "/status").ok_or_else(|| missing("status"))?.to_owned()),
            items,
            created,
            billing_cycle_anchor: time(value, "/billing_cycle_anchor")
                .ok_or_else(|| missing("billing_cycle_anchor"))?,
            cancel_at_period_end: value.pointer("/cancel_at_period_end").and_then(Value::as_bool).unwrap_or(false),
            cancel_at: time_if_any(value, "/cancel_at").ok_or_else(|| missing("cancel_at"))?,
            ended_at: time_if_any(value, "/ended_at").ok_or_else(|| missing("ended_at"))?,
            trial_end: time_if_any(value, "/trial_end").ok_or_else(|| missing("trial_end"))?,
            past_due_since: None,
            last_known_tier: None,
        },
    })
}

fn subscription_item(item: &Value, subscription: &Value) -> Result<Item, ShapeError> {
    let missing = |field| ShapeError { object: "subscription item", field };
    let period = |name: &str| time(item, name).or_else(|| time(subscription, name));
    let start = period("/current_period_start").ok_or_else(|| missing("current_period_start"))?;
    let end = period("/current_period_end").ok_or_else(|| missing("current_period_end"))?;
    Ok(Item {
        id: text(item, "/id").ok_or_else(|| missing("id"))?.to_owned(),
        price: PriceId::new(id_of(item, "/price").ok_or_else(|| missing("price"))?),
        lookup_key: text(item, "/price/lookup_key").map(str::to_owned),
        quantity: item.pointer("/quantity").and_then(Value::as_u64).unwrap_or(1),
        period: Period { start, end },
    })
}

/// Reads a Checkout Session.
///
/// # Errors
/// No id, or a status that is none of Stripe's three.
pub fn checkout_session(value: &Value) -> Result<CheckoutSession, ShapeError> {
    let missing = |field| ShapeError { object: "checkout.session", field };
    let status = match text(value, "/status") {
        Some("open") => SessionStatus::Open,
        Some("complete") => SessionStatus::Complete,
        Some("expired") => SessionStatus::Expired,
        _ => return Err(missing("status")),
    };
    Ok(CheckoutSession {
        id: CheckoutSessionId::new(text(value, "/id").ok_or_else(|| missing("id"))?),
        status,
        paid: text(value, "/payment_status").is_some_and(|status| status != "unpaid"),
        url: text(value, "/url").map(str::to_owned),
        customer: id_of(value, "/customer").map(CustomerId::new),
        subscription: id_of(value, "/subscription").map(SubscriptionId::new),
        account: text(value, "/client_reference_id").or_else(|| text(value, "/metadata/account_id")).map(str::to_owned),
    })
}

/// The subscription that an invoice is for, in either shape; `None` for an invoice of none.
pub fn invoice_subscription(invoice: &Value) -> Option<SubscriptionId> {
    id_of(invoice, "/parent/subscription_details/subscription")
        .or_else(|| id_of(invoice, "/subscription"))
        .map(SubscriptionId::new)
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

fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    value.pointer(pointer).and_then(Value::as_i64).map(Timestamp)
}

/// `Some(None)` where Stripe says that there is no such time; `None` for what is no time at all.
fn time_if_any(value: &Value, pointer: &str) -> Option<Option<Timestamp>> {
    match value.pointer(pointer) {
        None | Some(Value::Null) => Some(None),
        Some(_) => time(value, pointer).map(Some),
    }
}
