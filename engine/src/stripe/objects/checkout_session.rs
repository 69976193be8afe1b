//! A Checkout Session.

use billing::ledger::{LineItem, Purchase};
use billing::{CheckoutSessionId, CustomerId, PaymentIntentId, PriceId, SubscriptionId};
use serde_json::Value;

use super::read::{ObjectError, elements, id_of, money, non_empty, number, text, time};

/// The fields of a Checkout Session that rules depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckoutSession {
    /// `cs_…`.
    pub id: CheckoutSessionId,
    /// `open`, `complete` or `expired`.
    pub status: SessionStatus,
    /// Whether Stripe's `payment_status` is other than `unpaid`.
    pub is_paid: bool,
    /// The hosted page, while the session is open.
    pub url: Option<String>,
    /// The customer who pays.
    pub customer: Option<CustomerId>,
    /// The subscription it created.
    pub subscription: Option<SubscriptionId>,
    /// The attempt of ours that it was created for; `None` for any other session, such as that of a Payment
    /// Link.
    pub attempt: Option<String>,
    /// The account it was created for, if it belongs to an attempt of ours. `client_reference_id` proves
    /// nothing: any visitor of a Payment Link can set it.
    pub account: Option<String>,
    /// The purchase, for a complete session in `payment` mode.
    pub purchase: Option<Purchase>,
}

/// Stripe's `status` of a Checkout Session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionStatus {
    /// Waiting for the customer.
    Open,
    /// Completed by the customer.
    Complete,
    /// Can no longer be completed.
    Expired,
}

/// Reads a Checkout Session. A status other than these three is an error.
pub fn checkout_session(value: &Value) -> Result<CheckoutSession, ObjectError> {
    let missing = |field| ObjectError { object: "checkout.session", field };
    let status = match text(value, "/status") {
        Some("open") => SessionStatus::Open,
        Some("complete") => SessionStatus::Complete,
        Some("expired") => SessionStatus::Expired,
        _ => return Err(missing("status")),
    };
    let id = CheckoutSessionId::new(text(value, "/id").ok_or_else(|| missing("id"))?);
    let is_purchase = status == SessionStatus::Complete && text(value, "/mode") == Some("payment");
    let purchase = is_purchase.then(|| purchase(value, &id)).transpose()?;
    let attempt = non_empty(value, "/metadata/attempt_id");
    Ok(CheckoutSession {
        id,
        status,
        is_paid: is_paid(value),
        url: text(value, "/url").map(str::to_owned),
        customer: id_of(value, "/customer").map(CustomerId::new),
        subscription: id_of(value, "/subscription").map(SubscriptionId::new),
        account: attempt.as_ref().and_then(|_| non_empty(value, "/metadata/account_id")),
        attempt,
        purchase,
    })
}

fn is_paid(session: &Value) -> bool {
    text(session, "/payment_status").is_some_and(|status| status != "unpaid")
}

fn purchase(value: &Value, id: &CheckoutSessionId) -> Result<Purchase, ObjectError> {
    let missing = |field| ObjectError { object: "checkout.session", field };
    Ok(Purchase {
        session: id.clone(),
        payment: id_of(value, "/payment_intent").map(PaymentIntentId::new),
        is_paid: is_paid(value),
        total: money(value, "/amount_total").ok_or_else(|| missing("amount_total"))?,
        items: elements(value, "/line_items").iter().map(|item| line_item(item, value)).collect(),
        created: time(value, "/created").ok_or_else(|| missing("created"))?,
    })
}

/// Reads a line item. The catalog identifies its product; if the catalog no longer knows the price
/// and the session has a single line, the product key in the session's metadata does.
fn line_item(item: &Value, session: &Value) -> LineItem {
    let is_only = elements(session, "/line_items").len() == 1;
    LineItem {
        description: non_empty(item, "/description").unwrap_or_default(),
        price: id_of(item, "/price").map(PriceId::new),
        lookup_key: non_empty(item, "/price/lookup_key"),
        quantity: item.pointer("/quantity").and_then(Value::as_u64).unwrap_or(1),
        amount: number(item, "/amount_total").unwrap_or_default(),
        product: is_only.then(|| non_empty(session, "/metadata/product")).flatten(),
        grants: None,
    }
}
