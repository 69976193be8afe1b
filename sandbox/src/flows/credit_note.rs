//! Credit notes: reducing the amount due of an open invoice, and returning what was paid.
//!
//! Invariant: a credit note first reduces the amount due, but not below zero; the rest is refunded, credited
//! to the customer's balance, or recorded as credited outside Stripe. Proved by `tests/credit_notes.rs`.
//! Source: "Credit notes", docs.stripe.com/api.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::fields::{Fields, copy, merge_metadata};
use crate::flows::{collection, invoice, refund};
use crate::objects::{self, CreditedAmounts, Customer, Invoice, InvoiceStatus, PaymentIntent};
use crate::origins::HostedPage;
use crate::store::Tx;

/// Issues a credit note.
///
/// # Errors The invoice is neither open nor paid, too little is left to credit, or the parts do not add up.
pub(crate) fn create(tx: &mut Tx<'_>, params: &Value) -> Result<Value, ApiError> {
    let invoice: Invoice = tx.read_param(params.text("invoice"), "invoice")?;
    if !matches!(invoice.status, InvoiceStatus::Open | InvoiceStatus::Paid) || invoice.debited && is_open(&invoice) {
        let message = "You can only create a credit note for an open or paid invoice that is not being paid.";
        return Err(ApiError::invalid("", message).on("invoice"));
    }
    let Some(amount) = params.some_int("amount") else {
        let message =
            "One of the following params should be provided for this request: amount, lines or shipping_cost.";
        return Err(ApiError::invalid("parameter_missing", message).on("amount"));
    };
    let left = invoice.total - invoice.pre_payment_credit_notes_amount - invoice.post_payment_credit_notes_amount;
    if amount <= 0 || amount > left {
        let message = format!("The amount of this credit note must be between 1 and the {left} left to credit.");
        return Err(ApiError::invalid("", message).on("amount"));
    }
    let pre_payment = if is_open(&invoice) { amount.min(invoice.amount_remaining) } else { 0 };
    let post_payment = amount - pre_payment;
    let (refunded, credited, out_of_band) =
        (params.int("refund_amount"), params.int("credit_amount"), params.int("out_of_band_amount"));
    let sum = refunded + credited + out_of_band;
    if sum != post_payment || [refunded, credited, out_of_band].iter().any(|part| *part < 0) {
        let message = format!(
            "The sum of credit amount, refund amount and out of band amount ({sum}) must equal the post-payment amount of the credit note ({post_payment})."
        );
        return Err(ApiError::invalid("", message));
    }
    let mut refunds = Vec::new();
    if refunded > 0 {
        let charge = invoice.charge.as_deref().unwrap_or_default();
        let charge = tx.named("charge", charge, "refund_amount")?;
        refunds.push(refund::create(tx, &charge, Some(refunded), None, &json!({}))?);
    }
    if credited > 0 {
        tx.update(&invoice.customer, "customer.updated", |customer: &mut Customer| customer.balance -= credited)?;
    }
    let sequence = tx.referring("credit_note", &invoice.id).count() + 1;
    let number = format!("{}-CN-{sequence:02}", invoice.number.as_deref().unwrap_or_default());
    let pdf = format!("{}/credit_notes/{number}/pdf", HostedPage::Invoice.base(tx));
    let amounts = CreditedAmounts { pre_payment, post_payment, out_of_band };
    let note = objects::credit_note(&invoice, amounts, &number, &pdf, &refunds, params, tx.now());
    tx.create("credit_note.created", &note);
    count(tx, &invoice.id, pre_payment, post_payment)?;
    Ok(note)
}

fn is_open(invoice: &Invoice) -> bool {
    invoice.status == InvoiceStatus::Open
}

/// Adds to the credited amounts of an invoice. An invoice with nothing left to pay counts as paid.
fn count(tx: &mut Tx<'_>, id: &str, pre_payment: i64, post_payment: i64) -> Result<(), ApiError> {
    let invoice = tx.update(id, "invoice.updated", |invoice: &mut Invoice| {
        invoice.amount_due -= pre_payment;
        invoice.amount_remaining -= pre_payment;
        invoice.pre_payment_credit_notes_amount += pre_payment;
        invoice.post_payment_credit_notes_amount += post_payment;
    })?;
    if !is_open(&invoice) {
        return Ok(());
    }
    if invoice.amount_remaining == 0 {
        let paid = invoice::mark_paid(tx, id, invoice::Settlement::Nothing)?;
        return collection::invoice_settled(tx, &paid);
    }
    tx.update_quietly(invoice.intent(), |intent: &mut PaymentIntent| intent.amount = invoice.amount_remaining)?;
    for payment in tx.ids_referring("invoice_payment", id) {
        tx.quietly(&payment, |payment| payment.set("amount_requested", invoice.amount_remaining));
    }
    Ok(())
}

/// Voids a credit note of an open invoice.
pub(crate) fn void(tx: &mut Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let note = tx.find("credit_note", id)?;
    let invoice: Invoice = tx.read(note.text("invoice"))?;
    if note.text("status") != "issued" || !is_open(&invoice) {
        let message = "You can only void an issued credit note of an open invoice.";
        return Err(ApiError::invalid("", message));
    }
    let now = tx.now();
    let voided = tx.change(id, "credit_note.voided", |note| {
        note.set("status", "void");
        note.set("voided_at", now);
    })?;
    count(tx, &invoice.id, -note.int("pre_payment_amount"), 0)?;
    Ok(voided)
}

/// Updates the memo and metadata of a credit note.
pub(crate) fn annotate(tx: &mut Tx<'_>, id: &str, params: &Value) -> Result<Value, ApiError> {
    tx.find("credit_note", id)?;
    tx.change(id, "credit_note.updated", |note| {
        copy(note, params, &["memo"]);
        merge_metadata(note, params);
    })
}
