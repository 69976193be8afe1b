//! The terms of a subscription: items, periods, collection settings and cancellation.

use serde_json::{Value, json};

use crate::clock;
use crate::error::ApiError;
use crate::fields::{Fields, copy, merge_metadata};
use crate::flows::{payment, proration};
use crate::objects::{Price, Recurring};
use crate::store::Tx;

pub(crate) const UPDATED: &str = "customer.subscription.updated";

/// What to do when the first invoice, or the invoice of a change, cannot be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfUnpaid {
    /// The subscription becomes `incomplete` or `past_due`.
    Allow,
    /// The request fails and is rolled back.
    Fail,
    /// No attempt is made; the client confirms the payment.
    Wait,
    /// A change is applied when its invoice is paid.
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

/// Applies the settings that creating and updating have in common.
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

/// Applies `cancel_at_period_end` and `cancel_at`.
pub(crate) fn apply_cancellation(subscription: &mut Value, params: &Value, now: i64) {
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

/// Returns the current period, which all items share.
pub(crate) fn current_period(subscription: &Value) -> (i64, i64) {
    subscription.data("items").first().map_or((0, 0), proration::period_of)
}

pub(crate) fn set_items(subscription: &mut Value, items: Vec<Value>) {
    let count = items.len();
    subscription["items"].set("data", items);
    subscription["items"].set("total_count", count);
}

/// Returns the interval of a subscription, which all items share, and how many of them a period has.
pub(crate) fn interval_of(items: &[Value]) -> (&str, i64) {
    items.first().map_or(("", 1), |item| {
        let recurring = &item["price"]["recurring"];
        (recurring.text("interval"), recurring.int("interval_count").max(1))
    })
}

/// Returns the first time after `from` that is a whole number of intervals after `anchor`.
pub(crate) fn period_end((interval, every): (&str, i64), anchor: i64, from: i64) -> i64 {
    let mut count = 1;
    loop {
        let end = clock::add_interval(anchor, interval, count * every);
        if end > from || count > 100_000 {
            return end;
        }
        count += 1;
    }
}

pub(crate) fn name_of(tx: &Tx<'_>, product: &str) -> String {
    tx.get(product).map_or_else(|| "Product".to_owned(), |product| product.text("name").to_owned())
}

/// Returns the invoice lines for a full period, or for a free trial. Metered items are billed later.
pub(crate) fn regular_lines(tx: &Tx<'_>, subscription: &Value, period: (i64, i64), trial: bool) -> Vec<Value> {
    let items = subscription.data("items").iter().filter(|item| !proration::is_metered(item));
    items
        .map(|item| {
            let name = name_of(tx, item["price"].text("product"));
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

/// Checks the collection parameters of a subscription.
///
/// # Errors
/// `days_until_due` is missing for invoices that are sent, or present for invoices that are charged.
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

/// Checks that all prices of a subscription have the same interval.
pub(crate) fn consistent_intervals<'a>(prices: impl Iterator<Item = &'a Price>) -> Result<(), ApiError> {
    let mut periods = prices.filter_map(|price| price.recurring.as_ref()).map(Recurring::period);
    let first = periods.next();
    if periods.any(|period| Some(period) != first) {
        let message = "Currently, all prices on a subscription must have the same recurring interval.";
        return Err(ApiError::invalid("", message));
    }
    Ok(())
}

/// Returns a price that must be active, recurring, and in the expected currency.
pub(crate) fn recurring_price(tx: &Tx<'_>, id: &str, currency: Option<&str>, param: &str) -> Result<Price, ApiError> {
    let price: Price = tx.read_param(id, param)?;
    if !price.active {
        let message = "The price specified is inactive. This field only accepts active prices.";
        return Err(ApiError::invalid("", message).on(param));
    }
    if price.recurring.is_none() {
        let message = format!(
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`: {id}"
        );
        return Err(ApiError::invalid("", message).on(param));
    }
    if currency.is_some_and(|currency| currency != price.currency) {
        let message = format!(
            "The price specified only supports `{}`. This doesn't match the expected currency: `{}`.",
            price.currency,
            currency.unwrap_or_default()
        );
        return Err(ApiError::invalid("", message).on(param));
    }
    Ok(price)
}

/// Returns the payment method that a subscription is charged with.
pub(crate) fn default_method(tx: &Tx<'_>, subscription: &Value) -> Option<String> {
    if let Some(method) = subscription.some("default_payment_method") {
        return Some(method.to_owned());
    }
    payment::default_method(tx, subscription.text("customer"))
}

/// Reads the amount of a price, as an integer and as decimal text.
///
/// # Errors
/// The amount is missing, given twice, or negative.
pub(crate) fn amount_of(params: &Value, prefix: &str) -> Result<(Option<i64>, String), ApiError> {
    let param = |name: &str| match prefix {
        "" => name.to_owned(),
        prefix => format!("{prefix}[{name}]"),
    };
    let (whole, decimal) = (params.some_int("unit_amount"), params.some("unit_amount_decimal"));
    let (amount, text) = match (whole, decimal) {
        (Some(_), Some(_)) => {
            let message = "You may only specify one of these parameters: unit_amount, unit_amount_decimal.";
            return Err(ApiError::invalid("", message).on(&param("unit_amount")));
        }
        (Some(amount), None) => (Some(amount), amount.to_string()),
        (None, Some(text)) => (text.parse().ok(), text.to_owned()),
        (None, None) => {
            let message = format!("Missing required param: {}.", param("unit_amount"));
            return Err(ApiError::invalid("parameter_missing", message).on(&param("unit_amount")));
        }
    };
    if text.starts_with('-') {
        let message = "Invalid non-negative integer";
        return Err(ApiError::invalid("parameter_invalid_integer", message).on(&param("unit_amount")));
    }
    Ok((amount, text))
}
