//! Refunds.
//!
//! Invariant: a charge's `amount_refunded` is the sum of its pending and successful refunds; the amount
//! of a refund that fails or is canceled is subtracted again. Proved by
//! `a_failed_refund_restores_the_refundable_amount`.

use serde_json::Value;

use crate::cards::{self, Behavior};
use crate::clock::DAY;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::objects;
use crate::store::Tx;

/// The time until a refund settles if it does not succeed immediately, in seconds.
const SETTLES_AFTER: i64 = DAY;
/// The events when a refund changes.
const UPDATED: &[&str] = &["refund.updated", "charge.refund.updated"];
const FAILED: &[&str] = &["refund.failed", "refund.updated", "charge.refund.updated"];

/// Refunds a charge, by `amount` or fully.
///
/// # Errors
/// The charge has not succeeded, is disputed, or has less than the amount left to refund.
pub(crate) fn create(
    tx: &mut Tx<'_>,
    charge: &Value,
    amount: Option<i64>,
    reason: Option<&str>,
    params: &Value,
) -> Result<Value, ApiError> {
    let id = charge.text("id").to_owned();
    let left = charge.int("amount_captured") - charge.int("amount_refunded");
    if !charge.flag("paid") {
        return Err(ApiError::invalid("", "You cannot refund a charge that has not succeeded.").on("charge"));
    }
    if left == 0 {
        let message = format!("Charge {id} has already been refunded.");
        return Err(ApiError::invalid("charge_already_refunded", message));
    }
    if tx.referring("dispute", &id).any(|dispute| !dispute.flag("is_charge_refundable")) {
        let message = format!("Charge {id} has been charged back; cannot issue a refund.");
        return Err(ApiError::invalid("charge_disputed", message));
    }
    let amount = amount.unwrap_or(left);
    if amount <= 0 || amount > left {
        let money = |amount| crate::money::format(amount, charge.text("currency"));
        let message =
            format!("Refund amount ({}) is greater than unrefunded amount on charge ({})", money(amount), money(left));
        return Err(ApiError::invalid("", message).on("amount"));
    }
    let mut refund = objects::refund(charge, amount, reason, params, tx.now());
    let behavior = tx.get(charge.text("payment_method")).map_or(Behavior::Pays, cards::behavior);
    let debit = !matches!(charge["payment_method_details"].text("type"), "card" | "link");
    let settles_at = tx.now() + SETTLES_AFTER;
    if behavior == Behavior::RefundsLate || debit {
        refund.set("status", "pending");
        refund.set("_settles_at", settles_at);
    } else if behavior == Behavior::RefundsFail {
        refund.set("_settles_at", settles_at);
    }
    tx.create("refund.created", &refund);
    count(tx, &id, amount, "charge.refunded")?;
    if refund.get("_settles_at").is_some() {
        return Ok(refund);
    }
    // The bank's reference number arrives a moment later.
    tx.change_with_events(refund.text("id"), UPDATED, |refund| {
        if let Some(card) = refund.pointer_mut("/destination_details/card") {
            card.set("reference", "4242424242424242");
            card.set("reference_status", "available");
        }
    })
}

/// Adds to the refunded amount of a charge.
fn count(tx: &mut Tx<'_>, charge: &str, amount: i64, event: &str) -> Result<(), ApiError> {
    tx.change(charge, event, |charge| {
        let refunded = charge.int("amount_refunded") + amount;
        charge.set("amount_refunded", refunded);
        charge.set("refunded", refunded == charge.int("amount_captured"));
    })?;
    Ok(())
}

/// Completes a refund that was not settled immediately.
pub(crate) fn decide(tx: &mut Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let succeeds = tx.find("refund", id)?.text("status") == "pending";
    settle(tx, id, succeeds)
}

/// Makes a refund succeed or fail; an error if it has already been settled.
pub(crate) fn settle(tx: &mut Tx<'_>, id: &str, succeeds: bool) -> Result<Value, ApiError> {
    let refund = tx.find("refund", id)?;
    if refund.get("_settles_at").is_none_or(Value::is_null) {
        return Err(ApiError::invalid("", "This refund has already been settled."));
    }
    if succeeds {
        return tx.change_with_events(id, UPDATED, |refund| {
            refund.set("status", "succeeded");
            refund.set("_settles_at", Value::Null);
        });
    }
    let failed = tx.change_with_events(id, FAILED, |refund| {
        refund.set("status", "failed");
        refund.set("failure_reason", "lost_or_stolen_card");
        refund.set("failure_balance_transaction", Value::Null);
        refund.set("_settles_at", Value::Null);
    })?;
    count(tx, failed.text("charge"), -failed.int("amount"), "charge.updated")?;
    Ok(failed)
}

/// Cancels a pending refund.
pub(crate) fn cancel(tx: &mut Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let refund = tx.find("refund", id)?;
    if !matches!(refund.text("status"), "pending" | "requires_action") {
        let message = format!("Only pending refunds can be canceled; this one is {}.", refund.text("status"));
        return Err(ApiError::invalid("", message));
    }
    let canceled = tx.change_with_events(id, UPDATED, |refund| {
        refund.set("status", "canceled");
        refund.set("_settles_at", Value::Null);
    })?;
    count(tx, canceled.text("charge"), -canceled.int("amount"), "charge.updated")?;
    Ok(canceled)
}

/// Updates the metadata of a refund.
pub(crate) fn annotate(tx: &mut Tx<'_>, id: &str, params: &Value) -> Result<Value, ApiError> {
    tx.find("refund", id)?;
    tx.change_with_events(id, UPDATED, |refund| crate::fields::merge_metadata(refund, params))
}
