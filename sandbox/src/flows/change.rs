//! Updating subscriptions: items, trial, billing anchor, settings, and billing of the change.
//!
//! Invariant: a change is first computed ([`Change`]) and then applied, so that a preview shows
//! exactly what the change will charge. Proved by `a_preview_agrees_with_the_charge`.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::fields::{Fields, copy, merge_metadata};
use crate::flows::collection::{collect, invoice_settled};
use crate::flows::invoice::{self, Bill};
use crate::flows::payment::{self, Presence};
use crate::flows::proration;
use crate::flows::terms::{
    IfUnpaid, UPDATED, apply_cancellation, apply_settings, check_collection, consistent_intervals, current_period,
    interval_of, name_of, period_end, recurring_price, regular_lines, set_items, set_period,
};
use crate::flows::{cycle, meter};
use crate::objects::{self, Customer, Object, Price};
use crate::store::Tx;
use crate::upcoming::INCOMPLETE_TTL;

/// The result of an update of items, trial or anchor.
pub(crate) struct Change {
    /// The updated subscription, including its period and anchor.
    pub(crate) subscription: Value,
    /// Prorations for the rest of the period, to bill now or with the next invoice.
    pub(crate) items: Vec<Value>,
    /// The lines of a period that starts now.
    lines: Vec<Value>,
    pub(crate) invoiced_now: bool,
}

/// Computes a change without writing. `params` are the parameters of the update endpoint, or the
/// `subscription_details` of a preview.
pub(crate) fn plan(tx: &Tx<'_>, subscription: &Value, params: &Value) -> Result<Change, ApiError> {
    let now = tx.now();
    let at = params.some_int("proration_date").unwrap_or(now);
    let period = current_period(subscription);
    if params.get("proration_date").is_some() && !(period.0..=period.1).contains(&at) {
        let message = "Cannot specify `proration_date` outside of the subscription's current billing period";
        return Err(ApiError::invalid("", message).on("proration_date"));
    }
    let old = subscription.data("items").to_vec();
    let new = changed_items(tx, subscription, params)?;
    let prorates = params.text("proration_behavior") != "none";
    let trialing = subscription.text("status") == "trialing";
    let ends_trial = trialing && params.text("trial_end") == "now";
    let new_trial = params.some_int("trial_end").filter(|end| *end > now);
    let moves = !trialing
        && new_trial.is_none()
        && (interval_of(&old) != interval_of(&new) || params.text("billing_cycle_anchor") == "now");
    let same = is_same(&old, &new);
    let customer = subscription.text("customer");
    let part = |item: &Value, sign: i64| {
        let rest = sign * proration::remaining(proration::full_price(item), period, at);
        (rest != 0).then(|| {
            proration::item(customer, item, &name_of(tx, item["price"].text("product")), rest, (at, period.1), now)
        })
    };

    let mut after = subscription.clone();
    set_items(&mut after, new);
    let mut items = Vec::new();
    let mut lines = Vec::new();
    let mut invoiced_now = false;
    if !trialing && prorates && (moves || !same || new_trial.is_some()) {
        items.extend(licensed(&old).filter_map(|item| part(item, -1)));
    }
    if let Some(end) = new_trial {
        let started = subscription.some_int("trial_start").unwrap_or(now);
        after.set("trial_start", started);
        after.set("trial_end", end);
        after.set("status", "trialing");
        after.set("billing_cycle_anchor", end);
        after.set("_warned", false);
        set_period(&mut after, (now, end));
    } else if moves || ends_trial {
        let end = period_end(interval_of(after.data("items")), now, now);
        after.set("billing_cycle_anchor", now);
        if ends_trial {
            after.set("trial_end", now);
            after.set("status", "active");
        }
        if moves {
            lines.extend(meter::lines(tx, subscription, (period.0, now)));
        }
        set_period(&mut after, (now, end));
        lines.extend(regular_lines(tx, &after, (now, end), false));
        invoiced_now = true;
    } else {
        if !trialing && prorates && !same {
            items.extend(licensed(after.data("items")).filter_map(|item| part(item, 1)));
        }
        invoiced_now |= params.text("proration_behavior") == "always_invoice" && !items.is_empty();
    }
    Ok(Change { subscription: after, items, lines, invoiced_now })
}

fn licensed(items: &[Value]) -> impl Iterator<Item = &Value> {
    items.iter().filter(|item| !proration::is_metered(item))
}

fn is_same(old: &[Value], new: &[Value]) -> bool {
    let same = |(old, new): (&Value, &Value)| {
        old["price"]["id"] == new["price"]["id"] && old.get("quantity") == new.get("quantity")
    };
    old.len() == new.len() && old.iter().zip(new).all(same)
}

/// Returns the updated items.
fn changed_items(tx: &Tx<'_>, subscription: &Value, params: &Value) -> Result<Vec<Value>, ApiError> {
    let mut items = subscription.data("items").to_vec();
    for (index, sent) in params.list("items").iter().enumerate() {
        let param = |name: &str| format!("items[{index}][{name}]");
        let price = match sent.some("price").or(sent.some("plan")) {
            Some(id) => Some(recurring_price(tx, id, subscription.some("currency"), &param("price"))?),
            None => None,
        };
        let Some(id) = sent.some("id") else {
            let price = price.ok_or_else(|| {
                let message = format!("Missing required param: {}.", param("price"));
                ApiError::invalid("parameter_missing", message).on(&param("price"))
            })?;
            if items.iter().any(|item| item["price"].text("id") == price.id) {
                let message = format!("Cannot add multiple subscription items with the same plan: {}", price.id);
                return Err(ApiError::invalid("", message).on(&param("price")));
            }
            let quantity = sent.some_int("quantity");
            let period = current_period(subscription);
            items.push(objects::subscription_item(subscription.text("id"), &price, quantity, period, sent, tx.now()));
            continue;
        };
        let position = items
            .iter()
            .position(|item| item.text("id") == id)
            .ok_or_else(|| ApiError::missing_param("subscription_item", id, &param("id")))?;
        if sent.flag("deleted") {
            items.remove(position);
            continue;
        }
        let item = &mut items[position];
        let mut changed = proration::with_price(item, price.as_ref(), sent.some_int("quantity"))?;
        merge_metadata(&mut changed, sent);
        *item = changed;
    }
    if items.is_empty() {
        let message = "A subscription must have at least one active plan.";
        return Err(ApiError::invalid("", message).on("items"));
    }
    let prices = items.iter().map(|item| Price::from_json(item["price"].clone()));
    consistent_intervals(prices.collect::<Result<Vec<_>, _>>()?.iter())?;
    Ok(items)
}

/// Updates a subscription.
pub(crate) fn update(tx: &mut Tx<'_>, id: &str, params: &Value) -> Result<Value, ApiError> {
    let before = tx.find("subscription", id)?;
    check(tx, &before, params)?;
    if before.text("status") == "trialing"
        && params.text("trial_end") == "now"
        && cycle::ends_without_method(tx, &before)?
    {
        let now = tx.now();
        tx.quietly(id, |subscription| subscription.set("trial_end", now));
        return tx.find("subscription", id);
    }
    let change = plan(tx, &before, params)?;
    let if_unpaid = IfUnpaid::of(params);
    if if_unpaid == IfUnpaid::Pend && change.invoiced_now {
        return pend(tx, &before, change, params);
    }
    let billed = match change.invoiced_now {
        true => Some(bill(tx, &before, &change)?),
        false => None,
    };
    let moment = tx.now();
    tx.change(id, UPDATED, |subscription| {
        *subscription = change.subscription;
        apply_settings(subscription, params);
        apply_cancellation(subscription, params, moment);
        if let Some(details) = params.get("cancellation_details") {
            copy(&mut subscription["cancellation_details"], details, &["comment", "feedback"]);
        }
        if let Some((draft, _)) = &billed {
            subscription.set("latest_invoice", draft["id"].clone());
        }
    })?;
    for item in &change.items {
        tx.create("invoiceitem.created", item);
    }
    if let Some((draft, pending)) = billed {
        let issued = invoice::issue(tx, &draft, &pending)?;
        charge(tx, id, &issued, params)?;
    }
    tx.find("subscription", id)
}

/// Checks that the parameters are allowed in the subscription's state.
fn check(tx: &Tx<'_>, before: &Value, params: &Value) -> Result<(), ApiError> {
    if matches!(before.text("status"), "canceled" | "incomplete_expired") {
        let only_notes = params.as_object().is_some_and(|params| {
            params.keys().all(|key| matches!(key.as_str(), "metadata" | "cancellation_details" | "expand"))
        });
        if !only_notes {
            let message = "A canceled subscription can only update its cancellation_details and metadata.";
            return Err(ApiError::invalid("", message));
        }
    }
    if params.some_int("trial_end").is_some_and(|end| end <= tx.now()) {
        let message = "Invalid timestamp: must be an integer Unix timestamp in the future.";
        return Err(ApiError::invalid("", message).on("trial_end"));
    }
    let cancels = ["cancel_at_period_end", "cancel_at"].into_iter().find(|key| params.get(*key).is_some());
    if let (Some(schedule), Some(param)) = (before.some("schedule"), cancels) {
        let message = format!(
            "The subscription is managed by the subscription schedule `{schedule}`, and updating any cancelation behavior directly is not allowed. Please update the schedule instead."
        );
        return Err(ApiError::invalid("", message).on(param));
    }
    if let Some(method) = params.some("default_payment_method") {
        payment::of_customer(tx, method, before.text("customer"), "default_payment_method")?;
    }
    if params.text("payment_behavior") == "pending_if_incomplete" {
        check_pending(params)?;
    }
    check_collection(before.text("collection_method"), params)
}

/// Checks that the parameters are allowed with `pending_if_incomplete`.
fn check_pending(params: &Value) -> Result<(), ApiError> {
    let allowed = [
        "billing_cycle_anchor",
        "expand",
        "items",
        "off_session",
        "payment_behavior",
        "proration_behavior",
        "proration_date",
        "trial_end",
        "trial_from_plan",
    ];
    let sent = params.as_object().into_iter().flat_map(|params| params.keys());
    match sent.into_iter().find(|key| !allowed.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => {
            let message = format!("You cannot set `payment_behavior` to `pending_if_incomplete` when passing `{key}`.");
            Err(ApiError::invalid("", message).on("payment_behavior"))
        }
    }
}

/// Returns the invoice of a change, and the pending items on it, including those of the change.
fn bill(tx: &Tx<'_>, before: &Value, change: &Change) -> Result<(Value, Vec<Value>), ApiError> {
    let customer: Customer = tx.read(before.text("customer"))?;
    let mut pending = invoice::pending_items(tx, &customer.id, before.some("id"));
    pending.extend(change.items.iter().cloned());
    let mut lines = invoice::lines_of(&pending);
    lines.extend(change.lines.iter().cloned());
    let draft = invoice::draft(
        Bill {
            customer: &customer,
            subscription: Some(&change.subscription),
            reason: "subscription_update",
            currency: before.text("currency"),
            period: current_period(before),
            lines,
        },
        tx.now(),
    );
    Ok((draft, pending))
}

/// Collects the invoice of a change; if that fails, the subscription becomes past due.
fn charge(tx: &mut Tx<'_>, id: &str, issued: &Value, params: &Value) -> Result<(), ApiError> {
    if issued.text("status") == "paid" {
        return Ok(());
    }
    if invoice::is_sent(issued) {
        return invoice::send(tx, issued.text("id")).map(|_| ());
    }
    let if_unpaid = IfUnpaid::of(params);
    if if_unpaid != IfUnpaid::Wait {
        collect(tx, id, issued, Presence::of(params), if_unpaid)?;
    }
    let unpaid = tx.find("invoice", issued.text("id"))?.text("status") != "paid";
    if unpaid { cycle::past_due(tx, id, issued.text("id")) } else { Ok(()) }
}

/// Stores a pending update. It is applied when its invoice is paid, possibly right away, and expires after
/// 23 hours.
fn pend(tx: &mut Tx<'_>, before: &Value, change: Change, params: &Value) -> Result<Value, ApiError> {
    let id = before.text("id");
    let (draft, pending) = bill(tx, before, &change)?;
    let expires_at = tx.now() + INCOMPLETE_TTL;
    tx.change(id, UPDATED, |subscription| {
        subscription.set("latest_invoice", draft["id"].clone());
        subscription.set(
            "pending_update",
            json!({
                "billing_cycle_anchor": null,
                "expires_at": expires_at,
                "subscription_items": change.subscription.data("items"),
                "trial_end": params.some_int("trial_end"),
                "trial_from_plan": null,
            }),
        );
        subscription.set("_pending_change", change.subscription);
    })?;
    for item in &change.items {
        tx.create("invoiceitem.created", item);
    }
    let issued = invoice::issue(tx, &draft, &pending)?;
    match issued.text("status") {
        "paid" => invoice_settled(tx, &issued)?,
        _ => collect(tx, id, &issued, Presence::of(params), IfUnpaid::Allow)?,
    }
    tx.find("subscription", id)
}

/// Discards a pending update whose invoice was not paid in time.
pub(crate) fn expire_pending(tx: &mut Tx<'_>, id: &str) -> Result<(), ApiError> {
    let events = [UPDATED, "customer.subscription.pending_update_expired"];
    let subscription = tx.change_with_events(id, &events, |subscription| {
        subscription.set("pending_update", Value::Null);
        subscription.set("_pending_change", Value::Null);
    })?;
    let invoice = subscription.text("latest_invoice");
    if tx.get(invoice).is_some_and(|invoice| invoice.text("status") == "open") {
        invoice::void(tx, invoice)?;
    }
    Ok(())
}

/// Previews an invoice: of a change, or of the next renewal.
pub(crate) fn preview(tx: &Tx<'_>, subscription: &Value, details: &Value) -> Result<Value, ApiError> {
    let change = plan(tx, subscription, details)?;
    let customer: Customer = tx.read(subscription.text("customer"))?;
    let mut pending = invoice::pending_items(tx, &customer.id, subscription.some("id"));
    pending.extend(change.items.iter().cloned());
    let mut lines = invoice::lines_of(&pending);
    lines.extend(change.lines);
    let period = current_period(&change.subscription);
    if !change.invoiced_now {
        let anchor = change.subscription.int("billing_cycle_anchor");
        let next = (period.1, period_end(interval_of(change.subscription.data("items")), anchor, period.1));
        lines.extend(meter::lines(tx, subscription, current_period(subscription)));
        lines.extend(regular_lines(tx, &change.subscription, next, false));
    }
    let mut invoice = invoice::draft(
        Bill {
            customer: &customer,
            subscription: Some(&change.subscription),
            reason: if change.invoiced_now { "subscription_update" } else { "upcoming" },
            currency: subscription.text("currency"),
            period,
            lines,
        },
        tx.now(),
    );
    let date = details.some_int("proration_date");
    invoice["parent"]["subscription_details"].set("subscription_proration_date", date);
    let id = invoice.text("id").replacen("in_", "upcoming_in_", 1);
    invoice.set("id", id);
    Ok(invoice)
}
