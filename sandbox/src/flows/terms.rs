//! The terms of a subscription: items, periods, collection settings and cancellation.

use serde_json::Value;

use crate::clock;
use crate::error::ApiError;
use crate::fields::{Fields, assign, merge};
use crate::flows::{payment, proration};
use crate::objects::{BillingMode, CollectionMethod, InvoiceLine, PauseCollection, Price, Recurring, Subscription};
use crate::store::Tx;

pub(crate) const UPDATED: &str = "customer.subscription.updated";

/// What happens when the first invoice, or the invoice of a change, cannot be paid.
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

/// Applies the settings that can be set both on creation and by an update.
pub(crate) fn apply_settings(subscription: &mut Subscription, params: &Value) -> Result<(), ApiError> {
    assign(&mut subscription.description, params, "description");
    assign(&mut subscription.default_payment_method, params, "default_payment_method");
    merge(&mut subscription.metadata, params);
    if let Some(method) = params.some("collection_method") {
        subscription.collection_method = method.parse()?;
        let is_sent = subscription.collection_method == CollectionMethod::SendInvoice;
        subscription.days_until_due = params.some_int("days_until_due").filter(|_| is_sent);
    } else if let Some(days) = params.get("days_until_due") {
        subscription.days_until_due = days.as_i64();
    }
    match params.get("pause_collection") {
        None => {}
        Some(pause) if pause.is_object() => {
            let behavior = pause.text("behavior").parse()?;
            subscription.pause_collection =
                Some(PauseCollection { behavior, resumes_at: pause.some_int("resumes_at") });
        }
        Some(_) => subscription.pause_collection = None,
    }
    if let Some(missing) = params["trial_settings"]["end_behavior"].some("missing_payment_method") {
        subscription.trial_settings.end_behavior.missing_payment_method = missing.parse()?;
    }
    if let Some(sent) = params.get("payment_settings") {
        let settings = &mut subscription.payment_settings;
        if let Some(options) = sent.get("payment_method_options") {
            settings.payment_method_options = options.clone();
        }
        if let Some(types) = sent.get("payment_method_types") {
            settings.payment_method_types = types.clone();
        }
        if let Some(saves) = sent.some("save_default_payment_method") {
            settings.save_default_payment_method = saves.parse()?;
        }
    }
    if let Some(kind) = params.get("billing_mode").and_then(|mode| mode.some("type")) {
        subscription.billing_mode = BillingMode::new(kind);
    }
    Ok(())
}

/// Applies `cancel_at_period_end` and `cancel_at`.
pub(crate) fn apply_cancellation(subscription: &mut Subscription, params: &Value, now: i64) {
    let at_end = params.get("cancel_at_period_end").and_then(Value::as_bool);
    let at = params.get("cancel_at");
    if at_end.is_none() && at.is_none() {
        return;
    }
    if let Some(at_end) = at_end {
        subscription.cancel_at_period_end = at_end;
        subscription.cancel_at = at_end.then_some(subscription.period().1);
    }
    if let Some(at) = at {
        subscription.cancel_at_period_end = false;
        subscription.cancel_at = at.as_i64();
    }
    let ends = subscription.cancel_at.is_some();
    subscription.canceled_at = ends.then_some(subscription.canceled_at.unwrap_or(now));
    subscription.cancellation_details.reason = ends.then(|| "cancellation_requested".to_owned());
}

/// Applies the customer's reasons for canceling.
pub(crate) fn apply_reasons(subscription: &mut Subscription, params: &Value) {
    if let Some(sent) = params.get("cancellation_details") {
        assign(&mut subscription.cancellation_details.comment, sent, "comment");
        assign(&mut subscription.cancellation_details.feedback, sent, "feedback");
    }
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
pub(crate) fn regular_lines(
    tx: &Tx<'_>,
    subscription: &Subscription,
    period: (i64, i64),
    trial: bool,
) -> Vec<InvoiceLine> {
    let items = subscription.items().iter().filter(|item| !item.is_metered());
    items
        .map(|item| {
            let name = name_of(tx, &item.price.product);
            if !trial {
                return proration::line(item, &name, item.full_price(), period);
            }
            let mut line = proration::line(item, &name, 0, period);
            line.description = Some(format!("Trial period for {name}"));
            line
        })
        .collect()
}

/// Checks the collection parameters of a subscription.
///
/// # Errors
/// `days_until_due` is missing for invoices that are sent, or present for invoices that are charged.
pub(crate) fn check_collection(current: CollectionMethod, params: &Value) -> Result<(), ApiError> {
    let method = params.some("collection_method").map_or(Ok(current), str::parse)?;
    let sent = method == CollectionMethod::SendInvoice;
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
pub(crate) fn default_method(tx: &Tx<'_>, subscription: &Subscription) -> Option<String> {
    let own = subscription.default_payment_method.clone();
    own.or_else(|| payment::default_method(tx, &subscription.customer))
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
