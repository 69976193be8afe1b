//! An invoice, in either API shape.

use billing::ledger::{Invoice, InvoiceStatus};
use billing::{CustomerId, InvoiceId, PaymentIntentId, PriceId, SubscriptionId, Timestamp};
use serde_json::Value;

use super::read::{Named, ObjectError, elements, id_of, money, non_empty, number, optional_time, text, time};

/// Reads an invoice, with the account in its metadata.
pub fn invoice(value: &Value) -> Result<Named<Invoice>, ObjectError> {
    let missing = |field| ObjectError { object: "invoice", field };
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
        number: non_empty(value, "/number"),
        status: InvoiceStatus::from(text(value, "/status").ok_or_else(|| missing("status"))?.to_owned()),
        reason: non_empty(value, "/billing_reason"),
        total: money(value, "/total").ok_or_else(|| missing("total"))?,
        amount_due: amount("/amount_due", "amount_due")?,
        amount_paid: amount("/amount_paid", "amount_paid")?,
        amount_remaining: amount("/amount_remaining", "amount_remaining")?,
        credited_before_payment: amount("/pre_payment_credit_notes_amount", "pre_payment_credit_notes_amount")?,
        credited_after_payment: amount("/post_payment_credit_notes_amount", "post_payment_credit_notes_amount")?,
        period_end: elements(value, "/lines").iter().filter_map(|line| time(line, "/period/end")).max(),
        created: time(value, "/created").ok_or_else(|| missing("created"))?,
        finalized_at: optional_time(value, "/status_transitions/finalized_at")
            .ok_or_else(|| missing("finalized_at"))?,
        due_date: optional_time(value, "/due_date").ok_or_else(|| missing("due_date"))?,
        paid_at: optional_time(value, "/status_transitions/paid_at").ok_or_else(|| missing("paid_at"))?,
        next_payment_attempt: optional_time(value, "/next_payment_attempt")
            .ok_or_else(|| missing("next_payment_attempt"))?,
        attempt_count: number(value, "/attempt_count").unwrap_or_default(),
        payments: payments(value),
    };
    let account = account.iter().find_map(|pointer| non_empty(value, pointer));
    Ok(Named { object, account, method: None })
}

/// Returns the subscription that an invoice is for.
pub fn invoice_subscription(invoice: &Value) -> Option<SubscriptionId> {
    id_of(invoice, "/parent/subscription_details/subscription")
        .or_else(|| id_of(invoice, "/subscription"))
        .map(SubscriptionId::new)
}

/// Returns the PaymentIntents of an invoice: a list since basil, one before.
fn payments(invoice: &Value) -> Vec<PaymentIntentId> {
    let listed = elements(invoice, "/payments").iter().filter_map(|payment| id_of(payment, "/payment/payment_intent"));
    let mut all: Vec<PaymentIntentId> =
        listed.chain(id_of(invoice, "/payment_intent")).map(PaymentIntentId::new).collect();
    all.sort();
    all.dedup();
    all
}

/// A line of an invoice that was paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaidLine {
    /// The price that was charged.
    pub price: PriceId,
    /// The lookup key of the price; unknown in the newer shape, which has only its id.
    pub lookup_key: Option<String>,
    /// The end of the period it is for.
    pub until: Timestamp,
}

/// Reads the lines of an invoice, without credits.
pub fn paid_lines(invoice: &Value) -> Vec<PaidLine> {
    let read = |line: &Value| {
        let is_credit = number(line, "/amount")? < 0;
        let price = id_of(line, "/pricing/price_details/price").or_else(|| id_of(line, "/price"))?;
        (!is_credit).then_some(PaidLine {
            price: PriceId::new(price),
            lookup_key: non_empty(line, "/price/lookup_key"),
            until: time(line, "/period/end")?,
        })
    };
    elements(invoice, "/lines").iter().filter_map(read).collect()
}
