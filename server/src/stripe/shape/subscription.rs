//! A subscription, of either shape.

use billing::{
    CustomerId, InvoiceId, Item, Pause, PauseBehavior, Period, PriceId, Status, Subscription, SubscriptionId, Timestamp,
};
use serde_json::Value;

use super::{ShapeError, id_of, text, time, time_if_any, words};

/// A subscription with what only sync needs besides.
#[derive(Clone, Debug)]
pub struct SubscriptionShape {
    /// The subscription, without what our own memory adds.
    pub subscription: Subscription,
    /// `metadata.account_id`, as we named it when we made the subscription.
    pub account: Option<String>,
    /// `metadata.attempt_id`: the checkout attempt that it came from, if it came from one of ours.
    pub attempt: Option<String>,
    /// When the invoice that is open on it was finalized: the start of a delinquency.
    pub open_invoice_since: Option<Timestamp>,
    /// Its latest invoice, if that is open.
    pub open_invoice: Option<InvoiceId>,
    /// The fingerprint of the card that it is charged to, where Stripe was asked to tell it.
    pub card: Option<String>,
    /// Whether it has more items than the answer holds.
    pub has_more_items: bool,
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
    let open_invoice = value.pointer("/latest_invoice").filter(|invoice| text(invoice, "/status") == Some("open"));
    Ok(SubscriptionShape {
        account: text(value, "/metadata/account_id").map(str::to_owned),
        attempt: words(value, "/metadata/attempt_id"),
        open_invoice: open_invoice.and_then(|invoice| words(invoice, "/id")).map(InvoiceId::new),
        open_invoice_since: open_invoice.and_then(|invoice| {
            time(invoice, "/status_transitions/finalized_at").or_else(|| time(invoice, "/created"))
        }),
        card: words(value, "/default_payment_method/card/fingerprint"),
        has_more_items: value.pointer("/items/has_more").and_then(Value::as_bool).unwrap_or(false),
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
            pause: pause(value)?,
            past_due_since: None,
            last_known_tier: None,
        },
    })
}

fn pause(value: &Value) -> Result<Option<Pause>, ShapeError> {
    let missing = |field| ShapeError { object: "subscription", field };
    let Some(pause) = value.pointer("/pause_collection").filter(|pause| !pause.is_null()) else { return Ok(None) };
    Ok(Some(Pause {
        behavior: PauseBehavior::from(
            text(pause, "/behavior").ok_or_else(|| missing("pause_collection.behavior"))?.to_owned(),
        ),
        resumes_at: time_if_any(pause, "/resumes_at").ok_or_else(|| missing("pause_collection.resumes_at"))?,
    }))
}

/// Reads one item of `subscription`, which holds the period in the older shape.
///
/// # Errors
/// A field that access depends on is missing.
pub fn subscription_item(item: &Value, subscription: &Value) -> Result<Item, ShapeError> {
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
