//! Creating and ending subscriptions. `change.rs` updates them, `cycle.rs` renews them.
//!
//! Invariant: a subscription's status depends on its latest invoice and the clock.
//! Proved by `a_failed_first_payment_is_incomplete`.

use serde_json::Value;

use crate::error::ApiError;
use crate::fields::{Fields, copy};
use crate::flows::collection::collect;
use crate::flows::invoice::{self, Bill};
use crate::flows::payment::Presence;
use crate::flows::terms::{
    IfUnpaid, UPDATED, apply_cancellation, apply_settings, current_period, default_method, name_of, period_end,
    regular_lines, set_items,
};
use crate::flows::{meter, proration};
use crate::objects::{self, Customer, Price, Recurring};
use crate::store::Tx;

/// A subscription to create.
pub(crate) struct NewSubscription<'a> {
    pub(crate) customer: &'a Customer,
    /// Price, quantity and parameters of each item.
    pub(crate) items: Vec<(Price, Option<i64>, Value)>,
    /// One-time prices billed with the first invoice.
    pub(crate) once: Vec<(Price, i64)>,
    pub(crate) trial_end: Option<i64>,
    /// Parameters with the description, metadata, trial settings and the like.
    pub(crate) params: &'a Value,
    pub(crate) default_payment_method: Option<&'a str>,
    pub(crate) if_unpaid: IfUnpaid,
    pub(crate) presence: Presence,
}

/// Creates a subscription and its first invoice.
///
/// # Errors
/// The customer has no payment method, or the payment failed and `if_unpaid` is [`IfUnpaid::Fail`].
pub(crate) fn create(tx: &mut Tx<'_>, new: &NewSubscription<'_>) -> Result<Value, ApiError> {
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
    let mut subscription = objects::subscription(&new.customer.id, &currency, now);
    let id = subscription.text("id").to_owned();
    apply_settings(&mut subscription, new.params);
    if let Some(method) = new.default_payment_method {
        subscription.set("default_payment_method", method);
    }
    subscription.set("billing_cycle_anchor", if trialing { period.1 } else { now });
    if trialing {
        subscription.set("trial_start", now);
        subscription.set("trial_end", period.1);
    }
    let items: Vec<Value> = new
        .items
        .iter()
        .map(|(price, quantity, params)| objects::subscription_item(&id, price, *quantity, period, params, now))
        .collect();
    set_items(&mut subscription, items);
    apply_cancellation(&mut subscription, new.params, now);

    let pending = invoice::pending_items(tx, &new.customer.id, None);
    let mut lines = invoice::lines_of(&pending);
    lines.extend(regular_lines(tx, &subscription, period, trialing));
    for (price, quantity) in &new.once {
        lines.push(proration::one_time_line(price, *quantity, &name_of(tx, &price.product), now));
    }
    let draft = invoice::draft(
        Bill {
            customer: new.customer,
            subscription: Some(&subscription),
            reason: "subscription_create",
            currency: &currency,
            period: (now, now),
            lines,
        },
        now,
    );
    let due = draft.int("amount_due");
    let sent = invoice::is_sent(&draft);
    let status = match trialing {
        true => "trialing",
        false if due == 0 || sent => "active",
        false => "incomplete",
    };
    subscription.set("status", status);
    subscription.set("latest_invoice", draft["id"].clone());
    tx.create("customer.subscription.created", &subscription);
    let issued = invoice::issue(tx, &draft, &pending)?;
    if sent {
        invoice::send(tx, issued.text("id"))?;
    } else if due > 0 && new.if_unpaid != IfUnpaid::Wait {
        collect(tx, &id, &issued, new.presence, new.if_unpaid)?;
    }
    tx.find("subscription", &id)
}

/// Ends a subscription now.
pub(crate) fn end(tx: &mut Tx<'_>, id: &str, reason: &str) -> Result<Value, ApiError> {
    let now = tx.now();
    end_schedule(tx, id)?;
    let ended = tx.change(id, "customer.subscription.deleted", |subscription| {
        let since = subscription.some_int("canceled_at").unwrap_or(now);
        subscription.set("status", "canceled");
        subscription.set("canceled_at", since);
        subscription.set("ended_at", now);
        subscription.set("schedule", Value::Null);
        let details = &mut subscription["cancellation_details"];
        if details.some("reason").is_none() {
            details.set("reason", reason);
        }
    })?;
    invoice::stop_collecting(tx, id)?;
    Ok(ended)
}

/// Ends the schedule of a subscription that ends.
fn end_schedule(tx: &mut Tx<'_>, subscription: &str) -> Result<(), ApiError> {
    let ended = tx.find("subscription", subscription)?;
    let active = tx.get(ended.text("schedule")).filter(|schedule| schedule.text("status") == "active");
    let Some(id) = active.map(|schedule| schedule.text("id").to_owned()) else {
        return Ok(());
    };
    let event = match ended.text("status") {
        "past_due" | "unpaid" => "subscription_schedule.aborted",
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
pub(crate) fn end_as_planned(tx: &mut Tx<'_>, id: &str) -> Result<(), ApiError> {
    let current = tx.find("subscription", id)?;
    if current.data("items").iter().any(proration::is_metered) {
        bill_the_end(tx, &current, false)?;
    }
    end(tx, id, "cancellation_requested").map(|_| ())
}

/// Cancels a subscription on request.
pub(crate) fn cancel(tx: &mut Tx<'_>, current: &Value, params: &Value) -> Result<Value, ApiError> {
    let id = current.text("id");
    if let Some(details) = params.get("cancellation_details") {
        tx.quietly(id, |subscription| {
            copy(&mut subscription["cancellation_details"], details, &["comment", "feedback"]);
        });
    }
    if params.flag("invoice_now") {
        bill_the_end(tx, current, params.flag("prorate"))?;
    } else if params.flag("prorate") {
        credit_the_rest(tx, current)?;
    }
    end(tx, id, "cancellation_requested")
}

/// Credits the unused time to the customer's next invoice.
fn credit_the_rest(tx: &mut Tx<'_>, current: &Value) -> Result<(), ApiError> {
    if current.text("status") == "trialing" {
        return Ok(());
    }
    let now = tx.now();
    let customer = current.text("customer");
    for item in current.data("items").iter().filter(|item| !proration::is_metered(item)) {
        let period = proration::period_of(item);
        let credit = -proration::remaining(proration::full_price(item), period, now);
        let name = name_of(tx, item["price"].text("product"));
        let item = proration::item(customer, item, &name, credit, (now, period.1), now);
        tx.create("invoiceitem.created", &item);
    }
    Ok(())
}

/// Bills pending items and usage, and with `prorates` credits the unused time. A negative total becomes
/// credit.
fn bill_the_end(tx: &mut Tx<'_>, current: &Value, prorates: bool) -> Result<(), ApiError> {
    let now = tx.now();
    let id = current.text("id");
    if prorates {
        credit_the_rest(tx, current)?;
    }
    let customer: Customer = tx.read(current.text("customer"))?;
    let pending = invoice::pending_items(tx, &customer.id, Some(id));
    let mut lines = invoice::lines_of(&pending);
    let (start, _) = current_period(current);
    lines.extend(meter::lines(tx, current, (start, now)));
    if lines.is_empty() {
        return Ok(());
    }
    let draft = invoice::draft(
        Bill {
            customer: &customer,
            subscription: Some(current),
            reason: "manual",
            currency: current.text("currency"),
            period: current_period(current),
            lines,
        },
        now,
    );
    tx.quietly(id, |subscription| subscription.set("latest_invoice", draft["id"].clone()));
    let issued = invoice::issue(tx, &draft, &pending)?;
    if issued.text("status") == "open" && !invoice::is_sent(&issued) && default_method(tx, current).is_some() {
        collect(tx, id, &issued, Presence::OffSession, IfUnpaid::Allow)?;
    }
    Ok(())
}

/// Expires a subscription whose first payment was not made within 23 hours, as at Stripe.
pub(crate) fn expire_incomplete(tx: &mut Tx<'_>, id: &str) -> Result<(), ApiError> {
    let now = tx.now();
    let subscription = tx.change(id, UPDATED, |subscription| {
        subscription.set("status", "incomplete_expired");
        subscription.set("ended_at", now);
    })?;
    invoice::void(tx, subscription.text("latest_invoice"))?;
    Ok(())
}
