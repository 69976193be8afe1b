//! Invoices: drawn up, finalized, paid or not.
//!
//! Invariant: an invoice that is due has exactly one PaymentIntent, made when it is finalized;
//! an invoice of nothing is paid the moment it is finalized. Finalizing happens at once, where
//! Stripe waits about an hour for renewals.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::fields::{Fields, list_of};
use crate::flows::payment::{self, Presence};
use crate::ids;
use crate::objects;
use crate::store::Tx;

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

/// Stores a draft and finalizes it.
pub(crate) fn issue(tx: &mut Tx<'_>, draft: &Value) -> Result<Value, ApiError> {
    tx.create("invoice.created", draft);
    finalize(tx, draft.text("id"))
}

/// Finalizes a draft: it gets its number and pages, and is paid at once when nothing is due.
pub(crate) fn finalize(tx: &mut Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let draft = tx.find("invoice", id)?;
    let customer = tx.find("customer", draft.text("customer"))?;
    let customer_id = customer.text("id").to_owned();
    let sequence = customer.int("next_invoice_sequence");
    let number = format!("{}-{sequence:04}", customer.text("invoice_prefix"));
    let ending = (customer.int("balance") + draft.int("total")).min(0);
    tx.quietly(&customer_id, |customer| {
        customer.set("next_invoice_sequence", sequence + 1);
        customer.set("currency", draft["currency"].clone());
    });
    if ending != customer.int("balance") {
        tx.change(&customer_id, "customer.updated", |customer| {
            customer.set("balance", ending);
        })?;
    }
    let now = tx.now();
    let base = tx.origin.base.clone();
    let secret = ids::new("");
    let due = draft.int("amount_due");
    let intent = (due > 0).then(|| intent_of(&draft, now));
    tx.quietly(id, |invoice| {
        invoice.set("status", "open");
        invoice.set("number", number);
        invoice.set("effective_at", now);
        invoice.set("ending_balance", ending);
        invoice.set("hosted_invoice_url", format!("{base}/i/{id}?s={secret}"));
        invoice.set("invoice_pdf", format!("{base}/i/{id}/pdf?s={secret}"));
        invoice["status_transitions"].set("finalized_at", now);
        invoice.set("_secret", secret.as_str());
        if let Some(intent) = &intent {
            invoice.set("_payment_intent", intent["id"].clone());
            invoice.set("_payments", json!([payment_of(invoice, intent, now)]));
        }
    });
    let invoice = tx.find("invoice", id)?;
    tx.emit("invoice.finalized", &invoice, None);
    match intent {
        Some(intent) => {
            tx.create("payment_intent.created", &intent);
            Ok(invoice)
        }
        None => mark_paid(tx, id, None),
    }
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

fn payment_of(invoice: &Value, intent: &Value, now: i64) -> Value {
    json!({
        "id": ids::new("inpay_"),
        "object": "invoice_payment",
        "amount_paid": null,
        "amount_requested": intent["amount"],
        "created": now,
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": true,
        "livemode": false,
        "payment": { "payment_intent": intent["id"], "type": "payment_intent" },
        "status": "open",
        "status_transitions": { "canceled_at": null, "paid_at": null },
    })
}

/// Attempts to pay an open invoice. An invoice whose card asks for 3-D Secure stays open and is
/// returned so.
///
/// # Errors
/// A card error when the attempt is declined; the failed attempt and its events stay.
pub(crate) fn pay(tx: &mut Tx<'_>, id: &str, method: &Value, presence: Presence) -> Result<Value, ApiError> {
    let invoice = tx.find("invoice", id)?;
    let intent = tx.find("payment_intent", invoice.text("_payment_intent"))?;
    let outcome = payment::confirm(tx, &intent, method, presence);
    match outcome {
        Ok(intent) if intent.text("status") == "succeeded" => mark_paid(tx, id, intent.some("latest_charge")),
        Ok(_) => attempted(tx, id, true),
        Err(error) => {
            let authentication = error.asks_for_authentication();
            attempted(tx, id, authentication)?;
            Err(error)
        }
    }
}

/// Notes a failed attempt.
pub(crate) fn attempted(tx: &mut Tx<'_>, id: &str, needs_action: bool) -> Result<Value, ApiError> {
    tx.quietly(id, |invoice| {
        invoice.set("attempted", true);
        invoice.set("attempt_count", invoice.int("attempt_count") + 1);
    });
    let invoice = tx.find("invoice", id)?;
    if needs_action {
        tx.emit("invoice.payment_action_required", &invoice, None);
    }
    tx.emit("invoice.payment_failed", &invoice, None);
    Ok(invoice)
}

/// Marks an invoice as paid, by a charge or because nothing was due.
pub(crate) fn mark_paid(tx: &mut Tx<'_>, id: &str, charge: Option<&str>) -> Result<Value, ApiError> {
    let now = tx.now();
    let charge = charge.map(str::to_owned);
    tx.quietly(id, |invoice| {
        let due = invoice.int("amount_due");
        if charge.is_some() {
            invoice.set("attempt_count", invoice.int("attempt_count") + 1);
        }
        invoice.set("status", "paid");
        invoice.set("attempted", true);
        invoice.set("amount_paid", due);
        invoice.set("amount_remaining", 0);
        invoice.set("next_payment_attempt", Value::Null);
        invoice["status_transitions"].set("paid_at", now);
        invoice.set("_charge", charge);
        if let Some(Value::Array(payments)) = invoice.get_mut("_payments") {
            for payment in payments {
                payment.set("status", "paid");
                payment.set("amount_paid", due);
                payment["status_transitions"].set("paid_at", now);
            }
        }
    });
    let invoice = tx.find("invoice", id)?;
    tx.emit("invoice.paid", &invoice, None);
    tx.emit("invoice.payment_succeeded", &invoice, None);
    Ok(invoice)
}

/// Gives an open invoice up.
pub(crate) fn void(tx: &mut Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let now = tx.now();
    let invoice = tx.change(id, "invoice.voided", |invoice| {
        invoice.set("status", "void");
        invoice.set("next_payment_attempt", Value::Null);
        invoice["status_transitions"].set("voided_at", now);
    })?;
    let intent = invoice.text("_payment_intent").to_owned();
    if tx.get(&intent).is_some() {
        tx.change(&intent, "payment_intent.canceled", |intent| {
            intent.set("status", "canceled");
            intent.set("canceled_at", now);
            intent.set("cancellation_reason", "void_invoice");
            intent.set("next_action", Value::Null);
        })?;
    }
    Ok(invoice)
}

/// The id of the subscription that an invoice is for.
pub(crate) fn subscription_of(invoice: &Value) -> Option<&str> {
    invoice["parent"]["subscription_details"].some("subscription")
}
