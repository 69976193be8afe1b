//! Paying what is owed with a new payment method.
//!
//! A new card alone pays no open invoice and resumes no paused subscription: Stripe tries it at the next retry,
//! if there is one (Stripe docs, "Smart Retries"). So after an event about a customer or an unpaid
//! subscription, and after a visit to the portal, each open invoice is paid with the payment method that the
//! subscription has now, unless that was tried before; and a subscription that is paused because of a payment
//! is resumed. Stripe remembers the last attempt, so a payment method is tried once however many events arrive,
//! and an invoice that is paid is not paid again (`tests/http/collection.rs`).

use billing::ledger::{Invoice, InvoiceStatus, Payment, PaymentStatus};
use billing::{Status, Subscription};

use super::fetch::{Fetched, Fresh};
use super::outcome::SyncError;
use super::remembered::remembered;
use crate::core::Core;
use crate::idempotency_key::Key;
use crate::store::customers;
use crate::stripe::GatewayError;
use crate::stripe::objects::{Named, SubscriptionObject};

/// Collects the unpaid invoices of the fetched subscriptions. Returns `true` if something may have changed, so
/// that everything has to be fetched again.
pub(super) async fn collect(core: &Core, fetched: &Fetched) -> Result<bool, SyncError> {
    let mut has_tried = false;
    for fresh in &fetched.subscriptions {
        let (subscription, object) = (&fresh.now.subscription, &fresh.now);
        // While collection is paused, pages tell customers that they are not charged.
        if !subscription.is_collectable() || object.is_sent || subscription.pause.is_some() {
            continue;
        }
        // The Stripe account may sell other things, including to customers that belong to no account here.
        if is_ours(core, fresh) && customers::by_id(core.db(), &subscription.customer).await?.is_some() {
            has_tried |= collect_one(core, fetched, object).await?;
        }
    }
    Ok(has_tried)
}

/// Returns whether a subscription is for one of our plans, or was sold by one of our Checkouts.
fn is_ours(core: &Core, fresh: &Fresh<Subscription, SubscriptionObject>) -> bool {
    let before = fresh.seen.as_ref().map(|seen| &seen.object);
    fresh.now.attempt.is_some() || remembered(&fresh.now, before, core.catalog()).tier(core.catalog()).0.is_some()
}

async fn collect_one(core: &Core, fetched: &Fetched, object: &SubscriptionObject) -> Result<bool, SyncError> {
    let subscription = &object.subscription;
    let Some(method) = method(core, fetched, object).await? else { return Ok(false) };
    let open = fetched.invoices.iter().map(|fresh| &fresh.now.object).filter(|invoice| {
        invoice.status == InvoiceStatus::Open && invoice.subscription.as_ref() == Some(&subscription.id)
    });
    let mut open: Vec<&Invoice> = open.collect();
    open.sort_by_key(|invoice| invoice.created);
    if open.is_empty() {
        return resume(core, object, &method).await;
    }
    let mut has_tried = false;
    for invoice in open {
        if is_untried(fetched, invoice, &method) {
            has_tried |= pay(core, invoice, &method).await?;
        }
    }
    Ok(has_tried)
}

/// Returns the payment method that the subscription's invoices are charged to.
async fn method(core: &Core, fetched: &Fetched, object: &SubscriptionObject) -> Result<Option<String>, GatewayError> {
    let customer = &object.subscription.customer;
    if object.method.is_some() {
        return Ok(object.method.clone());
    }
    match fetched.customers.iter().find(|fresh| fresh.now.object.id == *customer) {
        Some(fresh) => Ok(fresh.now.method.clone()),
        None => Ok(core.gateway().customer(customer).await?.method),
    }
}

/// Returns whether the invoice can be charged to a payment method that was not the last one tried.
fn is_untried(fetched: &Fetched, invoice: &Invoice, method: &str) -> bool {
    let payments = fetched.payments.iter().map(|fresh| &fresh.now);
    let mut payments = payments.filter(|payment| invoice.payments.contains(&payment.object.id));
    payments.all(|payment| !is_undecided(payment) && payment.method.as_deref() != Some(method))
}

/// Returns whether the bank is working on a payment, or the customer has to confirm it.
const fn is_undecided(payment: &Named<Payment>) -> bool {
    matches!(
        payment.object.status,
        PaymentStatus::Processing | PaymentStatus::RequiresAction | PaymentStatus::RequiresCapture
    )
}

async fn pay(core: &Core, invoice: &Invoice, method: &str) -> Result<bool, SyncError> {
    tracing::info!(invoice = %invoice.id, "paying {} with a new payment method", invoice.id);
    let key = Key::renewed_if_failing(core, format!("pay:{}:{method}", invoice.id)).await?;
    let paid = core.gateway().pay_invoice(&invoice.id, method, &key.to_string()).await;
    tried(key.settle_once(core, paid).await)
}

/// Resumes a paused subscription, unless this payment method has already failed to.
async fn resume(core: &Core, object: &SubscriptionObject, method: &str) -> Result<bool, SyncError> {
    let id = &object.subscription.id;
    if object.subscription.status != Status::Paused || has_failed_to_resume(core, object, method).await? {
        return Ok(false);
    }
    tracing::info!(subscription = %id, "resuming {id} with its payment method");
    let key = Key::renewed_if_failing(core, format!("resume:{id}:{method}")).await?;
    let resumed = core.gateway().resume_subscription(id, &key.to_string()).await;
    tried(key.settle_once(core, resumed).await)
}

/// Returns whether the latest invoice was not paid with this payment method. Stripe voids the invoice of an
/// attempt to resume after a day, and then nothing is open (Stripe docs, "Resume paused subscriptions").
async fn has_failed_to_resume(core: &Core, object: &SubscriptionObject, method: &str) -> Result<bool, GatewayError> {
    let Some(latest) = &object.latest_invoice else { return Ok(false) };
    let latest = core.gateway().invoice(latest).await?.object;
    if latest.status == InvoiceStatus::Paid {
        return Ok(false);
    }
    for payment in &latest.payments {
        if core.gateway().payment(payment).await?.method.as_deref() == Some(method) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A rejection, such as a declined card, is not an error: the customer sees it on the billing page. An outage is,
/// so that the events are applied again.
fn tried(response: Result<(), SyncError>) -> Result<bool, SyncError> {
    match response {
        Err(SyncError::Stripe(error)) if error.is_final() && !error.is_outage() => {
            tracing::warn!(%error, "could not collect the outstanding payment");
            Ok(true)
        }
        response => response.map(|()| true),
    }
}
