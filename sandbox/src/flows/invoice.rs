//! Invoices: drafting, finalizing and paying.
//!
//! Invariant: an invoice with an amount due has exactly one PaymentIntent and one InvoicePayment, which
//! are created when it is finalized. An invoice of zero is paid when it is finalized. Renewal invoices
//! are finalized immediately, unless the settings keep them as drafts for a while (`settings.rs`).

use serde_json::Value;

use crate::clock::DAY;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::flows::payment::{self, Presence};
use crate::ids;
use crate::objects::{
    self, BillingReason, Customer, IntentStatus, Invoice, InvoiceItem, InvoiceLine, InvoiceStatus, Object,
    PaymentIntent, Subscription,
};
use crate::origins::HostedPage;
use crate::store::Tx;

/// The number of days from each failed attempt to the next one.
const RETRY_DAYS: [i64; 3] = [3, 5, 7];

/// The contents of an invoice.
pub(crate) struct Bill<'a> {
    pub(crate) customer: &'a Customer,
    /// The subscription that is billed, if any.
    pub(crate) subscription: Option<&'a Subscription>,
    pub(crate) reason: BillingReason,
    pub(crate) currency: &'a str,
    pub(crate) period: (i64, i64),
    pub(crate) lines: Vec<InvoiceLine>,
}

/// Returns a draft invoice, without storing it.
pub(crate) fn draft(bill: Bill<'_>, now: i64) -> Invoice {
    let mut invoice = Invoice::new(bill.customer, bill.currency, bill.reason, bill.period, now);
    invoice.set_lines(bill.lines);
    // A negative balance is the customer's credit; a negative total becomes credit.
    let balance = bill.customer.balance;
    let due = (invoice.total + balance).max(0);
    invoice.amount_due = due;
    invoice.amount_remaining = due;
    invoice.starting_balance = balance;
    if let Some(subscription) = bill.subscription {
        invoice.default_payment_method.clone_from(&subscription.default_payment_method);
        if let Some(days) = subscription.days_until_due {
            invoice.send_later(days);
        }
        invoice.set_subscription(subscription);
    }
    invoice
}

/// Returns a customer's pending items: those of the given subscription, and those without one.
pub(crate) fn pending_items(
    tx: &Tx<'_>,
    customer: &str,
    subscription: Option<&str>,
) -> Result<Vec<InvoiceItem>, ApiError> {
    let mut items: Vec<InvoiceItem> = tx.owned_by(customer)?;
    items.retain(|item| {
        item.invoice.is_none() && (item.subscription().is_none() || item.subscription() == subscription)
    });
    items.reverse();
    Ok(items)
}

/// Returns the invoice lines of pending items.
pub(crate) fn lines_of(items: &[InvoiceItem]) -> Vec<InvoiceLine> {
    items.iter().map(InvoiceLine::of_item).collect()
}

/// Stores a draft, and attaches pending items to it.
pub(crate) fn store(tx: &mut Tx<'_>, draft: &Invoice, items: &[InvoiceItem]) -> Result<(), ApiError> {
    for item in items {
        tx.update_quietly(&item.id, |item: &mut InvoiceItem| item.invoice = Some(draft.id.clone()))?;
    }
    tx.insert("invoice.created", draft)
}

/// Stores a draft and finalizes it.
pub(crate) fn issue(tx: &mut Tx<'_>, draft: &Invoice, items: &[InvoiceItem]) -> Result<Invoice, ApiError> {
    store(tx, draft, items)?;
    finalize(tx, &draft.id)
}

/// Finalizes a draft: assigns its number and URLs, and marks it paid if nothing is due.
pub(crate) fn finalize(tx: &mut Tx<'_>, id: &str) -> Result<Invoice, ApiError> {
    let draft: Invoice = tx.read(id)?;
    let number = assign_number(tx, &draft)?;
    let now = tx.now();
    let base = HostedPage::Invoice.base(tx);
    let secret = ids::new("");
    let intent = (draft.amount_due > 0).then(|| intent_of(&draft, now));
    let invoice = tx.update_quietly(id, |invoice: &mut Invoice| {
        invoice.status = InvoiceStatus::Open;
        invoice.number = Some(number);
        invoice.effective_at = Some(now);
        invoice.automatically_finalizes_at = None;
        invoice.hosted_invoice_url = Some(format!("{base}/i/{id}?s={secret}"));
        invoice.invoice_pdf = Some(format!("{base}/i/{id}/pdf?s={secret}"));
        invoice.status_transitions.finalized_at = Some(now);
        invoice.secret = Some(secret);
        invoice.payment_intent = intent.as_ref().map(|intent| intent.id.clone());
    })?;
    tx.emit("invoice.finalized", &invoice.to_json()?, None);
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
fn assign_number(tx: &mut Tx<'_>, draft: &Invoice) -> Result<String, ApiError> {
    let customer: Customer = tx.read(&draft.customer)?;
    let sequence = customer.next_invoice_sequence;
    let ending = (customer.balance + draft.total).min(0);
    tx.update_quietly(&customer.id, |customer: &mut Customer| customer.next_invoice_sequence += 1)?;
    tx.update_quietly(&draft.id, |invoice: &mut Invoice| invoice.ending_balance = Some(ending))?;
    tx.update(&customer.id, "customer.updated", |customer: &mut Customer| {
        customer.balance = ending;
        customer.currency = Some(draft.currency.clone());
    })?;
    Ok(format!("{}-{sequence:04}", customer.invoice_prefix))
}

fn intent_of(invoice: &Invoice, now: i64) -> PaymentIntent {
    let mut intent = PaymentIntent::new(invoice.amount_due, &invoice.currency, Some(&invoice.customer), now);
    if invoice.subscription().is_some() {
        intent.setup_future_usage = Some("off_session".to_owned());
        let first = invoice.billing_reason == BillingReason::SubscriptionCreate;
        let description = if first { "Subscription creation" } else { "Subscription update" };
        intent.description = Some(description.to_owned());
    }
    intent.invoice = Some(invoice.id.clone());
    intent
}

/// Sends a finalized invoice to the customer.
pub(crate) fn send(tx: &mut Tx<'_>, id: &str) -> Result<Invoice, ApiError> {
    let invoice: Invoice = tx.read(id)?;
    tx.emit("invoice.sent", &invoice.to_json()?, None);
    Ok(invoice)
}

/// What happens after a declined payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfDeclined {
    /// No retry; the customer can try again.
    Leave,
    /// Schedule a retry.
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
) -> Result<Invoice, ApiError> {
    let invoice: Invoice = tx.read(id)?;
    let intent: PaymentIntent = tx.read(invoice.intent())?;
    let outcome = payment::confirm(tx, &intent, method, presence);
    let next = match if_declined {
        IfDeclined::Leave => invoice.next_payment_attempt,
        IfDeclined::Retry => next_attempt(&invoice, tx.now()),
    };
    match outcome {
        Ok(intent) if intent.status == IntentStatus::Succeeded => {
            mark_paid(tx, id, Settlement::Charge(intent.charge()))
        }
        Ok(intent) if intent.status == IntentStatus::Processing => {
            tx.update(id, "invoice.updated", |invoice: &mut Invoice| {
                invoice.attempted = true;
                invoice.attempt_count += 1;
                invoice.next_payment_attempt = None;
                invoice.debited = true;
            })
        }
        Ok(_) => attempted(tx, id, true, next),
        Err(error) => {
            attempted(tx, id, error.requires_authentication(), next)?;
            Err(error)
        }
    }
}

/// Returns the time of the retry after an attempt that fails now, if there is one.
pub(crate) fn next_attempt(invoice: &Invoice, now: i64) -> Option<i64> {
    let index = usize::try_from(invoice.attempt_count).ok()?;
    RETRY_DAYS.get(index).map(|days| now + days * DAY)
}

/// Returns whether the last retry has failed.
pub(crate) fn is_exhausted(invoice: &Invoice) -> bool {
    let tries = usize::try_from(invoice.attempt_count).unwrap_or(0);
    tries > RETRY_DAYS.len() && invoice.next_payment_attempt.is_none()
}

/// Records a failed attempt, and the time of the next one.
pub(crate) fn attempted(tx: &mut Tx<'_>, id: &str, needs_action: bool, next: Option<i64>) -> Result<Invoice, ApiError> {
    let events: &[&str] = match needs_action {
        true => &["invoice.updated", "invoice.payment_action_required", "invoice.payment_failed"],
        false => &["invoice.updated", "invoice.payment_failed"],
    };
    tx.update_with_events(id, events, |invoice: &mut Invoice| {
        invoice.attempted = true;
        if !invoice.debited {
            invoice.attempt_count += 1;
        }
        invoice.debited = false;
        invoice.next_payment_attempt = next;
    })
}

/// Sets whether a customer is delinquent.
pub(crate) fn set_delinquent(tx: &mut Tx<'_>, customer: &str, delinquent: bool) -> Result<(), ApiError> {
    if tx.read::<Customer>(customer).is_ok() {
        tx.update(customer, "customer.updated", |customer: &mut Customer| customer.delinquent = delinquent)?;
    }
    Ok(())
}

/// The way an invoice was paid.
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
pub(crate) fn mark_paid(tx: &mut Tx<'_>, id: &str, settlement: Settlement<'_>) -> Result<Invoice, ApiError> {
    let now = tx.now();
    let charge = match settlement {
        Settlement::Charge(charge) => Some(charge),
        Settlement::Nothing | Settlement::OutOfBand => None,
    };
    let events: &[&str] = match settlement {
        Settlement::Nothing => &["invoice.paid", "invoice.payment_succeeded"],
        _ => &["invoice.updated", "invoice.paid", "invoice.payment_succeeded"],
    };
    let paid = tx.update_with_events(id, events, |invoice: &mut Invoice| {
        // A debit was already counted when it started.
        if charge.is_some() && !invoice.debited {
            invoice.attempt_count += 1;
        }
        invoice.status = InvoiceStatus::Paid;
        invoice.attempted = true;
        invoice.amount_paid = invoice.amount_due;
        invoice.amount_remaining = 0;
        invoice.next_payment_attempt = None;
        invoice.status_transitions.paid_at = Some(now);
        invoice.charge = charge.map(str::to_owned);
        invoice.out_of_band = matches!(settlement, Settlement::OutOfBand);
    })?;
    if charge.is_none() {
        cancel_intent(tx, &paid)?;
    }
    settle_payments(tx, &paid, charge.is_some())?;
    set_delinquent(tx, &paid.customer, false)?;
    Ok(paid)
}

/// Marks the InvoicePayments of an invoice as paid or canceled.
fn settle_payments(tx: &mut Tx<'_>, invoice: &Invoice, paid: bool) -> Result<(), ApiError> {
    let now = tx.now();
    for id in tx.ids_referring("invoice_payment", &invoice.id) {
        if paid {
            tx.change(&id, "invoice_payment.paid", |payment| {
                payment.set("status", "paid");
                payment.set("amount_paid", invoice.amount_due);
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

fn cancel_intent(tx: &mut Tx<'_>, invoice: &Invoice) -> Result<(), ApiError> {
    let now = tx.now();
    let Some(id) = &invoice.payment_intent else {
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
pub(crate) fn void(tx: &mut Tx<'_>, id: &str) -> Result<Invoice, ApiError> {
    let now = tx.now();
    let invoice = tx.update_with_events(id, &["invoice.updated", "invoice.voided"], |invoice: &mut Invoice| {
        invoice.status = InvoiceStatus::Void;
        invoice.next_payment_attempt = None;
        invoice.status_transitions.voided_at = Some(now);
    })?;
    cancel_intent(tx, &invoice)?;
    settle_payments(tx, &invoice, false)?;
    Ok(invoice)
}

/// Marks an open invoice as uncollectible.
pub(crate) fn mark_uncollectible(tx: &mut Tx<'_>, id: &str) -> Result<Invoice, ApiError> {
    let now = tx.now();
    let events = ["invoice.updated", "invoice.marked_uncollectible"];
    let invoice = tx.update_with_events(id, &events, |invoice: &mut Invoice| {
        invoice.status = InvoiceStatus::Uncollectible;
        invoice.next_payment_attempt = None;
        invoice.status_transitions.marked_uncollectible_at = Some(now);
    })?;
    set_delinquent(tx, &invoice.customer, false)?;
    Ok(invoice)
}

/// Stops automatic collection of a subscription's open invoices and drafts.
pub(crate) fn stop_collecting(tx: &mut Tx<'_>, subscription: &str) -> Result<(), ApiError> {
    for invoice in tx.owned_by::<Invoice>(subscription)? {
        if matches!(invoice.status, InvoiceStatus::Open | InvoiceStatus::Draft) {
            tx.update(&invoice.id, "invoice.updated", |invoice: &mut Invoice| {
                invoice.auto_advance = false;
                invoice.automatically_finalizes_at = None;
                invoice.next_payment_attempt = None;
            })?;
        }
    }
    Ok(())
}
