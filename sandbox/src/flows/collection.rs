//! Collecting the invoices of subscriptions, and updating a subscription when its invoice is paid.

use serde_json::Value;

use crate::error::ApiError;
use crate::fields::Fields;
use crate::flows::invoice::{self, IfDeclined};
use crate::flows::payment::{self, Presence};
use crate::flows::terms::{IfUnpaid, UPDATED, default_method};
use crate::store::Tx;

/// Pays an invoice of a subscription with its default payment method.
pub(crate) fn collect(
    tx: &mut Tx<'_>,
    id: &str,
    invoice: &Value,
    presence: Presence,
    if_unpaid: IfUnpaid,
) -> Result<(), ApiError> {
    let subscription = tx.find("subscription", id)?;
    let Some(method) = default_method(tx, &subscription) else {
        let message = "This customer has no attached payment source or default payment method. Please consider adding a default payment method. For more information, visit https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-priority.";
        return Err(ApiError::invalid("resource_missing", message));
    };
    let method = payment::method(tx, &method, "default_payment_method")?;
    // The customer retries a first payment; renewals are retried automatically.
    let if_declined = match subscription.text("status") {
        "active" | "past_due" => IfDeclined::Retry,
        _ => IfDeclined::Leave,
    };
    match invoice::pay(tx, invoice.text("id"), &method, presence, if_declined) {
        Ok(invoice) if invoice.text("status") == "paid" => invoice_settled(tx, &invoice),
        Ok(_) if if_unpaid == IfUnpaid::Fail => Err(crate::cards::AUTHENTICATION_REQUIRED.error().without_trace()),
        Err(error) if if_unpaid == IfUnpaid::Fail => Err(error.without_trace()),
        Err(error) if !error.is_card_error() => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Updates the subscription of an invoice that was paid, or marked uncollectible, which has the same
/// effect.
pub(crate) fn invoice_settled(tx: &mut Tx<'_>, invoice: &Value) -> Result<(), ApiError> {
    let Some(id) = invoice::subscription_of(invoice).map(str::to_owned) else {
        return Ok(());
    };
    let subscription = tx.find("subscription", &id)?;
    if subscription.text("latest_invoice") != invoice.text("id") {
        return Ok(());
    }
    if subscription["pending_update"].is_object() {
        return apply_pending(tx, &subscription);
    }
    let resumed = subscription.text("status") == "paused";
    if !matches!(subscription.text("status"), "incomplete" | "past_due" | "unpaid") && !resumed {
        return Ok(());
    }
    let saves = subscription["payment_settings"].text("save_default_payment_method") == "on_subscription";
    let used =
        tx.get(invoice.text("_payment_intent")).and_then(|intent| intent.some("payment_method").map(str::to_owned));
    if let Some(used) = used.as_deref().filter(|_| saves) {
        let method = payment::method(tx, used, "payment_method")?;
        payment::attach(tx, &method, subscription.text("customer"))?;
    }
    let events: &[&str] = if resumed { &[UPDATED, "customer.subscription.resumed"] } else { &[UPDATED] };
    tx.change_with_events(&id, events, |subscription| {
        subscription.set("status", "active");
        if let Some(used) = used.filter(|_| saves) {
            subscription.set("default_payment_method", used);
        }
    })?;
    Ok(())
}

/// Applies a pending update whose invoice has been paid.
fn apply_pending(tx: &mut Tx<'_>, subscription: &Value) -> Result<(), ApiError> {
    let events = [UPDATED, "customer.subscription.pending_update_applied"];
    tx.change_with_events(subscription.text("id"), &events, |current| {
        let mut changed = current["_pending_change"].take();
        for kept in ["latest_invoice", "metadata", "default_payment_method"] {
            changed.set(kept, current[kept].clone());
        }
        *current = changed;
        current.set("pending_update", Value::Null);
    })?;
    Ok(())
}
