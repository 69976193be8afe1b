//! A subscription, in either API shape.

use billing::{
    CustomerId, InvoiceId, Item, Pause, PauseBehavior, PauseReason, Period, PriceId, Status, Subscription,
    SubscriptionId, Timestamp,
};
use serde_json::Value;

use super::invoice::PaidLine;
use super::payer::{PayerIdentity, payer_identities};
use super::read::{ObjectError, flag, id_of, non_empty, optional_time, text, time};

/// A subscription, with fields that only sync needs.
#[derive(Clone, Debug)]
pub struct SubscriptionObject {
    /// The subscription, without the fields that only we keep.
    pub subscription: Subscription,
    /// `metadata.account_id`, set when the subscription was created by our Checkout.
    pub account: Option<String>,
    /// `metadata.attempt_id`: the Checkout attempt that created it.
    pub attempt: Option<String>,
    /// When its open invoice was finalized, which is when it became past due.
    pub open_invoice_since: Option<Timestamp>,
    /// Its open invoices, oldest first, while a payment is missing; otherwise its latest invoice, if that
    /// is open.
    pub open_invoices: Vec<InvoiceId>,
    /// Its latest invoice.
    pub latest_invoice: Option<InvoiceId>,
    /// The lines of the last paid invoices, newest first, while a payment is missing.
    pub paid: Vec<Vec<PaidLine>>,
    /// Its own payment method, which is charged rather than the customer's.
    pub method: Option<String>,
    /// Whether its invoices are sent to the customer, and never charged.
    pub is_sent: bool,
    /// The identity of the person who pays, if the payment method was expanded.
    pub payer: Vec<PayerIdentity>,
    /// Whether it has more items than this object lists.
    pub has_more_items: bool,
}

/// Reads a subscription.
pub fn subscription(value: &Value) -> Result<SubscriptionObject, ObjectError> {
    let missing = |field| ObjectError { object: "subscription", field };
    let created = time(value, "/created").ok_or_else(|| missing("created"))?;
    let items = value.pointer("/items/data").and_then(Value::as_array).ok_or_else(|| missing("items.data"))?;
    let items: Vec<Item> = items.iter().map(|item| subscription_item(item, value)).collect::<Result<_, _>>()?;
    let status = Status::from(text(value, "/status").ok_or_else(|| missing("status"))?.to_owned());
    // An ended one sells nothing, and Stripe may have removed its items.
    if items.is_empty() && !status.has_ended() {
        return Err(missing("items.data[0]"));
    }
    let open_invoice = value.pointer("/latest_invoice").filter(|invoice| text(invoice, "/status") == Some("open"));
    Ok(SubscriptionObject {
        account: text(value, "/metadata/account_id").map(str::to_owned),
        attempt: non_empty(value, "/metadata/attempt_id"),
        open_invoices: open_invoice
            .and_then(|invoice| non_empty(invoice, "/id"))
            .map(InvoiceId::new)
            .into_iter()
            .collect(),
        latest_invoice: id_of(value, "/latest_invoice").map(InvoiceId::new),
        paid: Vec::new(),
        method: id_of(value, "/default_payment_method"),
        is_sent: text(value, "/collection_method") == Some("send_invoice"),
        open_invoice_since: open_invoice.and_then(|invoice| {
            time(invoice, "/status_transitions/finalized_at").or_else(|| time(invoice, "/created"))
        }),
        payer: value.get("default_payment_method").map(payer_identities).unwrap_or_default(),
        has_more_items: flag(value, "/items/has_more"),
        subscription: Subscription {
            id: SubscriptionId::new(text(value, "/id").ok_or_else(|| missing("id"))?),
            customer: CustomerId::new(id_of(value, "/customer").ok_or_else(|| missing("customer"))?),
            status,
            items,
            created,
            billing_cycle_anchor: time(value, "/billing_cycle_anchor")
                .ok_or_else(|| missing("billing_cycle_anchor"))?,
            cancel_at_period_end: flag(value, "/cancel_at_period_end"),
            cancel_at: optional_time(value, "/cancel_at").ok_or_else(|| missing("cancel_at"))?,
            ended_at: optional_time(value, "/ended_at").ok_or_else(|| missing("ended_at"))?,
            trial_end: optional_time(value, "/trial_end").ok_or_else(|| missing("trial_end"))?,
            pause: pause(value)?,
            paused: non_empty(value, "/status_details/paused/subscription/type").map(PauseReason::from),
            paid: None,
            reversals: Vec::new(),
            past_due_since: None,
            last_known_tier: None,
        },
    })
}

fn pause(value: &Value) -> Result<Option<Pause>, ObjectError> {
    let missing = |field| ObjectError { object: "subscription", field };
    let Some(pause) = value.pointer("/pause_collection").filter(|pause| !pause.is_null()) else { return Ok(None) };
    Ok(Some(Pause {
        behavior: PauseBehavior::from(
            text(pause, "/behavior").ok_or_else(|| missing("pause_collection.behavior"))?.to_owned(),
        ),
        resumes_at: optional_time(pause, "/resumes_at").ok_or_else(|| missing("pause_collection.resumes_at"))?,
    }))
}

/// Reads an item of `subscription`, which holds the period in the older shape.
pub fn subscription_item(item: &Value, subscription: &Value) -> Result<Item, ObjectError> {
    let missing = |field| ObjectError { object: "subscription item", field };
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
