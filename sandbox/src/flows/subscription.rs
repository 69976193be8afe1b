//! Creating and ending subscriptions. `change.rs` updates them, `cycle.rs` renews them.
//!
//! Invariant: a subscription's status depends on its latest invoice and the clock.
//! Proved by `a_failed_first_payment_is_incomplete`.

use serde_json::Value;

use crate::error::ApiError;
use crate::fields::Fields;
use crate::flows::collection::collect;
use crate::flows::invoice::{self, Bill};
use crate::flows::payment::Presence;
use crate::flows::terms::{
    IfUnpaid, UPDATED, apply_cancellation, apply_reasons, apply_settings, default_method, name_of, period_end,
    regular_lines,
};
use crate::flows::{meter, proration};
use crate::objects::{
    BillingReason, Customer, InvoiceLine, InvoiceStatus, Price, Recurring, Subscription, SubscriptionItem,
    SubscriptionStatus,
};
use crate::store::Tx;

/// A subscription to create.
pub(crate) struct NewSubscription<'a> {
    pub(crate) customer: &'a Customer,
    /// Price, quantity and parameters of each item.
    pub(crate) items: Vec<(Price, Option<i64>, Value)>,
    /// One-time prices billed with the first invoice.
    pub(crate) once: Vec<(Price, i64)>,
    pub(crate) trial_end: Option<i64>,
    /// Parameters such as the description, metadata and trial settings.
    pub(crate) params: &'a Value,
    pub(crate) default_payment_method: Option<&'a str>,
    pub(crate) if_unpaid: IfUnpaid,
    pub(crate) presence: Presence,
}

/// Creates a subscription and its first invoice.
///
/// # Errors
/// The customer has no payment method, or the payment failed and `if_unpaid` is [`IfUnpaid::Fail`].
pub(crate) fn create(tx: &mut Tx<'_>, new: &NewSubscription<'_>) -> Result<Subscription, ApiError> {
    let now = tx.now();
    let (first, _, _) = new
        .items
        .first()
        .ok_or_else(|| ApiError::invalid("parameter_missing", "Missing required param: items.").on("items"))?;
    let currency = first.currency.clone();
    let interval = first.recurring.as_ref().map_or(("", 1), Recurring::period);
    let trialing = new.trial_end.is_some_and(|end| end > now);
    let period = match new.trial_end {
        Some(end) if trialing => (now, end),
        _ => (now, period_end(interval, now, now)),
    };
    let mut subscription = Subscription::new(&new.customer.id, &currency, now);
    let id = subscription.id.clone();
    apply_settings(&mut subscription, new.params)?;
    if let Some(method) = new.default_payment_method {
        subscription.default_payment_method = Some(method.to_owned());
    }
    if trialing {
        subscription.billing_cycle_anchor = period.1;
        subscription.trial_start = Some(now);
        subscription.trial_end = Some(period.1);
    }
    let items = new.items.iter();
    let items = items
        .map(|(price, quantity, params)| SubscriptionItem::new(&id, price.clone(), *quantity, period, params, now));
    subscription.set_items(items.collect());
    apply_cancellation(&mut subscription, new.params, now);

    let pending = invoice::pending_items(tx, &new.customer.id, None)?;
    let mut lines = invoice::lines_of(&pending);
    lines.extend(regular_lines(tx, &subscription, period, trialing));
    for (price, quantity) in &new.once {
        lines.push(InvoiceLine::once(price, *quantity, &name_of(tx, &price.product), now));
    }
    let draft = invoice::draft(
        Bill {
            customer: new.customer,
            subscription: Some(&subscription),
            reason: BillingReason::SubscriptionCreate,
            currency: &currency,
            period: (now, now),
            lines,
        },
        now,
    );
    let due = draft.amount_due;
    let sent = draft.is_sent();
    subscription.status = match trialing {
        true => SubscriptionStatus::Trialing,
        false if due == 0 || sent => SubscriptionStatus::Active,
        false => SubscriptionStatus::Incomplete,
    };
    subscription.latest_invoice = Some(draft.id.clone());
    tx.insert("customer.subscription.created", &subscription)?;
    let issued = invoice::issue(tx, &draft, &pending)?;
    if sent {
        invoice::send(tx, &issued.id)?;
    } else if due > 0 && new.if_unpaid != IfUnpaid::Wait {
        collect(tx, &id, &issued, new.presence, new.if_unpaid)?;
    }
    tx.read(&id)
}

/// Ends a subscription now.
pub(crate) fn end(tx: &mut Tx<'_>, id: &str, reason: &str) -> Result<Subscription, ApiError> {
    let now = tx.now();
    end_schedule(tx, id)?;
    let ended = tx.update(id, "customer.subscription.deleted", |subscription: &mut Subscription| {
        subscription.set_status(SubscriptionStatus::Canceled);
        subscription.canceled_at.get_or_insert(now);
        subscription.ended_at = Some(now);
        subscription.schedule = None;
        subscription.cancellation_details.reason.get_or_insert_with(|| reason.to_owned());
    })?;
    invoice::stop_collecting(tx, id)?;
    Ok(ended)
}

/// Ends the schedule of a subscription that is ending.
fn end_schedule(tx: &mut Tx<'_>, subscription: &str) -> Result<(), ApiError> {
    let ended: Subscription = tx.read(subscription)?;
    let schedule = ended.schedule.as_deref().and_then(|id| tx.get(id));
    let active = schedule.filter(|schedule| schedule.text("status") == "active");
    let Some(id) = active.map(|schedule| schedule.text("id").to_owned()) else {
        return Ok(());
    };
    let event = match ended.status {
        SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid => "subscription_schedule.aborted",
        _ => "subscription_schedule.canceled",
    };
    stop_schedule(tx, &id, event).map(|_| ())
}

pub(crate) fn stop_schedule(tx: &mut Tx<'_>, id: &str, event: &str) -> Result<Value, ApiError> {
    let now = tx.now();
    tx.change(id, event, |schedule| {
        schedule.set("status", "canceled");
        schedule.set("canceled_at", now);
        schedule.set("current_phase", Value::Null);
    })
}

/// Ends a subscription at its scheduled time, and bills usage until then.
pub(crate) fn end_at_schedule(tx: &mut Tx<'_>, id: &str) -> Result<(), ApiError> {
    let current: Subscription = tx.read(id)?;
    if current.items().iter().any(SubscriptionItem::is_metered) {
        bill_final_invoice(tx, &current, false)?;
    }
    end(tx, id, "cancellation_requested").map(|_| ())
}

/// Cancels a subscription on request.
pub(crate) fn cancel(tx: &mut Tx<'_>, current: &Subscription, params: &Value) -> Result<Subscription, ApiError> {
    let id = &current.id;
    tx.update_quietly(id, |subscription| apply_reasons(subscription, params))?;
    if params.flag("invoice_now") {
        bill_final_invoice(tx, current, params.flag("prorate"))?;
    } else if params.flag("prorate") {
        credit_unused_time(tx, current)?;
    }
    end(tx, id, "cancellation_requested")
}

/// Credits the unused time to the customer's next invoice.
fn credit_unused_time(tx: &mut Tx<'_>, current: &Subscription) -> Result<(), ApiError> {
    if current.status == SubscriptionStatus::Trialing {
        return Ok(());
    }
    let now = tx.now();
    let period = current.period();
    for item in current.items().iter().filter(|item| !item.is_metered()) {
        let credit = -proration::remaining(item.full_price(), period, now);
        let name = name_of(tx, &item.price.product);
        let item = proration::item(&current.customer, item, &name, credit, (now, period.1), now);
        tx.insert("invoiceitem.created", &item)?;
    }
    Ok(())
}

/// Bills pending items and usage, and credits the unused time if `prorates` is set. A negative total becomes
/// credit.
fn bill_final_invoice(tx: &mut Tx<'_>, current: &Subscription, prorates: bool) -> Result<(), ApiError> {
    let now = tx.now();
    let id = &current.id;
    if prorates {
        credit_unused_time(tx, current)?;
    }
    let customer: Customer = tx.read(&current.customer)?;
    let pending = invoice::pending_items(tx, &customer.id, Some(id))?;
    let mut lines = invoice::lines_of(&pending);
    // A trial is free, usage included.
    if current.status != SubscriptionStatus::Trialing {
        let (start, _) = current.period();
        lines.extend(meter::lines(tx, current, (start, now)));
    }
    if lines.is_empty() {
        return Ok(());
    }
    let draft = invoice::draft(
        Bill {
            customer: &customer,
            subscription: Some(current),
            reason: BillingReason::Manual,
            currency: &current.currency,
            period: current.period(),
            lines,
        },
        now,
    );
    tx.update_quietly(id, |subscription: &mut Subscription| {
        subscription.latest_invoice = Some(draft.id.clone());
    })?;
    let issued = invoice::issue(tx, &draft, &pending)?;
    if issued.status == InvoiceStatus::Open && !issued.is_sent() && default_method(tx, current).is_some() {
        collect(tx, id, &issued, Presence::OffSession, IfUnpaid::Allow)?;
    }
    Ok(())
}

/// Expires a subscription whose first payment was not made within 23 hours, as in Stripe.
pub(crate) fn expire_incomplete(tx: &mut Tx<'_>, id: &str) -> Result<(), ApiError> {
    let now = tx.now();
    let subscription = tx.update(id, UPDATED, |subscription: &mut Subscription| {
        subscription.status = SubscriptionStatus::IncompleteExpired;
        subscription.ended_at = Some(now);
    })?;
    invoice::void(tx, &subscription.latest_invoice.unwrap_or_default())?;
    Ok(())
}
