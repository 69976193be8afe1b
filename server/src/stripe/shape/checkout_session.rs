//! A Checkout Session.

use billing::ledger::{LineItem, Purchase};
use billing::{CheckoutSessionId, CustomerId, PaymentIntentId, PriceId, SubscriptionId};
use serde_json::Value;

use super::{ShapeError, elements, id_of, money, number, text, time, words};

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
    /// What was bought, once a session for something that is bought once is complete.
    pub purchase: Option<Purchase>,
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

/// Reads a Checkout Session.
///
/// # Errors
/// No id, or a status that is none of Stripe's three; of one that sold something, no amount.
pub fn checkout_session(value: &Value) -> Result<CheckoutSession, ShapeError> {
    let missing = |field| ShapeError { object: "checkout.session", field };
    let status = match text(value, "/status") {
        Some("open") => SessionStatus::Open,
        Some("complete") => SessionStatus::Complete,
        Some("expired") => SessionStatus::Expired,
        _ => return Err(missing("status")),
    };
    let id = CheckoutSessionId::new(text(value, "/id").ok_or_else(|| missing("id"))?);
    let is_purchase = status == SessionStatus::Complete && text(value, "/mode") == Some("payment");
    let purchase = is_purchase.then(|| purchase(value, &id)).transpose()?;
    Ok(CheckoutSession {
        id,
        status,
        paid: is_paid(value),
        url: text(value, "/url").map(str::to_owned),
        customer: id_of(value, "/customer").map(CustomerId::new),
        subscription: id_of(value, "/subscription").map(SubscriptionId::new),
        account: text(value, "/client_reference_id").or_else(|| text(value, "/metadata/account_id")).map(str::to_owned),
        purchase,
    })
}

fn is_paid(session: &Value) -> bool {
    text(session, "/payment_status").is_some_and(|status| status != "unpaid")
}

fn purchase(value: &Value, id: &CheckoutSessionId) -> Result<Purchase, ShapeError> {
    let missing = |field| ShapeError { object: "checkout.session", field };
    Ok(Purchase {
        session: id.clone(),
        payment: id_of(value, "/payment_intent").map(PaymentIntentId::new),
        is_paid: is_paid(value),
        total: money(value, "/amount_total").ok_or_else(|| missing("amount_total"))?,
        items: elements(value, "/line_items").iter().map(|item| line_item(item, value)).collect(),
        created: time(value, "/created").ok_or_else(|| missing("created"))?,
    })
}

/// One line. Which product it is and what that grants is for the catalogue to say; where a
/// session has one line, the name that we gave the session stands in for a price that nobody knows.
fn line_item(item: &Value, session: &Value) -> LineItem {
    let is_only = elements(session, "/line_items").len() == 1;
    LineItem {
        description: words(item, "/description").unwrap_or_default(),
        price: id_of(item, "/price").map(PriceId::new),
        lookup_key: words(item, "/price/lookup_key"),
        quantity: item.pointer("/quantity").and_then(Value::as_u64).unwrap_or(1),
        amount: number(item, "/amount_total").unwrap_or_default(),
        product: is_only.then(|| words(session, "/metadata/product")).flatten(),
        grants: None,
    }
}
