//! Paying what is owed with a new payment method.
//!
//! A new card alone pays no open invoice and resumes no paused subscription: Stripe tries it at the next retry,
//! if there is one (Stripe docs, "Smart Retries"). So when an unpaid subscription is fetched, each of its open
//! invoices is paid with the payment method that the subscription has now, unless that was tried before; and a
//! subscription that is paused because of a payment is resumed. Stripe remembers the last attempt, so a payment
//! method is tried once however many events arrive, and an invoice that is paid is not paid again
//! (`tests/http/collection.rs`).

use billing::Status;
use billing::ledger::{Invoice, InvoiceStatus};

use super::fetch::Fetched;
use super::outcome::SyncError;
use crate::core::Core;
use crate::store::customers;
use crate::stripe::GatewayError;
use crate::stripe::objects::SubscriptionObject;

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
        // The Stripe account may sell other things, to customers that belong to no account here.
        if customers::by_id(core.db(), &subscription.customer).await?.is_some() {
            has_tried |= collect_one(core, fetched, object).await?;
        }
    }
    Ok(has_tried)
}

async fn collect_one(core: &Core, fetched: &Fetched, object: &SubscriptionObject) -> Result<bool, SyncError> {
    let (gateway, subscription) = (core.gateway(), &object.subscription);
    let method = match &object.method {
        Some(own) => Some(own.clone()),
        None => gateway.default_method(&subscription.customer).await?,
    };
    let Some(method) = method else { return Ok(false) };
    let open = fetched.invoices.iter().map(|fresh| &fresh.now.object).filter(|invoice| {
        invoice.status == InvoiceStatus::Open && invoice.subscription.as_ref() == Some(&subscription.id)
    });
    let mut open: Vec<&Invoice> = open.collect();
    open.sort_by_key(|invoice| invoice.created);
    if open.is_empty() {
        if subscription.status != Status::Paused {
            return Ok(false);
        }
        tracing::info!(subscription = %subscription.id, "resuming {} with its payment method", subscription.id);
        return tried(gateway.resume_subscription(&subscription.id, &method).await);
    }
    let mut has_tried = false;
    for invoice in open {
        if is_untried(core, invoice, &method).await? {
            tracing::info!(invoice = %invoice.id, "paying {} with a new payment method", invoice.id);
            has_tried |= tried(gateway.pay_invoice(&invoice.id, &method).await)?;
        }
    }
    Ok(has_tried)
}

/// Whether the invoice can be charged to a payment method that was not the last one tried.
async fn is_untried(core: &Core, invoice: &Invoice, method: &str) -> Result<bool, GatewayError> {
    for payment in &invoice.payments {
        let last = core.gateway().last_attempt(payment).await?;
        if last.is_pending || last.method.as_deref() == Some(method) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A rejection, such as a declined card, is not an error: the customer sees it on the billing page.
fn tried(response: Result<(), GatewayError>) -> Result<bool, SyncError> {
    match response {
        Err(error) if !error.is_final() => Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "could not collect the outstanding payment");
            Ok(true)
        }
        Ok(()) => Ok(true),
    }
}
