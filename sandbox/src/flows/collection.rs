//! Collecting the invoices of subscriptions, and updating a subscription when its invoice is paid.

use crate::error::ApiError;
use crate::flows::invoice::{self, IfDeclined};
use crate::flows::payment::{self, Presence};
use crate::flows::terms::{IfUnpaid, UPDATED, default_method};
use crate::objects::{Invoice, InvoiceStatus, PaymentIntent, SaveMethod, Subscription, SubscriptionStatus};
use crate::store::Tx;

/// Pays an invoice of a subscription with its default payment method.
pub(crate) fn collect(
    tx: &mut Tx<'_>,
    id: &str,
    invoice: &Invoice,
    presence: Presence,
    if_unpaid: IfUnpaid,
) -> Result<(), ApiError> {
    let subscription: Subscription = tx.read(id)?;
    let Some(method) = default_method(tx, &subscription) else {
        let message = "This customer has no attached payment source or default payment method. Please consider adding a default payment method. For more information, visit https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-priority.";
        return Err(ApiError::invalid("resource_missing", message));
    };
    let method = payment::method(tx, &method, "default_payment_method")?;
    // A first payment is retried by the customer, a renewal automatically.
    let if_declined = match subscription.status {
        SubscriptionStatus::Active | SubscriptionStatus::PastDue => IfDeclined::Retry,
        _ => IfDeclined::Leave,
    };
    match invoice::pay(tx, &invoice.id, &method, presence, if_declined) {
        Ok(invoice) if invoice.status == InvoiceStatus::Paid => invoice_settled(tx, &invoice),
        // A bank debit is in progress: Stripe waits for its outcome with an active subscription.
        Ok(invoice) if invoice.debited => debited(tx, id),
        Ok(_) if if_unpaid == IfUnpaid::Fail => Err(crate::cards::AUTHENTICATION_REQUIRED.error().without_trace()),
        Err(error) if if_unpaid == IfUnpaid::Fail => Err(error.without_trace()),
        Err(error) if !error.is_card_error() => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Activates a subscription whose first payment is a bank debit in progress.
fn debited(tx: &mut Tx<'_>, id: &str) -> Result<(), ApiError> {
    if tx.read::<Subscription>(id)?.status == SubscriptionStatus::Incomplete {
        tx.update(id, UPDATED, |subscription: &mut Subscription| subscription.status = SubscriptionStatus::Active)?;
    }
    Ok(())
}

/// Updates the subscription of an invoice that was paid or marked uncollectible. Both have the same
/// effect.
pub(crate) fn invoice_settled(tx: &mut Tx<'_>, invoice: &Invoice) -> Result<(), ApiError> {
    let Some(id) = invoice.subscription() else {
        return Ok(());
    };
    let subscription: Subscription = tx.read(id)?;
    if subscription.latest_invoice.as_ref() != Some(&invoice.id) {
        return Ok(());
    }
    if subscription.pending_update.is_some() {
        return apply_pending(tx, &subscription);
    }
    let resumed = subscription.status == SubscriptionStatus::Paused;
    let waited = matches!(
        subscription.status,
        SubscriptionStatus::Incomplete | SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid
    );
    if !waited && !resumed {
        return Ok(());
    }
    let saves = subscription.payment_settings.save_default_payment_method == SaveMethod::OnSubscription;
    let intent = invoice.payment_intent.as_ref().map(|id| tx.read::<PaymentIntent>(id)).transpose()?;
    let used = intent.and_then(|intent| intent.payment_method);
    if let Some(used) = used.as_deref().filter(|_| saves) {
        let method = payment::method(tx, used, "payment_method")?;
        payment::attach(tx, &method, &subscription.customer)?;
    }
    let events: &[&str] = if resumed { &[UPDATED, "customer.subscription.resumed"] } else { &[UPDATED] };
    tx.update_with_events(id, events, |subscription: &mut Subscription| {
        subscription.set_status(SubscriptionStatus::Active);
        if let Some(used) = used.filter(|_| saves) {
            subscription.default_payment_method = Some(used);
        }
    })?;
    Ok(())
}

/// Applies a pending update whose invoice has been paid.
fn apply_pending(tx: &mut Tx<'_>, subscription: &Subscription) -> Result<(), ApiError> {
    let events = [UPDATED, "customer.subscription.pending_update_applied"];
    tx.update_with_events(&subscription.id, &events, |current: &mut Subscription| {
        if let Some(changed) = current.pending_change.take() {
            let before = std::mem::replace(current, *changed);
            current.latest_invoice = before.latest_invoice;
            current.metadata = before.metadata;
            current.default_payment_method = before.default_payment_method;
        }
        current.pending_update = None;
    })?;
    Ok(())
}
