//! Bank debits: payments that take days.
//!
//! Invariant: a debit settles or fails once, and its invoice or Checkout Session is updated in the
//! same transaction. Proved by `a_bank_debit_is_paid_days_later`.

use serde_json::Value;

use crate::banks;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::flows::collection;
use crate::flows::invoice::{self, Settlement};
use crate::store::Tx;

/// Makes a debit settle or fail, depending on the account number.
pub(crate) fn decide(tx: &mut Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let intent = tx.find("payment_intent", id)?;
    let account = tx.get(intent.text("payment_method")).and_then(banks::of);
    settle(tx, id, account.is_none_or(|account| account.failure.is_none()))
}

/// Makes a debit settle or fail.
///
/// # Errors
/// The payment is not processing.
pub(crate) fn settle(tx: &mut Tx<'_>, id: &str, succeeds: bool) -> Result<Value, ApiError> {
    let intent = tx.find("payment_intent", id)?;
    if intent.text("status") != "processing" {
        return Err(ApiError::invalid("payment_intent_unexpected_state", "This payment is not processing."));
    }
    match succeeds {
        true => succeed(tx, &intent)?,
        false => fail(tx, &intent)?,
    }
    update_sessions(tx, id, succeeds)?;
    tx.find("payment_intent", id)
}

fn succeed(tx: &mut Tx<'_>, intent: &Value) -> Result<(), ApiError> {
    let charge = intent.text("latest_charge");
    tx.change(charge, "charge.succeeded", |charge| {
        charge.set("status", "succeeded");
        charge.set("paid", true);
    })?;
    tx.change(intent.text("id"), "payment_intent.succeeded", |intent| {
        let amount = intent["amount"].clone();
        intent.set("status", "succeeded");
        intent.set("amount_received", amount);
        intent.set("_settles_at", Value::Null);
    })?;
    if let Some(invoice) = intent.some("_invoice") {
        let paid = invoice::mark_paid(tx, invoice, Settlement::Charge(charge))?;
        collection::invoice_settled(tx, &paid)?;
    }
    Ok(())
}

fn fail(tx: &mut Tx<'_>, intent: &Value) -> Result<(), ApiError> {
    let method = tx.get(intent.text("payment_method")).cloned().unwrap_or_default();
    let failure = banks::of(&method).and_then(|account| account.failure).unwrap_or(crate::cards::GENERIC);
    tx.change(intent.text("latest_charge"), "charge.failed", |charge| {
        charge.set("status", "failed");
        charge.set("captured", false);
        charge.set("amount_captured", 0);
        charge.set("failure_code", failure.code);
        charge.set("failure_message", failure.message);
    })?;
    let mut shown = failure.error().charged(intent.some("latest_charge")).fields();
    shown.set("payment_method", method);
    tx.change(intent.text("id"), "payment_intent.payment_failed", |intent| {
        intent.set("status", "requires_payment_method");
        intent.set("last_payment_error", shown);
        intent.set("payment_method", Value::Null);
        intent.set("_settles_at", Value::Null);
    })?;
    if let Some(invoice) = intent.some("_invoice") {
        invoice::attempted(tx, invoice, false, None)?;
    }
    Ok(())
}

/// Updates the Checkout Sessions that were completed with the debit.
fn update_sessions(tx: &mut Tx<'_>, intent: &str, succeeds: bool) -> Result<(), ApiError> {
    for session in tx.ids_referring("checkout.session", intent) {
        match succeeds {
            true => tx.change(&session, "checkout.session.async_payment_succeeded", |session| {
                session.set("payment_status", "paid");
            })?,
            false => tx.change(&session, "checkout.session.async_payment_failed", |_| {})?,
        };
    }
    Ok(())
}
