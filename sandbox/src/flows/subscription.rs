//! Subscriptions: born, changed, renewed, ended.
//!
//! Invariant: a subscription's status follows its latest invoice and the clock, never an
//! event. Changes are computed first ([`Change`]) and applied afterwards, so that a preview
//! shows exactly what the change will charge. Proved by `a_preview_agrees_with_the_charge`.

use serde_json::{Value, json};

use crate::clock;
use crate::error::ApiError;
use crate::fields::{Fields, copy, merge_metadata};
use crate::flows::invoice::{self, Bill};
use crate::flows::payment::{self, Presence};
use crate::flows::proration;
use crate::objects;
use crate::store::Tx;

/// Days after a failed renewal at which it is tried again.
const RETRY_DAYS: [i64; 3] = [3, 5, 7];

const UPDATED: &str = "customer.subscription.updated";

/// What to do when the first (or a changed) invoice cannot be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfUnpaid {
    /// The subscription stands, `incomplete` or `past_due`.
    Allow,
    /// The request fails and nothing has happened.
    Fail,
    /// No attempt is made: the client will confirm the payment.
    Wait,
}

impl IfUnpaid {
    /// Reads `payment_behavior`.
    pub(crate) fn of(params: &Value) -> Self {
        match params.text("payment_behavior") {
            "error_if_incomplete" => Self::Fail,
            "default_incomplete" => Self::Wait,
            _ => Self::Allow,
        }
    }
}

/// A subscription to be.
pub(crate) struct Wanted<'a> {
    pub(crate) customer: &'a Value,
    /// Price, quantity and the item's own parameters.
    pub(crate) items: Vec<(Value, i64, Value)>,
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

    let mut lines = regular_lines(tx, &subscription, period, trialing);
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
    let status = match (trialing, due) {
        (true, _) => "trialing",
        (false, 0) => "active",
        (false, _) => "incomplete",
    };
    subscription.set("status", status);
    subscription.set("latest_invoice", draft["id"].clone());
    tx.create("customer.subscription.created", &subscription);
    let issued = invoice::issue(tx, &draft)?;
    if due > 0 && wanted.if_unpaid != IfUnpaid::Wait {
        collect(tx, &id, &issued, wanted.presence, wanted.if_unpaid)?;
    }
    tx.find("subscription", &id)
}

/// Pays an invoice of a subscription with its default payment method.
fn collect(
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
    match invoice::pay(tx, invoice.text("id"), &method, presence) {
        Ok(invoice) if invoice.text("status") == "paid" => settled(tx, &invoice),
        Ok(_) if if_unpaid == IfUnpaid::Fail => Err(crate::cards::AUTHENTICATION_REQUIRED.error().without_trace()),
        Err(error) if if_unpaid == IfUnpaid::Fail => Err(error.without_trace()),
        Err(error) if !error.is_card_error() => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The payment method that a subscription is charged with.
pub(crate) fn default_method(tx: &Tx<'_>, subscription: &Value) -> Option<String> {
    if let Some(method) = subscription.some("default_payment_method") {
        return Some(method.to_owned());
    }
    let customer = tx.get(subscription.text("customer"))?;
    payment::default_method(customer)
}

/// What follows for the subscription when one of its invoices is paid.
pub(crate) fn settled(tx: &mut Tx<'_>, invoice: &Value) -> Result<(), ApiError> {
    let Some(id) = invoice::subscription_of(invoice).map(str::to_owned) else {
        return Ok(());
    };
    let subscription = tx.find("subscription", &id)?;
    if !matches!(subscription.text("status"), "incomplete" | "past_due" | "unpaid")
        || subscription.text("latest_invoice") != invoice.text("id")
    {
        return Ok(());
    }
    let saves = subscription["payment_settings"].text("save_default_payment_method") == "on_subscription";
    let used =
        tx.get(invoice.text("_payment_intent")).and_then(|intent| intent.some("payment_method").map(str::to_owned));
    if let Some(used) = used.as_deref().filter(|_| saves) {
        let method = payment::method(tx, used, "payment_method")?;
        payment::attach(tx, &method, subscription.text("customer"))?;
    }
    tx.change(&id, UPDATED, |subscription| {
        subscription.set("status", "active");
        if let Some(used) = used.filter(|_| saves) {
            subscription.set("default_payment_method", used);
        }
    })?;
    Ok(())
}

/// The settings that creation and update share; what they mean is read where it matters.
fn apply_settings(subscription: &mut Value, params: &Value) {
    copy(subscription, params, &["description", "default_payment_method"]);
    merge_metadata(subscription, params);
    if let Some(settings) = params.get("trial_settings").filter(|settings| settings.is_object()) {
        subscription.set("trial_settings", settings.clone());
    }
    if let Some(settings) = params.get("payment_settings") {
        copy(
            &mut subscription["payment_settings"],
            settings,
            &["payment_method_options", "payment_method_types", "save_default_payment_method"],
        );
    }
    if let Some(kind) = params.get("billing_mode").and_then(|mode| mode.some("type")) {
        let flexible = match kind {
            "flexible" => json!({ "proration_discounts": "included" }),
            _ => Value::Null,
        };
        subscription.set("billing_mode", json!({ "flexible": flexible, "type": kind, "updated_at": null }));
    }
}

/// `cancel_at_period_end` and `cancel_at`, and what they imply.
fn settle_cancellation(subscription: &mut Value, params: &Value, now: i64) {
    let at_end = params.get("cancel_at_period_end").and_then(Value::as_bool);
    let at = params.get("cancel_at");
    if at_end.is_none() && at.is_none() {
        return;
    }
    if let Some(at_end) = at_end {
        let end = current_period(subscription).1;
        subscription.set("cancel_at_period_end", at_end);
        subscription.set("cancel_at", at_end.then_some(end));
    }
    if let Some(at) = at {
        subscription.set("cancel_at_period_end", false);
        subscription.set("cancel_at", at.as_i64());
    }
    let ends = subscription.some_int("cancel_at").is_some();
    let since = subscription.some_int("canceled_at").unwrap_or(now);
    subscription.set("canceled_at", ends.then_some(since));
    let reason = ends.then_some("cancellation_requested");
    subscription["cancellation_details"].set("reason", reason);
}

/// The period that all items share.
pub(crate) fn current_period(subscription: &Value) -> (i64, i64) {
    subscription.data("items").first().map_or((0, 0), proration::period_of)
}

fn set_items(subscription: &mut Value, items: Vec<Value>) {
    let count = items.len();
    subscription["items"].set("data", items);
    subscription["items"].set("total_count", count);
}

/// The first moment after `from` that is a whole number of intervals after `anchor`.
fn period_end(recurring: &Value, anchor: i64, from: i64) -> i64 {
    let (interval, every) = (recurring.text("interval"), recurring.int("interval_count").max(1));
    let mut count = 1;
    loop {
        let end = clock::add_interval(anchor, interval, count * every);
        if end > from || count > 100_000 {
            return end;
        }
        count += 1;
    }
}

fn name_of(tx: &Tx<'_>, price: &Value) -> String {
    tx.get(price.text("product")).map_or_else(|| "Product".to_owned(), |product| product.text("name").to_owned())
}

/// The lines of a full period (of nothing, in a trial).
fn regular_lines(tx: &Tx<'_>, subscription: &Value, period: (i64, i64), trial: bool) -> Vec<Value> {
    let items = subscription.data("items").iter();
    items
        .map(|item| {
            let name = name_of(tx, &item["price"]);
            if !trial {
                return proration::line(item, &name, proration::full_price(item), period, false);
            }
            let mut line = proration::line(item, &name, 0, period, false);
            line.set("description", format!("Trial period for {name}"));
            line
        })
        .collect()
}

/// What an update of items, trial or anchor comes to.
pub(crate) struct Change {
    /// The subscription as it will be, period and anchor included.
    pub(crate) subscription: Value,
    /// What the change itself bills, now or with the next invoice.
    pub(crate) lines: Vec<Value>,
    pub(crate) invoiced_now: bool,
}

/// Computes a change without writing anything. `params` are those of the update endpoint, or
/// the `subscription_details` of a preview.
pub(crate) fn plan_change(tx: &Tx<'_>, subscription: &Value, params: &Value) -> Result<Change, ApiError> {
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
    let recurring = |items: &[Value]| {
        items.first().map(|item| {
            let recurring = &item["price"]["recurring"];
            (recurring.text("interval").to_owned(), recurring.int("interval_count"))
        })
    };
    let moves = !trialing
        && new_trial.is_none()
        && (recurring(&old) != recurring(&new) || params.text("billing_cycle_anchor") == "now");
    let same = old.len() == new.len()
        && old
            .iter()
            .zip(&new)
            .all(|(old, new)| old["price"]["id"] == new["price"]["id"] && old["quantity"] == new["quantity"]);

    let mut after = subscription.clone();
    set_items(&mut after, new);
    let mut lines = Vec::new();
    if !trialing && prorates && (moves || !same || new_trial.is_some()) {
        for item in &old {
            let credit = -proration::remaining(proration::full_price(item), period, at);
            lines.push(proration::line(item, &name_of(tx, &item["price"]), credit, (at, period.1), true));
        }
    }
    let invoiced_now;
    if let Some(end) = new_trial {
        let started = subscription.some_int("trial_start").unwrap_or(now);
        after.set("trial_start", started);
        after.set("trial_end", end);
        after.set("status", "trialing");
        after.set("billing_cycle_anchor", end);
        set_period(&mut after, (now, end));
        invoiced_now = false;
    } else if moves || ends_trial {
        let end = period_end(&after.data("items").first().cloned().unwrap_or_default()["price"]["recurring"], now, now);
        after.set("billing_cycle_anchor", now);
        if ends_trial {
            after.set("trial_end", now);
            after.set("status", "active");
        }
        set_period(&mut after, (now, end));
        lines.extend(regular_lines(tx, &after, (now, end), false));
        invoiced_now = true;
    } else {
        if !trialing && prorates && !same {
            for item in after.data("items").to_vec() {
                let rest = proration::remaining(proration::full_price(&item), period, at);
                lines.push(proration::line(&item, &name_of(tx, &item["price"]), rest, (at, period.1), true));
            }
        }
        invoiced_now = params.text("proration_behavior") == "always_invoice" && !lines.is_empty();
    }
    Ok(Change { subscription: after, lines, invoiced_now })
}

fn set_period(subscription: &mut Value, period: (i64, i64)) {
    let mut items = subscription.data("items").to_vec();
    for item in &mut items {
        item.set("current_period_start", period.0);
        item.set("current_period_end", period.1);
    }
    set_items(subscription, items);
}

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
            if items.iter().any(|item| item["price"]["id"] == price["id"]) {
                let message =
                    format!("Cannot add multiple subscription items with the same plan: {}", price.text("id"));
                return Err(ApiError::invalid("", message).on(&param("price")));
            }
            let quantity = sent.some_int("quantity").unwrap_or(1);
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
        let quantity = sent.some_int("quantity").unwrap_or_else(|| item.int("quantity"));
        let price = price.unwrap_or_else(|| item["price"].clone());
        let mut changed = proration::with_price(item, &price, quantity);
        merge_metadata(&mut changed, sent);
        *item = changed;
    }
    if items.is_empty() {
        let message = "A subscription must have at least one active plan.";
        return Err(ApiError::invalid("", message).on("items"));
    }
    consistent_intervals(items.iter().map(|item| &item["price"]))?;
    Ok(items)
}

/// All recurring prices of one subscription renew together.
pub(crate) fn consistent_intervals<'a>(prices: impl Iterator<Item = &'a Value>) -> Result<(), ApiError> {
    let mut first: Option<&Value> = None;
    for price in prices {
        let known = first.get_or_insert(price);
        let (known, this) = (&known["recurring"], &price["recurring"]);
        if known["interval"] != this["interval"] || known["interval_count"] != this["interval_count"] {
            let message = "Currently, all prices on a subscription must have the same recurring interval.";
            return Err(ApiError::invalid("", message));
        }
    }
    Ok(())
}

/// An active recurring price in the expected currency.
pub(crate) fn recurring_price(tx: &Tx<'_>, id: &str, currency: Option<&str>, param: &str) -> Result<Value, ApiError> {
    let price = tx.named("price", id, param)?;
    if !price.flag("active") {
        let message = "The price specified is inactive. This field only accepts active prices.";
        return Err(ApiError::invalid("", message).on(param));
    }
    if price["recurring"].is_null() {
        let message = format!(
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`: {id}"
        );
        return Err(ApiError::invalid("", message).on(param));
    }
    if currency.is_some_and(|currency| currency != price.text("currency")) {
        let message = format!(
            "The price specified only supports `{}`. This doesn't match the expected currency: `{}`.",
            price.text("currency"),
            currency.unwrap_or_default()
        );
        return Err(ApiError::invalid("", message).on(param));
    }
    Ok(price)
}

/// Applies an update.
pub(crate) fn update(tx: &mut Tx<'_>, id: &str, params: &Value) -> Result<Value, ApiError> {
    let before = tx.find("subscription", id)?;
    if matches!(before.text("status"), "canceled" | "incomplete_expired") {
        let only_notes = params.as_object().is_some_and(|params| {
            params.keys().all(|key| matches!(key.as_str(), "metadata" | "cancellation_details" | "expand"))
        });
        if !only_notes {
            let message = "A canceled subscription can only update its cancellation_details and metadata.";
            return Err(ApiError::invalid("", message));
        }
    }
    let moment = tx.now();
    if params.some_int("trial_end").is_some_and(|end| end <= moment) {
        let message = "Invalid timestamp: must be an integer Unix timestamp in the future.";
        return Err(ApiError::invalid("", message).on("trial_end"));
    }
    if let Some(method) = params.some("default_payment_method") {
        payment::of_customer(tx, method, before.text("customer"), "default_payment_method")?;
    }
    if before.text("status") == "trialing" && params.text("trial_end") == "now" && ends_without_method(tx, &before)? {
        tx.quietly(id, |subscription| subscription.set("trial_end", moment));
        return tx.find("subscription", id);
    }
    let change = plan_change(tx, &before, params)?;
    let draft = if change.invoiced_now {
        let customer = tx.find("customer", before.text("customer"))?;
        let mut lines = before.list("_pending").to_vec();
        lines.extend(change.lines.iter().cloned());
        Some(invoice::draw_up(
            Bill {
                customer: &customer,
                subscription: Some(&change.subscription),
                reason: "subscription_update",
                currency: before.text("currency"),
                period: current_period(&before),
                lines,
            },
            moment,
        ))
    } else {
        None
    };
    tx.change(id, UPDATED, |subscription| {
        *subscription = change.subscription;
        apply_settings(subscription, params);
        settle_cancellation(subscription, params, moment);
        if let Some(details) = params.get("cancellation_details") {
            copy(&mut subscription["cancellation_details"], details, &["comment", "feedback"]);
        }
        match &draft {
            Some(draft) => {
                subscription.set("latest_invoice", draft["id"].clone());
                subscription.set("_pending", json!([]));
            }
            None => {
                let mut pending = subscription.list("_pending").to_vec();
                pending.extend(change.lines);
                subscription.set("_pending", pending);
            }
        }
    })?;
    if let Some(draft) = draft {
        let issued = invoice::issue(tx, &draft)?;
        if issued.text("status") != "paid" {
            let presence = Presence::of(params);
            collect(tx, id, &issued, presence, IfUnpaid::of(params))?;
            let unpaid = tx.find("invoice", issued.text("id"))?.text("status") != "paid";
            if unpaid {
                past_due(tx, id, issued.text("id"))?;
            }
        }
    }
    tx.find("subscription", id)
}

/// Notes that the latest invoice could not be collected, and when it will be tried again.
fn past_due(tx: &mut Tx<'_>, id: &str, invoice: &str) -> Result<(), ApiError> {
    let now = tx.now();
    let attempts = tx.find("invoice", invoice)?.int("attempt_count");
    let next =
        usize::try_from(attempts - 1).ok().and_then(|index| RETRY_DAYS.get(index)).map(|days| now + days * clock::DAY);
    tx.quietly(invoice, |invoice| invoice.set("next_payment_attempt", next));
    if next.is_none() {
        return end(tx, id, "payment_failed").map(|_| ());
    }
    tx.change(id, UPDATED, |subscription| subscription.set("status", "past_due"))?;
    Ok(())
}

/// Tries the open invoice of a past-due subscription again.
pub(crate) fn retry(tx: &mut Tx<'_>, id: &str) -> Result<(), ApiError> {
    let subscription = tx.find("subscription", id)?;
    let invoice = tx.find("invoice", subscription.text("latest_invoice"))?;
    attempt(tx, id, &invoice)
}

/// Collects an issued invoice with nobody there; what fails makes the subscription past due.
fn attempt(tx: &mut Tx<'_>, id: &str, issued: &Value) -> Result<(), ApiError> {
    if issued.text("status") == "paid" {
        return settled(tx, issued);
    }
    let subscription = tx.find("subscription", id)?;
    let paid = match default_method(tx, &subscription) {
        None => {
            invoice::attempted(tx, issued.text("id"), false)?;
            false
        }
        Some(method) => {
            let method = payment::method(tx, &method, "default_payment_method")?;
            match invoice::pay(tx, issued.text("id"), &method, Presence::OffSession) {
                Ok(invoice) if invoice.text("status") == "paid" => {
                    settled(tx, &invoice)?;
                    true
                }
                Ok(_) => false,
                Err(error) if error.is_card_error() => false,
                Err(error) => return Err(error),
            }
        }
    };
    if paid { Ok(()) } else { past_due(tx, id, issued.text("id")) }
}

/// Moves a subscription into its next period and bills it; ends a trial that ran out.
pub(crate) fn renew(tx: &mut Tx<'_>, id: &str) -> Result<(), ApiError> {
    let now = tx.now();
    let subscription = tx.find("subscription", id)?;
    let trial_over = subscription.text("status") == "trialing";
    if trial_over && ends_without_method(tx, &subscription)? {
        return Ok(());
    }
    let previous = current_period(&subscription);
    let start = previous.1;
    let anchor = subscription.int("billing_cycle_anchor");
    let recurring = &subscription.data("items").first().cloned().unwrap_or_default()["price"]["recurring"];
    let next = (start, period_end(recurring, anchor, start));
    let mut moved = subscription.clone();
    set_period(&mut moved, next);
    if trial_over {
        moved.set("status", "active");
    }
    let mut lines = subscription.list("_pending").to_vec();
    lines.extend(regular_lines(tx, &moved, next, false));
    moved.set("_pending", json!([]));
    let customer = tx.find("customer", subscription.text("customer"))?;
    let draft = invoice::draw_up(
        Bill {
            customer: &customer,
            subscription: Some(&moved),
            reason: "subscription_cycle",
            currency: subscription.text("currency"),
            period: previous,
            lines,
        },
        now,
    );
    moved.set("latest_invoice", draft["id"].clone());
    tx.change(id, UPDATED, |subscription| *subscription = moved)?;
    let issued = invoice::issue(tx, &draft)?;
    attempt(tx, id, &issued)
}

/// What `trial_settings` say when a trial ends and there is no card. `false`: it goes on, with an
/// invoice.
fn ends_without_method(tx: &mut Tx<'_>, subscription: &Value) -> Result<bool, ApiError> {
    if default_method(tx, subscription).is_some() {
        return Ok(false);
    }
    let id = subscription.text("id");
    match subscription["trial_settings"]["end_behavior"].text("missing_payment_method") {
        "cancel" => end(tx, id, "payment_failed").map(|_| true),
        "pause" => {
            let paused = tx.change(id, UPDATED, |subscription| subscription.set("status", "paused"))?;
            tx.emit("customer.subscription.paused", &paused, None);
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Ends a subscription now.
pub(crate) fn end(tx: &mut Tx<'_>, id: &str, reason: &str) -> Result<Value, ApiError> {
    let now = tx.now();
    tx.change(id, "customer.subscription.deleted", |subscription| {
        let since = subscription.some_int("canceled_at").unwrap_or(now);
        subscription.set("status", "canceled");
        subscription.set("canceled_at", since);
        subscription.set("ended_at", now);
        let details = &mut subscription["cancellation_details"];
        if details.some("reason").is_none() {
            details.set("reason", reason);
        }
    })
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

/// The invoice that is to come: of a change, or of the next renewal.
pub(crate) fn preview(tx: &Tx<'_>, subscription: &Value, details: &Value) -> Result<Value, ApiError> {
    let change = plan_change(tx, subscription, details)?;
    let customer = tx.find("customer", subscription.text("customer"))?;
    let mut lines = subscription.list("_pending").to_vec();
    lines.extend(change.lines);
    let period = current_period(&change.subscription);
    if !change.invoiced_now {
        let recurring = &change.subscription.data("items").first().cloned().unwrap_or_default()["price"]["recurring"];
        let anchor = change.subscription.int("billing_cycle_anchor");
        let next = (period.1, period_end(recurring, anchor, period.1));
        lines.extend(regular_lines(tx, &change.subscription, next, false));
    }
    let mut invoice = invoice::draw_up(
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
