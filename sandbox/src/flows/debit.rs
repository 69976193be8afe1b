//! Bank debits: payments that take days.
//!
//! Invariant: a debit settles or fails once, and its invoice or Checkout Session is updated in the
//! same transaction. Proved by `a_bank_debit_is_paid_days_later`.

use crate::banks;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::flows::collection;
use crate::flows::cycle;
use crate::flows::invoice::{self, Settlement};
use crate::objects::{CheckoutSession, IntentStatus, PaymentIntent, PaymentStatus};
use crate::store::Tx;

/// Makes a debit settle or fail, depending on the account number.
pub(crate) fn decide(tx: &mut Tx<'_>, id: &str) -> Result<PaymentIntent, ApiError> {
    let intent: PaymentIntent = tx.read(id)?;
    let account = intent.payment_method.and_then(|method| tx.get(&method)).and_then(banks::of);
    settle(tx, id, account.is_none_or(|account| account.failure.is_none()))
}

/// Makes a debit settle or fail; an error if it is not processing.
pub(crate) fn settle(tx: &mut Tx<'_>, id: &str, succeeds: bool) -> Result<PaymentIntent, ApiError> {
    let intent: PaymentIntent = tx.read(id)?;
    if intent.status != IntentStatus::Processing {
        return Err(ApiError::invalid("payment_intent_unexpected_state", "This payment is not processing."));
    }
    match succeeds {
        true => succeed(tx, &intent)?,
        false => fail(tx, &intent)?,
    }
    update_sessions(tx, &intent, succeeds)?;
    tx.read(id)
}

fn succeed(tx: &mut Tx<'_>, intent: &PaymentIntent) -> Result<(), ApiError> {
    let charge = intent.charge();
    tx.change(charge, "charge.succeeded", |charge| {
        charge.set("status", "succeeded");
        charge.set("paid", true);
    })?;
    tx.update(&intent.id, "payment_intent.succeeded", PaymentIntent::succeed)?;
    if let Some(invoice) = &intent.invoice {
        let paid = invoice::mark_paid(tx, invoice, Settlement::Charge(charge))?;
        collection::invoice_settled(tx, &paid)?;
    }
    Ok(())
}

fn fail(tx: &mut Tx<'_>, intent: &PaymentIntent) -> Result<(), ApiError> {
    let method = intent.payment_method.as_ref().and_then(|method| tx.get(method)).cloned().unwrap_or_default();
    let failure = banks::of(&method).and_then(|account| account.failure).unwrap_or(crate::cards::GENERIC);
    tx.change(intent.charge(), "charge.failed", |charge| {
        charge.set("status", "failed");
        charge.set("captured", false);
        charge.set("amount_captured", 0);
        charge.set("failure_code", failure.code);
        charge.set("failure_message", failure.message);
    })?;
    let mut shown = failure.error().charged(intent.latest_charge.as_deref()).fields();
    shown.set("payment_method", method);
    tx.update(&intent.id, "payment_intent.payment_failed", |intent: &mut PaymentIntent| intent.fail(shown))?;
    if let Some(invoice) = &intent.invoice {
        let failed = invoice::attempted(tx, invoice, false, None)?;
        if let Some(subscription) = failed.subscription() {
            cycle::past_due(tx, subscription, invoice)?;
        }
    }
    Ok(())
}

/// Updates the Checkout Sessions that were completed with the debit.
fn update_sessions(tx: &mut Tx<'_>, intent: &PaymentIntent, succeeds: bool) -> Result<(), ApiError> {
    // The session of a subscription refers to its first invoice.
    let mut sessions: Vec<CheckoutSession> = tx.owned_by(&intent.id)?;
    if let Some(invoice) = &intent.invoice {
        sessions.extend(tx.owned_by::<CheckoutSession>(invoice)?.into_iter().filter(CheckoutSession::subscribes));
    }
    for session in sessions {
        match succeeds {
            true => {
                tx.update(&session.id, "checkout.session.async_payment_succeeded", |session: &mut CheckoutSession| {
                    session.payment_status = PaymentStatus::Paid;
                })?
            }
            false => tx.update(&session.id, "checkout.session.async_payment_failed", |_: &mut CheckoutSession| {})?,
        };
    }
    Ok(())
}
