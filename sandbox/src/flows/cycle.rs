//! The billing cycle: trials end, subscriptions renew, payments are retried, and collection pauses and
//! resumes.
//!
//! Invariant: every period is billed once, when it starts, and the outcome of its invoice determines
//! the subscription's status. Proved by `a_jump_over_several_months_bills_each_month` and
//! `a_failed_renewal_is_past_due_until_the_last_retry_cancels_it`.

use serde_json::Value;

use crate::error::ApiError;
use crate::fields::Fields;
use crate::flows::collection::{collect, invoice_settled};
use crate::flows::invoice::{self, Bill, IfDeclined};
use crate::flows::meter;
use crate::flows::payment::{self, Presence};
use crate::flows::subscription::end;
use crate::flows::terms::{IfUnpaid, UPDATED, default_method, period_end, regular_lines};
use crate::objects::{
    BillingReason, CollectionMethod, Customer, Invoice, InvoiceItem, InvoiceStatus, MissingMethod, PauseBehavior,
    PauseReason, Subscription, SubscriptionStatus,
};
use crate::settings::{AfterLastRetry, Settings};
use crate::store::Tx;

/// Moves a subscription to its next period and bills it, or ends its trial.
pub(crate) fn renew(tx: &mut Tx<'_>, id: &str) -> Result<(), ApiError> {
    let now = tx.now();
    let subscription: Subscription = tx.read(id)?;
    let trial_over = subscription.status == SubscriptionStatus::Trialing;
    if trial_over && end_trial_without_method(tx, &subscription)? {
        return Ok(());
    }
    let previous = subscription.period();
    let next = (previous.1, period_end(subscription.interval(), subscription.billing_cycle_anchor, previous.1));
    let mut moved = subscription.clone();
    moved.set_period(next);
    if trial_over {
        moved.status = SubscriptionStatus::Active;
    }
    let customer: Customer = tx.read(&subscription.customer)?;
    let pending = invoice::pending_items(tx, &customer.id, Some(id))?;
    let mut lines = invoice::lines_of(&pending);
    if !trial_over {
        lines.extend(meter::lines(tx, &subscription, previous));
    }
    lines.extend(regular_lines(tx, &moved, next, false));
    let draft = invoice::draft(
        Bill {
            customer: &customer,
            subscription: Some(&moved),
            reason: BillingReason::SubscriptionCycle,
            currency: &subscription.currency,
            period: previous,
            lines,
        },
        now,
    );
    moved.latest_invoice = Some(draft.id.clone());
    tx.replace(id, UPDATED, &moved)?;
    bill(tx, id, draft, &pending)
}

/// Collects the invoice of a renewal, unless collection is paused: now, or after its time as a draft.
fn bill(tx: &mut Tx<'_>, id: &str, mut draft: Invoice, pending: &[InvoiceItem]) -> Result<(), ApiError> {
    let subscription: Subscription = tx.read(id)?;
    let pause = subscription.pause_collection.map(|pause| pause.behavior);
    let waits = Settings::current(tx).draft_seconds;
    let stays_draft = pause == Some(PauseBehavior::KeepAsDraft) || subscription.status == SubscriptionStatus::Unpaid;
    if stays_draft {
        draft.auto_advance = false;
    } else if waits > 0 {
        draft.automatically_finalizes_at = Some(tx.now() + waits);
    }
    invoice::store(tx, &draft, pending)?;
    if stays_draft || waits > 0 {
        return Ok(());
    }
    let issued = invoice::finalize(tx, &draft.id)?;
    match pause.filter(|_| issued.status == InvoiceStatus::Open) {
        Some(PauseBehavior::Void) => invoice::void(tx, &issued.id).map(|_| ()),
        Some(_) => invoice::mark_uncollectible(tx, &issued.id).map(|_| ()),
        None => attempt(tx, &issued),
    }
}

/// Finalizes a draft that is due, and collects it.
pub(crate) fn finalize(tx: &mut Tx<'_>, invoice: &str) -> Result<(), ApiError> {
    let issued = invoice::finalize(tx, invoice)?;
    attempt(tx, &issued)
}

/// Collects an invoice off session; if that fails, its subscription becomes past due.
pub(crate) fn attempt(tx: &mut Tx<'_>, issued: &Invoice) -> Result<(), ApiError> {
    let id = &issued.id;
    if issued.status == InvoiceStatus::Paid {
        return invoice_settled(tx, issued);
    }
    if issued.is_sent() {
        return invoice::send(tx, id).map(|_| ());
    }
    let subscription = issued.subscription().map(|id| tx.read::<Subscription>(id)).transpose()?;
    let of_subscription = subscription.as_ref().and_then(|subscription| default_method(tx, subscription));
    let method = of_subscription.or_else(|| payment::default_method(tx, &issued.customer));
    let paid = match method {
        None => {
            let next = invoice::next_attempt(issued, tx.now());
            invoice::attempted(tx, id, false, next)?;
            false
        }
        Some(method) => {
            let method = payment::method(tx, &method, "default_payment_method")?;
            match invoice::pay(tx, id, &method, Presence::OffSession, IfDeclined::Retry) {
                Ok(invoice) if invoice.status == InvoiceStatus::Paid => {
                    invoice_settled(tx, &invoice)?;
                    true
                }
                // A bank debit is in progress.
                Ok(invoice) if invoice.debited => true,
                Ok(_) => false,
                Err(error) if error.is_card_error() => false,
                Err(error) => return Err(error),
            }
        }
    };
    match subscription {
        Some(subscription) if !paid => past_due(tx, &subscription.id, id),
        _ => Ok(()),
    }
}

/// Retries the payment of an open invoice.
pub(crate) fn retry(tx: &mut Tx<'_>, invoice: &str) -> Result<(), ApiError> {
    let invoice = tx.read(invoice)?;
    attempt(tx, &invoice)
}

/// Updates a subscription after a failed payment: it is past due while retries remain; after the last one,
/// the settings decide.
pub(crate) fn past_due(tx: &mut Tx<'_>, id: &str, invoice: &str) -> Result<(), ApiError> {
    let invoice: Invoice = tx.read(invoice)?;
    invoice::set_delinquent(tx, &invoice.customer, true)?;
    let subscription: Subscription = tx.read(id)?;
    if !matches!(
        subscription.status,
        SubscriptionStatus::Active | SubscriptionStatus::PastDue | SubscriptionStatus::Trialing
    ) {
        return Ok(());
    }
    let status = match Settings::current(tx).after_last_retry {
        _ if !invoice::is_exhausted(&invoice) => SubscriptionStatus::PastDue,
        AfterLastRetry::PastDue => SubscriptionStatus::PastDue,
        AfterLastRetry::Unpaid => SubscriptionStatus::Unpaid,
        AfterLastRetry::Pause => {
            let events = [UPDATED, "customer.subscription.paused"];
            tx.update_with_events(id, &events, |subscription: &mut Subscription| {
                subscription.pause(PauseReason::FinalPaymentFailure);
            })?;
            return Ok(());
        }
        AfterLastRetry::Cancel => return end(tx, id, "payment_failed").map(|_| ()),
    };
    tx.update(id, UPDATED, |subscription: &mut Subscription| subscription.status = status)?;
    Ok(())
}

/// Marks a sent invoice as overdue if it was not paid by its due date.
pub(crate) fn overdue(tx: &mut Tx<'_>, invoice: &str) -> Result<(), ApiError> {
    let invoice = tx.update_quietly(invoice, |invoice: &mut Invoice| invoice.overdue = true)?;
    invoice::set_delinquent(tx, &invoice.customer, true)?;
    let Some(id) = invoice.subscription() else {
        return Ok(());
    };
    if tx.read::<Subscription>(id)?.status == SubscriptionStatus::Active {
        tx.update(id, UPDATED, |subscription: &mut Subscription| subscription.status = SubscriptionStatus::PastDue)?;
    }
    Ok(())
}

/// Applies `trial_settings` when a trial ends without a payment method. Returns `false` if the
/// subscription continues with an invoice.
pub(crate) fn end_trial_without_method(tx: &mut Tx<'_>, subscription: &Subscription) -> Result<bool, ApiError> {
    if default_method(tx, subscription).is_some() || subscription.collection_method == CollectionMethod::SendInvoice {
        return Ok(false);
    }
    let id = &subscription.id;
    match subscription.trial_settings.end_behavior.missing_payment_method {
        MissingMethod::Cancel => end(tx, id, "payment_failed").map(|_| true),
        MissingMethod::Pause => {
            let events = [UPDATED, "customer.subscription.paused"];
            tx.update_with_events(id, &events, |subscription: &mut Subscription| {
                subscription.pause(PauseReason::TrialEndWithoutPaymentMethod);
            })?;
            Ok(true)
        }
        MissingMethod::CreateInvoice => Ok(false),
    }
}

/// Resumes collection at the scheduled time.
pub(crate) fn resume_collection(tx: &mut Tx<'_>, id: &str) -> Result<(), ApiError> {
    tx.update(id, UPDATED, |subscription: &mut Subscription| subscription.pause_collection = None)?;
    Ok(())
}

/// Resumes a paused subscription. It becomes active when its invoice is paid, immediately if nothing is
/// due.
///
/// # Errors
/// The subscription is not paused, or there is no payment method to collect its invoice with.
pub(crate) fn resume(tx: &mut Tx<'_>, id: &str, params: &Value) -> Result<Subscription, ApiError> {
    let paused: Subscription = tx.read(id)?;
    if paused.status != SubscriptionStatus::Paused {
        let message =
            format!("Only subscriptions with status `paused` can be resumed; this one is `{}`.", paused.status);
        return Err(ApiError::invalid("", message));
    }
    let now = tx.now();
    let anchored = params.text("billing_cycle_anchor") == "unchanged";
    let mut moved = paused.clone();
    let anchor = if anchored { paused.billing_cycle_anchor } else { now };
    let period = (now, period_end(paused.interval(), anchor, now));
    moved.billing_cycle_anchor = anchor;
    moved.set_period(period);
    let customer: Customer = tx.read(&paused.customer)?;
    let pending = invoice::pending_items(tx, &customer.id, Some(id))?;
    let mut lines = invoice::lines_of(&pending);
    lines.extend(regular_lines(tx, &moved, period, false));
    let bill = Bill {
        customer: &customer,
        subscription: Some(&moved),
        reason: BillingReason::SubscriptionUpdate,
        currency: &paused.currency,
        period,
        lines,
    };
    let draft = invoice::draft(bill, now);
    moved.latest_invoice = Some(draft.id.clone());
    tx.replace(id, UPDATED, &moved)?;
    let issued = invoice::issue(tx, &draft, &pending)?;
    match issued.status {
        InvoiceStatus::Paid => invoice_settled(tx, &issued)?,
        _ => collect(tx, id, &issued, Presence::OnSession, IfUnpaid::Allow)?,
    }
    tx.read(id)
}
