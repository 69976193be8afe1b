//! Subscriptions: born, paid, ended. How they change is in `change.rs`, how they go from period
//! to period in `cycle.rs`.
//!
//! Invariant: a subscription's status follows its latest invoice and the clock, never an event.
//! Proved by `a_failed_first_payment_is_incomplete`.

use serde_json::Value;

use crate::error::ApiError;
use crate::fields::{Fields, copy};
use crate::flows::collection::collect;
use crate::flows::invoice::{self, Bill};
use crate::flows::payment::Presence;
use crate::flows::terms::{
    IfUnpaid, UPDATED, apply_settings, current_period, default_method, name_of, period_end, regular_lines, set_items,
    settle_cancellation,
};
use crate::flows::{meter, proration};
use crate::objects;
use crate::store::Tx;

/// A subscription to be.
pub(crate) struct Wanted<'a> {
    pub(crate) customer: &'a Value,
    /// Price, quantity and the item's own parameters.
    pub(crate) items: Vec<(Value, Option<i64>, Value)>,
    /// One-time prices billed with the first invoice.
    pub(crate) once: Vec<(Value, i64)>,
    pub(crate) trial_end: Option<i64>,
    /// Where description, metadata, trial settings and the like come from.
    pub(crate) params: &'a Value,
    pub(crate) default_payment_method: Option<&'a str>,
    pub(crate) if_unpaid: IfUnpaid,
    pub(crate) presence: Presence,
}

/// Creates a subscription and its first invoice.
///
/// # Errors
/// What [`IfUnpaid::Fail`] asks for, or a customer without any payment method.
pub(crate) fn create(tx: &mut Tx<'_>, wanted: &Wanted<'_>) -> Result<Value, ApiError> {
    let now = tx.now();
    let (first, _, _) = wanted
        .items
        .first()
        .ok_or_else(|| ApiError::invalid("parameter_missing", "Missing required param: items.").on("items"))?;
    let currency = first.text("currency").to_owned();
    let trialing = wanted.trial_end.is_some_and(|end| end > now);
    let period = match wanted.trial_end {
        Some(end) if trialing => (now, end),
        _ => (now, period_end(&first["recurring"], now, now)),
    };
    let mut subscription = objects::subscription(wanted.customer.text("id"), &currency, now);
    let id = subscription.text("id").to_owned();
    apply_settings(&mut subscription, wanted.params);
    if let Some(method) = wanted.default_payment_method {
        subscription.set("default_payment_method", method);
    }
    subscription.set("billing_cycle_anchor", if trialing { period.1 } else { now });
    if trialing {
        subscription.set("trial_start", now);
        subscription.set("trial_end", period.1);
    }
    let items: Vec<Value> = wanted
        .items
        .iter()
        .map(|(price, quantity, params)| objects::subscription_item(&id, price, *quantity, period, params, now))
        .collect();
    set_items(&mut subscription, items);
    settle_cancellation(&mut subscription, wanted.params, now);

    let pending = invoice::pending_items(tx, wanted.customer.text("id"), None);
    let mut lines = invoice::lines_of(&pending);
    lines.extend(regular_lines(tx, &subscription, period, trialing));
    for (price, quantity) in &wanted.once {
        lines.push(proration::one_time_line(price, *quantity, &name_of(tx, price), now));
    }
    let draft = invoice::draw_up(
        Bill {
            customer: wanted.customer,
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
    } else if due > 0 && wanted.if_unpaid != IfUnpaid::Wait {
        collect(tx, &id, &issued, wanted.presence, wanted.if_unpaid)?;
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

/// A schedule ends with its subscription.
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

/// Ends a subscription at the moment that was set; what was used until then is billed.
pub(crate) fn end_as_planned(tx: &mut Tx<'_>, id: &str) -> Result<(), ApiError> {
    let current = tx.find("subscription", id)?;
    if current.data("items").iter().any(proration::is_metered) {
        bill_the_end(tx, &current, false)?;
    }
    end(tx, id, "cancellation_requested").map(|_| ())
}

/// Ends a subscription because somebody asks for it.
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

/// The unused time as credit for the next invoice, whatever that will be for.
fn credit_the_rest(tx: &mut Tx<'_>, current: &Value) -> Result<(), ApiError> {
    if current.text("status") == "trialing" {
        return Ok(());
    }
    let now = tx.now();
    let customer = tx.find("customer", current.text("customer"))?;
    for item in current.data("items").iter().filter(|item| !proration::is_metered(item)) {
        let period = proration::period_of(item);
        let credit = -proration::remaining(proration::full_price(item), period, now);
        let name = name_of(tx, &item["price"]);
        let item = proration::item(&customer, item, &name, credit, (now, period.1), now);
        tx.create("invoiceitem.created", &item);
    }
    Ok(())
}

/// Bills what is pending and what was used, less the unused time when it is prorated: a total
/// below nothing becomes credit.
fn bill_the_end(tx: &mut Tx<'_>, current: &Value, prorates: bool) -> Result<(), ApiError> {
    let now = tx.now();
    let id = current.text("id");
    if prorates {
        credit_the_rest(tx, current)?;
    }
    let customer = tx.find("customer", current.text("customer"))?;
    let pending = invoice::pending_items(tx, customer.text("id"), Some(id));
    let mut lines = invoice::lines_of(&pending);
    let (start, _) = current_period(current);
    lines.extend(meter::lines(tx, current, (start, now)));
    if lines.is_empty() {
        return Ok(());
    }
    let draft = invoice::draw_up(
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

/// Gives up on a first payment that was never made: 23 hours after creation, as at Stripe.
pub(crate) fn expire_incomplete(tx: &mut Tx<'_>, id: &str) -> Result<(), ApiError> {
    let now = tx.now();
    let subscription = tx.change(id, UPDATED, |subscription| {
        subscription.set("status", "incomplete_expired");
        subscription.set("ended_at", now);
    })?;
    invoice::void(tx, subscription.text("latest_invoice"))?;
    Ok(())
}
