//! An invoice, of either shape.

use billing::ledger::{Invoice, InvoiceStatus};
use billing::{CustomerId, InvoiceId, PaymentIntentId, SubscriptionId};
use serde_json::Value;

use super::{Named, ShapeError, elements, id_of, money, number, text, time, time_if_any, words};

/// Reads an invoice of either shape, with whose it is by our own word.
///
/// # Errors
/// No id, customer, status, amount or time.
pub fn invoice(value: &Value) -> Result<Named<Invoice>, ShapeError> {
    let missing = |field| ShapeError { object: "invoice", field };
    let amount = |pointer, field| number(value, pointer).ok_or_else(|| missing(field));
    let account = [
        "/parent/subscription_details/metadata/account_id",
        "/subscription_details/metadata/account_id",
        "/metadata/account_id",
    ];
    let object = Invoice {
        id: InvoiceId::new(text(value, "/id").ok_or_else(|| missing("id"))?),
        customer: CustomerId::new(id_of(value, "/customer").ok_or_else(|| missing("customer"))?),
        subscription: invoice_subscription(value),
        number: words(value, "/number"),
        status: InvoiceStatus::from(text(value, "/status").ok_or_else(|| missing("status"))?.to_owned()),
        reason: words(value, "/billing_reason"),
        total: money(value, "/total").ok_or_else(|| missing("total"))?,
        amount_due: amount("/amount_due", "amount_due")?,
        amount_paid: amount("/amount_paid", "amount_paid")?,
        amount_remaining: amount("/amount_remaining", "amount_remaining")?,
        created: time(value, "/created").ok_or_else(|| missing("created"))?,
        finalized_at: time_if_any(value, "/status_transitions/finalized_at").ok_or_else(|| missing("finalized_at"))?,
        due_date: time_if_any(value, "/due_date").ok_or_else(|| missing("due_date"))?,
        paid_at: time_if_any(value, "/status_transitions/paid_at").ok_or_else(|| missing("paid_at"))?,
        next_payment_attempt: time_if_any(value, "/next_payment_attempt")
            .ok_or_else(|| missing("next_payment_attempt"))?,
        attempt_count: number(value, "/attempt_count").unwrap_or_default(),
        payments: payments(value),
    };
    Ok(Named { object, account: account.iter().find_map(|pointer| words(value, pointer)) })
}

/// The subscription that an invoice is for, in either shape; `None` for an invoice of none.
pub fn invoice_subscription(invoice: &Value) -> Option<SubscriptionId> {
    id_of(invoice, "/parent/subscription_details/subscription")
        .or_else(|| id_of(invoice, "/subscription"))
        .map(SubscriptionId::new)
}

/// The PaymentIntents that an invoice is or was to be paid with. Since basil an invoice has a list
/// of payments, before it had one PaymentIntent.
fn payments(invoice: &Value) -> Vec<PaymentIntentId> {
    let listed = elements(invoice, "/payments").iter().filter_map(|payment| id_of(payment, "/payment/payment_intent"));
    let mut all: Vec<PaymentIntentId> =
        listed.chain(id_of(invoice, "/payment_intent")).map(PaymentIntentId::new).collect();
    all.sort();
    all.dedup();
    all
}
