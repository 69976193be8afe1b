//! Invoices: drafting, finalizing and paying.
//!
//! Invariant: an invoice with an amount due has exactly one PaymentIntent and one InvoicePayment, which
//! are created when it is finalized. An invoice of zero is paid when it is finalized. Renewal invoices
//! are finalized immediately, unless the settings leave them drafts for a while (`settings.rs`).

use serde_json::{Value, json};

use crate::clock::DAY;
use crate::error::ApiError;
use crate::fields::{Fields, list_of};
use crate::flows::payment::{self, Presence};
use crate::flows::proration;
use crate::ids;
use crate::objects::{self, Customer, IntentStatus, PaymentIntent, Subscription};
use crate::store::Tx;

/// Days from each failed attempt to the next one.
const RETRY_DAYS: [i64; 3] = [3, 5, 7];

/// The contents of an invoice.
pub(crate) struct Bill<'a> {
    pub(crate) customer: &'a Customer,
    /// The subscription that is billed, if any.
    pub(crate) subscription: Option<&'a Subscription>,
    pub(crate) reason: &'a str,
    pub(crate) currency: &'a str,
    pub(crate) period: (i64, i64),
    pub(crate) lines: Vec<Value>,
}

/// Returns a draft invoice, without storing it.
pub(crate) fn draft(bill: Bill<'_>, now: i64) -> Value {
    let mut invoice = objects::invoice(bill.customer, bill.currency, bill.reason, bill.period, now);
    let id = invoice.text("id").to_owned();
    let mut lines = bill.lines;
    for line in &mut lines {
        line.set("invoice", id.as_str());
    }
    let total: i64 = lines.iter().map(|line| line.int("amount")).sum();
    // A negative balance is the customer's credit; a negative total becomes credit.
    let balance = bill.customer.balance;
    let due = (total + balance).max(0);
    invoice.set("lines", list_of(&lines, &format!("/v1/invoices/{id}/lines")));
    for key in ["subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax"] {
        invoice.set(key, total);
    }
    invoice.set("amount_due", due);
    invoice.set("amount_remaining", due);
    invoice.set("starting_balance", balance);
    if let Some(subscription) = bill.subscription {
        invoice.set("default_payment_method", subscription.default_payment_method.as_deref());
        if let Some(days) = subscription.days_until_due {
            send_later(&mut invoice, days);
        }
        invoice.set(
            "parent",
            json!({
                "quote_details": null,
                "subscription_details": {
                    "metadata": subscription.metadata,
                    "subscription": subscription.id,
                },
                "type": "subscription_details",
            }),
        );
    }
    invoice
}

/// Makes an invoice one that is sent, and due some days after it was created.
pub(crate) fn send_later(invoice: &mut Value, days: i64) {
    let due_date = invoice.int("created") + days * DAY;
    invoice.set("collection_method", "send_invoice");
    invoice.set("due_date", due_date);
}

/// Whether an invoice is sent to the customer rather than charged.
pub(crate) fn is_sent(invoice: &Value) -> bool {
    invoice.text("collection_method") == "send_invoice"
}

/// Returns a customer's pending items: those of the given subscription, and those of none.
pub(crate) fn pending_items(tx: &Tx<'_>, customer: &str, subscription: Option<&str>) -> Vec<Value> {
    let items = tx.referring("invoiceitem", customer).filter(|item| item.some("invoice").is_none());
    let belongs = |item: &&Value| match subscription_of(item) {
        None => true,
        owner => owner == subscription,
    };
    items.rev().filter(belongs).cloned().collect()
}

/// Returns the invoice lines of pending items.
pub(crate) fn lines_of(items: &[Value]) -> Vec<Value> {
    items.iter().map(proration::item_line).collect()
}

/// Stores a draft, and attaches pending items to it.
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

/// Finalizes a draft: assigns its number and URLs, and marks it paid if nothing is due.
pub(crate) fn finalize(tx: &mut Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let draft = tx.find("invoice", id)?;
    let number = assign_number(tx, &draft)?;
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
            invoice.set("_payment_intent", intent.id.as_str());
        }
    });
    let invoice = tx.find("invoice", id)?;
    tx.emit("invoice.finalized", &invoice, None);
    match intent {
        Some(intent) => {
            tx.insert("payment_intent.created", &intent)?;
            tx.put(objects::invoice_payment(&invoice, &intent, now));
            Ok(invoice)
        }
        None => mark_paid(tx, id, Settlement::Nothing),
    }
}

/// Assigns the number of an invoice, and updates the customer's balance.
fn assign_number(tx: &mut Tx<'_>, draft: &Value) -> Result<String, ApiError> {
    let customer: Customer = tx.read(draft.text("customer"))?;
    let sequence = customer.next_invoice_sequence;
    let ending = (customer.balance + draft.int("total")).min(0);
    tx.update_quietly(&customer.id, |customer: &mut Customer| customer.next_invoice_sequence += 1)?;
    tx.quietly(draft.text("id"), |invoice| invoice.set("ending_balance", ending));
    tx.update(&customer.id, "customer.updated", |customer: &mut Customer| {
        customer.balance = ending;
        customer.currency = draft.some("currency").map(str::to_owned);
    })?;
    Ok(format!("{}-{sequence:04}", customer.invoice_prefix))
}

fn intent_of(invoice: &Value, now: i64) -> PaymentIntent {
    let due = invoice.int("amount_due");
    let mut intent = PaymentIntent::new(due, invoice.text("currency"), invoice.some("customer"), now);
    let of_subscription = invoice["parent"].is_object();
    if of_subscription {
        intent.setup_future_usage = Some("off_session".to_owned());
        let first = invoice.text("billing_reason") == "subscription_create";
        let description = if first { "Subscription creation" } else { "Subscription update" };
        intent.description = Some(description.to_owned());
    }
    intent.invoice = invoice.some("id").map(str::to_owned);
    intent
}

/// Sends a finalized invoice to the customer.
pub(crate) fn send(tx: &mut Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let invoice = tx.find("invoice", id)?;
    tx.emit("invoice.sent", &invoice, None);
    Ok(invoice)
}

/// What happens after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfDeclined {
    /// Nothing: the customer can try again.
    Leave,
    /// A retry is scheduled.
    Retry,
}

/// Attempts to pay an open invoice. The invoice stays open while the payment needs 3-D Secure, or while a
/// bank debit is processing.
///
/// # Errors
/// A card error when the payment is declined; the failed attempt and its events are committed.
pub(crate) fn pay(
    tx: &mut Tx<'_>,
    id: &str,
    method: &Value,
    presence: Presence,
    if_declined: IfDeclined,
) -> Result<Value, ApiError> {
    let invoice = tx.find("invoice", id)?;
    let intent: PaymentIntent = tx.read(invoice.text("_payment_intent"))?;
    let outcome = payment::confirm(tx, &intent, method, presence);
    let next = match if_declined {
        IfDeclined::Leave => invoice.some_int("next_payment_attempt"),
        IfDeclined::Retry => next_attempt(&invoice, tx.now()),
    };
    match outcome {
        Ok(intent) if intent.status == IntentStatus::Succeeded => {
            mark_paid(tx, id, Settlement::Charge(intent.charge()))
        }
        Ok(intent) if intent.status == IntentStatus::Processing => tx.change(id, "invoice.updated", |invoice| {
            invoice.set("attempted", true);
            invoice.set("attempt_count", invoice.int("attempt_count") + 1);
            invoice.set("next_payment_attempt", Value::Null);
            invoice.set("_debited", true);
        }),
        Ok(_) => attempted(tx, id, true, next),
        Err(error) => {
            attempted(tx, id, error.requires_authentication(), next)?;
            Err(error)
        }
    }
}

/// Returns the time of the retry after an attempt that fails now, if there is one.
pub(crate) fn next_attempt(invoice: &Value, now: i64) -> Option<i64> {
    let index = usize::try_from(invoice.int("attempt_count")).ok()?;
    RETRY_DAYS.get(index).map(|days| now + days * DAY)
}

/// Whether the last retry has failed.
pub(crate) fn is_exhausted(invoice: &Value) -> bool {
    let tries = usize::try_from(invoice.int("attempt_count")).unwrap_or(0);
    tries > RETRY_DAYS.len() && invoice.some_int("next_payment_attempt").is_none()
}

/// Records a failed attempt, and the time of the next one.
pub(crate) fn attempted(tx: &mut Tx<'_>, id: &str, needs_action: bool, next: Option<i64>) -> Result<Value, ApiError> {
    let events: &[&str] = match needs_action {
        true => &["invoice.updated", "invoice.payment_action_required", "invoice.payment_failed"],
        false => &["invoice.updated", "invoice.payment_failed"],
    };
    tx.change_with_events(id, events, |invoice| {
        invoice.set("attempted", true);
        if !invoice.flag("_debited") {
            invoice.set("attempt_count", invoice.int("attempt_count") + 1);
        }
        invoice.set("_debited", false);
        invoice.set("next_payment_attempt", next);
    })
}

/// Sets whether a customer is delinquent.
pub(crate) fn set_delinquent(tx: &mut Tx<'_>, customer: &str, delinquent: bool) -> Result<(), ApiError> {
    if tx.read::<Customer>(customer).is_ok() {
        tx.update(customer, "customer.updated", |customer: &mut Customer| customer.delinquent = delinquent)?;
    }
    Ok(())
}

/// How an invoice was paid.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Settlement<'a> {
    /// Nothing was due.
    Nothing,
    /// By a charge.
    Charge(&'a str),
    /// Outside Stripe.
    OutOfBand,
}

/// Marks an invoice as paid.
pub(crate) fn mark_paid(tx: &mut Tx<'_>, id: &str, settlement: Settlement<'_>) -> Result<Value, ApiError> {
    let now = tx.now();
    let charge = match settlement {
        Settlement::Charge(charge) => Some(charge),
        Settlement::Nothing | Settlement::OutOfBand => None,
    };
    let events: &[&str] = match settlement {
        Settlement::Nothing => &["invoice.paid", "invoice.payment_succeeded"],
        _ => &["invoice.updated", "invoice.paid", "invoice.payment_succeeded"],
    };
    let paid = tx.change_with_events(id, events, |invoice| {
        let due = invoice.int("amount_due");
        // A debit was already counted when it started.
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

/// Marks the InvoicePayments of an invoice as paid or cancelled.
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
    let Some(id) = invoice.some("_payment_intent") else {
        return Ok(());
    };
    if tx.read::<PaymentIntent>(id)?.status != IntentStatus::Canceled {
        tx.update(id, "payment_intent.canceled", |intent: &mut PaymentIntent| {
            intent.cancel(Some("void_invoice"), now);
        })?;
    }
    Ok(())
}

/// Voids an open invoice.
pub(crate) fn void(tx: &mut Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let now = tx.now();
    let invoice = tx.change_with_events(id, &["invoice.updated", "invoice.voided"], |invoice| {
        invoice.set("status", "void");
        invoice.set("next_payment_attempt", Value::Null);
        invoice["status_transitions"].set("voided_at", now);
    })?;
    cancel_intent(tx, &invoice)?;
    settle_payments(tx, &invoice, false)?;
    Ok(invoice)
}

/// Marks an open invoice as uncollectible.
pub(crate) fn mark_uncollectible(tx: &mut Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let now = tx.now();
    let invoice = tx.change_with_events(id, &["invoice.updated", "invoice.marked_uncollectible"], |invoice| {
        invoice.set("status", "uncollectible");
        invoice.set("next_payment_attempt", Value::Null);
        invoice["status_transitions"].set("marked_uncollectible_at", now);
    })?;
    set_delinquent(tx, invoice.text("customer"), false)?;
    Ok(invoice)
}

/// Stops automatic collection of a subscription's open invoices and drafts.
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

/// Returns the id of the subscription of an invoice or an item.
pub(crate) fn subscription_of(invoice: &Value) -> Option<&str> {
    invoice["parent"]["subscription_details"].some("subscription")
}
