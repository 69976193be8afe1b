//! Bank debits: a payment that is under way for days.
//!
//! Invariant: a debit ends once, settled or failed, and what it was for (an invoice, a Checkout
//! Session) hears of it in the same transaction. Proved by `a_bank_debit_is_paid_days_later`.

use serde_json::Value;

use crate::banks;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::flows::collection;
use crate::flows::invoice::{self, Settlement};
use crate::store::Tx;

/// What the account's number says becomes of the debit.
pub(crate) fn decide(tx: &mut Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let intent = tx.find("payment_intent", id)?;
    let account = tx.get(intent.text("payment_method")).and_then(banks::of);
    settle(tx, id, account.is_none_or(|account| account.failure.is_none()))
}

/// Ends a debit.
///
/// # Errors
/// The payment is not under way.
pub(crate) fn settle(tx: &mut Tx<'_>, id: &str, succeeds: bool) -> Result<Value, ApiError> {
    let intent = tx.find("payment_intent", id)?;
    if intent.text("status") != "processing" {
        return Err(ApiError::invalid("payment_intent_unexpected_state", "This payment is not processing."));
    }
    match succeeds {
        true => succeed(tx, &intent)?,
        false => fail(tx, &intent)?,
    }
    tell_sessions(tx, id, succeeds)?;
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
        collection::settled(tx, &paid)?;
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

/// The Checkout Sessions that were completed with the debit.
fn tell_sessions(tx: &mut Tx<'_>, intent: &str, succeeds: bool) -> Result<(), ApiError> {
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
