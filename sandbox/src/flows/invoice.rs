//! Invoices: drawn up, finalized, paid or not.
//!
//! Invariant: an invoice that is due has exactly one PaymentIntent and one InvoicePayment, made
//! when it is finalized; an invoice of nothing is paid the moment it is finalized. Finalizing
//! happens at once, unless the sandbox is told to wait an hour as Stripe does
//! (`settings.rs`).

use serde_json::{Value, json};

use crate::clock::DAY;
use crate::error::ApiError;
use crate::fields::{Fields, list_of};
use crate::flows::payment::{self, Presence};
use crate::flows::proration;
use crate::ids;
use crate::objects;
use crate::store::Tx;

/// Days after each failed attempt at which a payment is tried again.
const RETRY_DAYS: [i64; 3] = [3, 5, 7];

/// What an invoice is made from.
pub(crate) struct Bill<'a> {
    pub(crate) customer: &'a Value,
    /// The subscription it is for, if any.
    pub(crate) subscription: Option<&'a Value>,
    pub(crate) reason: &'a str,
    pub(crate) currency: &'a str,
    pub(crate) period: (i64, i64),
    pub(crate) lines: Vec<Value>,
}

/// The invoice of a bill as a draft, not stored: also what a preview shows.
pub(crate) fn draw_up(bill: Bill<'_>, now: i64) -> Value {
    let mut invoice = objects::invoice(bill.customer, bill.currency, bill.reason, bill.period, now);
    let id = invoice.text("id").to_owned();
    let mut lines = bill.lines;
    for line in &mut lines {
        line.set("invoice", id.as_str());
    }
    let total: i64 = lines.iter().map(|line| line.int("amount")).sum();
    // A customer's negative balance is credit; a negative total becomes credit.
    let balance = bill.customer.int("balance");
    let due = (total + balance).max(0);
    invoice.set("lines", list_of(&lines, &format!("/v1/invoices/{id}/lines")));
    for key in ["subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax"] {
        invoice.set(key, total);
    }
    invoice.set("amount_due", due);
    invoice.set("amount_remaining", due);
    invoice.set("starting_balance", balance);
    if let Some(subscription) = bill.subscription {
        invoice.set("default_payment_method", subscription["default_payment_method"].clone());
        if let Some(days) = subscription.some_int("days_until_due") {
            send_later(&mut invoice, days);
        }
        invoice.set(
            "parent",
            json!({
                "quote_details": null,
                "subscription_details": {
                    "metadata": subscription["metadata"],
                    "subscription": subscription["id"],
                },
                "type": "subscription_details",
            }),
        );
    }
    invoice
}

/// Makes an invoice one that is sent, and is due days after it was made.
pub(crate) fn send_later(invoice: &mut Value, days: i64) {
    let due_date = invoice.int("created") + days * DAY;
    invoice.set("collection_method", "send_invoice");
    invoice.set("due_date", due_date);
}

/// Whether an invoice is sent for the customer to pay, rather than charged.
pub(crate) fn is_sent(invoice: &Value) -> bool {
    invoice.text("collection_method") == "send_invoice"
}

/// What a customer is to be billed with the next invoice: of a subscription, and of none.
pub(crate) fn pending_items(tx: &Tx<'_>, customer: &str, subscription: Option<&str>) -> Vec<Value> {
    let items = tx.referring("invoiceitem", customer).filter(|item| item.some("invoice").is_none());
    let belongs = |item: &&Value| match subscription_of(item) {
        None => true,
        owner => owner == subscription,
    };
    items.rev().filter(belongs).cloned().collect()
}

/// The lines of pending items.
pub(crate) fn lines_of(items: &[Value]) -> Vec<Value> {
    items.iter().map(proration::item_line).collect()
}

/// Stores a draft; the items on it are no longer pending.
pub(crate) fn store(tx: &mut Tx<'_>, draft: &Value, items: &[Value]) {
    for item in items {
        tx.quietly(item.text("id"), |item| item.set("invoice", draft["id"].clone()));
    }
    tx.create("invoice.created", draft);
}

/// Stores a draft and finalizes it.
pub(crate) fn issue(tx: &mut Tx<'_>, draft: &Value, items: &[Value]) -> Result<Value, ApiError> {
    store(tx, draft, items);
    finalize(tx, draft.text("id"))
}

/// Finalizes a draft: it gets its number and pages, and is paid at once when nothing is due.
pub(crate) fn finalize(tx: &mut Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let draft = tx.find("invoice", id)?;
    let number = take_number(tx, &draft)?;
    let now = tx.now();
    let base = tx.origin.base.clone();
    let secret = ids::new("");
    let intent = (draft.int("amount_due") > 0).then(|| intent_of(&draft, now));
    tx.quietly(id, |invoice| {
        invoice.set("status", "open");
        invoice.set("number", number);
        invoice.set("effective_at", now);
        invoice.set("automatically_finalizes_at", Value::Null);
        invoice.set("hosted_invoice_url", format!("{base}/i/{id}?s={secret}"));
        invoice.set("invoice_pdf", format!("{base}/i/{id}/pdf?s={secret}"));
        invoice["status_transitions"].set("finalized_at", now);
        invoice.set("_secret", secret.as_str());
        if let Some(intent) = &intent {
            invoice.set("_payment_intent", intent["id"].clone());
        }
    });
    let invoice = tx.find("invoice", id)?;
    tx.emit("invoice.finalized", &invoice, None);
    match intent {
        Some(intent) => {
            tx.create("payment_intent.created", &intent);
            tx.put(objects::invoice_payment(&invoice, &intent, now));
            Ok(invoice)
        }
        None => mark_paid(tx, id, Settlement::Nothing),
    }
}

/// The invoice's number; what it leaves of the customer's balance is booked.
fn take_number(tx: &mut Tx<'_>, draft: &Value) -> Result<String, ApiError> {
    let customer = tx.find("customer", draft.text("customer"))?;
    let id = customer.text("id");
    let sequence = customer.int("next_invoice_sequence");
    let ending = (customer.int("balance") + draft.int("total")).min(0);
    tx.quietly(id, |customer| customer.set("next_invoice_sequence", sequence + 1));
    tx.quietly(draft.text("id"), |invoice| invoice.set("ending_balance", ending));
    tx.change(id, "customer.updated", |customer| {
        customer.set("balance", ending);
        customer.set("currency", draft["currency"].clone());
    })?;
    Ok(format!("{}-{sequence:04}", customer.text("invoice_prefix")))
}

fn intent_of(invoice: &Value, now: i64) -> Value {
    let due = invoice.int("amount_due");
    let mut intent = objects::payment_intent(due, invoice.text("currency"), invoice.some("customer"), now);
    let of_subscription = invoice["parent"].is_object();
    if of_subscription {
        intent.set("setup_future_usage", "off_session");
        let first = invoice.text("billing_reason") == "subscription_create";
        intent.set("description", if first { "Subscription creation" } else { "Subscription update" });
    }
    intent.set("_invoice", invoice["id"].clone());
    intent
}

/// Sends a finalized invoice to the customer.
pub(crate) fn send(tx: &mut Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let invoice = tx.find("invoice", id)?;
    tx.emit("invoice.sent", &invoice, None);
    Ok(invoice)
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfRefused {
    /// Nothing by itself: somebody is there to try again.
    Leave,
    /// Another attempt, on the usual days.
    Retry,
}

/// Attempts to pay an open invoice. An invoice whose card asks for 3-D Secure, or that is paid
/// by a debit which takes its time, stays open and is returned so.
///
/// # Errors
/// A card error when the attempt is declined; the failed attempt and its events stay.
pub(crate) fn pay(
    tx: &mut Tx<'_>,
    id: &str,
    method: &Value,
    presence: Presence,
    if_refused: IfRefused,
) -> Result<Value, ApiError> {
    let invoice = tx.find("invoice", id)?;
    let intent = tx.find("payment_intent", invoice.text("_payment_intent"))?;
    let outcome = payment::confirm(tx, &intent, method, presence);
    let next = match if_refused {
        IfRefused::Leave => invoice.some_int("next_payment_attempt"),
        IfRefused::Retry => next_attempt(&invoice, tx.now()),
    };
    match outcome {
        Ok(intent) if intent.text("status") == "succeeded" => {
            mark_paid(tx, id, Settlement::Charge(intent.text("latest_charge")))
        }
        Ok(intent) if intent.text("status") == "processing" => tx.change(id, "invoice.updated", |invoice| {
            invoice.set("attempted", true);
            invoice.set("attempt_count", invoice.int("attempt_count") + 1);
            invoice.set("next_payment_attempt", Value::Null);
            invoice.set("_debited", true);
        }),
        Ok(_) => attempted(tx, id, true, next),
        Err(error) => {
            attempted(tx, id, error.asks_for_authentication(), next)?;
            Err(error)
        }
    }
}

/// When an invoice is tried again after the attempt that fails now, if it is.
pub(crate) fn next_attempt(invoice: &Value, now: i64) -> Option<i64> {
    let index = usize::try_from(invoice.int("attempt_count")).ok()?;
    RETRY_DAYS.get(index).map(|days| now + days * DAY)
}

/// Whether the last of the retries has failed.
pub(crate) fn is_exhausted(invoice: &Value) -> bool {
    let tries = usize::try_from(invoice.int("attempt_count")).unwrap_or(0);
    tries > RETRY_DAYS.len() && invoice.some_int("next_payment_attempt").is_none()
}

/// Notes a failed attempt, and when the next one is.
pub(crate) fn attempted(tx: &mut Tx<'_>, id: &str, needs_action: bool, next: Option<i64>) -> Result<Value, ApiError> {
    let told: &[&str] = match needs_action {
        true => &["invoice.updated", "invoice.payment_action_required", "invoice.payment_failed"],
        false => &["invoice.updated", "invoice.payment_failed"],
    };
    tx.tell(id, told, |invoice| {
        invoice.set("attempted", true);
        if !invoice.flag("_debited") {
            invoice.set("attempt_count", invoice.int("attempt_count") + 1);
        }
        invoice.set("_debited", false);
        invoice.set("next_payment_attempt", next);
    })
}

/// Notes whether a customer owes something.
pub(crate) fn set_delinquent(tx: &mut Tx<'_>, customer: &str, delinquent: bool) -> Result<(), ApiError> {
    if tx.lookup("customer", customer).is_some_and(|customer| !customer.flag("deleted")) {
        tx.change(customer, "customer.updated", |customer| customer.set("delinquent", delinquent))?;
    }
    Ok(())
}

/// How an invoice came to be paid.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Settlement<'a> {
    /// Nothing was due.
    Nothing,
    /// By a charge.
    Charge(&'a str),
    /// Outside of Stripe.
    OutOfBand,
}

/// Marks an invoice as paid.
pub(crate) fn mark_paid(tx: &mut Tx<'_>, id: &str, settlement: Settlement<'_>) -> Result<Value, ApiError> {
    let now = tx.now();
    let charge = match settlement {
        Settlement::Charge(charge) => Some(charge),
        Settlement::Nothing | Settlement::OutOfBand => None,
    };
    let told: &[&str] = match settlement {
        Settlement::Nothing => &["invoice.paid", "invoice.payment_succeeded"],
        _ => &["invoice.updated", "invoice.paid", "invoice.payment_succeeded"],
    };
    let paid = tx.tell(id, told, |invoice| {
        let due = invoice.int("amount_due");
        // A debit was counted when it began.
        if charge.is_some() && !invoice.flag("_debited") {
            invoice.set("attempt_count", invoice.int("attempt_count") + 1);
        }
        invoice.set("status", "paid");
        invoice.set("attempted", true);
        invoice.set("amount_paid", due);
        invoice.set("amount_remaining", 0);
        invoice.set("next_payment_attempt", Value::Null);
        invoice["status_transitions"].set("paid_at", now);
        invoice.set("_charge", charge);
        invoice.set("_out_of_band", matches!(settlement, Settlement::OutOfBand));
    })?;
    if let Settlement::OutOfBand = settlement {
        cancel_intent(tx, &paid)?;
    }
    settle_payments(tx, &paid, charge.is_some())?;
    set_delinquent(tx, paid.text("customer"), false)?;
    Ok(paid)
}

/// Ends what was open to pay an invoice with.
fn settle_payments(tx: &mut Tx<'_>, invoice: &Value, paid: bool) -> Result<(), ApiError> {
    let now = tx.now();
    for id in tx.ids_referring("invoice_payment", invoice.text("id")) {
        if paid {
            tx.change(&id, "invoice_payment.paid", |payment| {
                payment.set("status", "paid");
                payment.set("amount_paid", invoice["amount_due"].clone());
                payment["status_transitions"].set("paid_at", now);
            })?;
        } else {
            tx.quietly(&id, |payment| {
                payment.set("status", "canceled");
                payment["status_transitions"].set("canceled_at", now);
            });
        }
    }
    Ok(())
}

fn cancel_intent(tx: &mut Tx<'_>, invoice: &Value) -> Result<(), ApiError> {
    let now = tx.now();
    let intent = invoice.text("_payment_intent");
    if tx.get(intent).is_some_and(|intent| intent.text("status") != "canceled") {
        tx.change(intent, "payment_intent.canceled", |intent| {
            intent.set("status", "canceled");
            intent.set("canceled_at", now);
            intent.set("cancellation_reason", "void_invoice");
            intent.set("next_action", Value::Null);
        })?;
    }
    Ok(())
}

/// Gives an open invoice up: it is as if it had never been.
pub(crate) fn void(tx: &mut Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let now = tx.now();
    let invoice = tx.tell(id, &["invoice.updated", "invoice.voided"], |invoice| {
        invoice.set("status", "void");
        invoice.set("next_payment_attempt", Value::Null);
        invoice["status_transitions"].set("voided_at", now);
    })?;
    cancel_intent(tx, &invoice)?;
    settle_payments(tx, &invoice, false)?;
    Ok(invoice)
}

/// Stops expecting an open invoice to be paid.
pub(crate) fn mark_uncollectible(tx: &mut Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let now = tx.now();
    let invoice = tx.tell(id, &["invoice.updated", "invoice.marked_uncollectible"], |invoice| {
        invoice.set("status", "uncollectible");
        invoice.set("next_payment_attempt", Value::Null);
        invoice["status_transitions"].set("marked_uncollectible_at", now);
    })?;
    set_delinquent(tx, invoice.text("customer"), false)?;
    Ok(invoice)
}

/// Stops collecting what is open of a subscription by itself.
pub(crate) fn stop_collecting(tx: &mut Tx<'_>, subscription: &str) -> Result<(), ApiError> {
    for id in tx.ids_referring("invoice", subscription) {
        let open = tx.get(&id).is_some_and(|invoice| matches!(invoice.text("status"), "open" | "draft"));
        if open {
            tx.change(&id, "invoice.updated", |invoice| {
                invoice.set("auto_advance", false);
                invoice.set("automatically_finalizes_at", Value::Null);
                invoice.set("next_payment_attempt", Value::Null);
            })?;
        }
    }
    Ok(())
}

/// The id of the subscription that an invoice or an item is for.
pub(crate) fn subscription_of(invoice: &Value) -> Option<&str> {
    invoice["parent"]["subscription_details"].some("subscription")
}
