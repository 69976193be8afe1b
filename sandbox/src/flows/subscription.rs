//! Subscriptions: born, paid, ended. How they change is in `change.rs`, how they go from period
//! to period in `cycle.rs`.
//!
//! Invariant: a subscription's status follows its latest invoice and the clock, never an event.
//! Proved by `a_failed_first_payment_is_incomplete`.

use serde_json::{Value, json};

use crate::clock;
use crate::error::ApiError;
use crate::fields::{Fields, copy, merge_metadata};
use crate::flows::invoice::{self, Bill, IfRefused};
use crate::flows::payment::{self, Presence};
use crate::flows::{change, meter, proration, schedule};
use crate::objects;
use crate::store::Tx;

pub(crate) const UPDATED: &str = "customer.subscription.updated";

/// What to do when the first (or a changed) invoice cannot be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfUnpaid {
    /// The subscription stands, `incomplete` or `past_due`.
    Allow,
    /// The request fails and nothing has happened.
    Fail,
    /// No attempt is made: the client will confirm the payment.
    Wait,
    /// A change waits until its invoice is paid.
    Pend,
}

impl IfUnpaid {
    /// Reads `payment_behavior`.
    pub(crate) fn of(params: &Value) -> Self {
        match params.text("payment_behavior") {
            "error_if_incomplete" => Self::Fail,
            "default_incomplete" => Self::Wait,
            "pending_if_incomplete" => Self::Pend,
            _ => Self::Allow,
        }
    }
}

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
    // A first payment is the customer's to try again; what renews is tried again by itself.
    let if_refused = match subscription.text("status") {
        "active" | "past_due" => IfRefused::Retry,
        _ => IfRefused::Leave,
    };
    match invoice::pay(tx, invoice.text("id"), &method, presence, if_refused) {
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

/// What follows for the subscription when one of its invoices is paid (or given up as
/// uncollectible, which is as good).
pub(crate) fn settled(tx: &mut Tx<'_>, invoice: &Value) -> Result<(), ApiError> {
    let Some(id) = invoice::subscription_of(invoice).map(str::to_owned) else {
        return Ok(());
    };
    let subscription = tx.find("subscription", &id)?;
    if subscription.text("latest_invoice") != invoice.text("id") {
        return Ok(());
    }
    if subscription["pending_update"].is_object() {
        return change::apply_pending(tx, &subscription);
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
    let told: &[&str] = if resumed { &[UPDATED, "customer.subscription.resumed"] } else { &[UPDATED] };
    tx.tell(&id, told, |subscription| {
        subscription.set("status", "active");
        if let Some(used) = used.filter(|_| saves) {
            subscription.set("default_payment_method", used);
        }
    })?;
    Ok(())
}

/// The settings that creation and update share; what they mean is read where it matters.
pub(crate) fn apply_settings(subscription: &mut Value, params: &Value) {
    copy(subscription, params, &["description", "default_payment_method"]);
    merge_metadata(subscription, params);
    if let Some(method) = params.some("collection_method") {
        let days = params.some_int("days_until_due").filter(|_| method == "send_invoice");
        subscription.set("collection_method", method);
        subscription.set("days_until_due", days);
    } else if params.get("days_until_due").is_some() {
        copy(subscription, params, &["days_until_due"]);
    }
    match params.get("pause_collection") {
        None => {}
        Some(Value::Object(pause)) => {
            let behavior = pause.get("behavior").cloned();
            let resumes_at = pause.get("resumes_at").cloned();
            subscription.set("pause_collection", json!({ "behavior": behavior, "resumes_at": resumes_at }));
        }
        Some(_) => subscription.set("pause_collection", Value::Null),
    }
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
pub(crate) fn settle_cancellation(subscription: &mut Value, params: &Value, now: i64) {
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

pub(crate) fn set_items(subscription: &mut Value, items: Vec<Value>) {
    let count = items.len();
    subscription["items"].set("data", items);
    subscription["items"].set("total_count", count);
}

/// The first moment after `from` that is a whole number of intervals after `anchor`.
pub(crate) fn period_end(recurring: &Value, anchor: i64, from: i64) -> i64 {
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

pub(crate) fn name_of(tx: &Tx<'_>, price: &Value) -> String {
    tx.get(price.text("product")).map_or_else(|| "Product".to_owned(), |product| product.text("name").to_owned())
}

/// The lines of a full period (of nothing, in a trial). What is metered is billed afterwards.
pub(crate) fn regular_lines(tx: &Tx<'_>, subscription: &Value, period: (i64, i64), trial: bool) -> Vec<Value> {
    let items = subscription.data("items").iter().filter(|item| !proration::is_metered(item));
    items
        .map(|item| {
            let name = name_of(tx, &item["price"]);
            if !trial {
                return proration::line(item, &name, proration::full_price(item), period);
            }
            let mut line = proration::line(item, &name, 0, period);
            line.set("description", format!("Trial period for {name}"));
            line
        })
        .collect()
}

pub(crate) fn set_period(subscription: &mut Value, period: (i64, i64)) {
    let mut items = subscription.data("items").to_vec();
    for item in &mut items {
        item.set("current_period_start", period.0);
        item.set("current_period_end", period.1);
    }
    set_items(subscription, items);
}

/// Checks what belongs together among the parameters of a subscription.
///
/// # Errors
/// An invoice that is sent needs to know by when it is due, and one that is charged does not.
pub(crate) fn check_collection(current: &str, params: &Value) -> Result<(), ApiError> {
    let sent = params.some("collection_method").unwrap_or(current) == "send_invoice";
    let days = params.get("days_until_due").is_some();
    if params.text("collection_method") == "send_invoice" && !days {
        let message = "Must specify `days_until_due` if `collection_method` is `send_invoice`.";
        return Err(ApiError::invalid("parameter_missing", message).on("days_until_due"));
    }
    if days && !sent {
        let message = "Can only specify `days_until_due` if `collection_method` is `send_invoice`.";
        return Err(ApiError::invalid("", message).on("days_until_due"));
    }
    Ok(())
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

/// Ends a subscription now.
pub(crate) fn end(tx: &mut Tx<'_>, id: &str, reason: &str) -> Result<Value, ApiError> {
    let now = tx.now();
    schedule::subscription_ended(tx, id)?;
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
