//! `/v1/subscriptions`

use serde_json::{Value, json};

use super::{Call, Route, in_range, matches_filters, page, route};
use crate::clock::DAY;
use crate::error::ApiError;
use crate::fields::{Fields, copy};
use crate::flows::invoice::{self, Bill};
use crate::flows::payment::{self, Presence};
use crate::flows::proration;
use crate::flows::subscription::{self, IfUnpaid, Wanted};
use crate::store::Tx;

pub(super) const ROUTES: &[Route] = &[
    route("POST /v1/subscriptions", create),
    route("GET /v1/subscriptions", list),
    route("GET /v1/subscriptions/:id", |tx, call| tx.find("subscription", &call.id)),
    route("POST /v1/subscriptions/:id", update),
    route("DELETE /v1/subscriptions/:id", cancel),
];

fn create(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    let customer = tx.customer(params.text("customer"))?;
    let mut currency = params.some("currency").map(str::to_owned);
    let mut items: Vec<(Value, i64, Value)> = Vec::new();
    for (index, sent) in params.list("items").iter().enumerate() {
        let param = format!("items[{index}][price]");
        let id = sent.some("price").or(sent.some("plan")).ok_or_else(|| {
            ApiError::invalid("parameter_missing", format!("Missing required param: {param}.")).on(&param)
        })?;
        let price = subscription::recurring_price(tx, id, currency.as_deref(), &param)?;
        if items.iter().any(|(known, _, _)| known["id"] == price["id"]) {
            let message = format!("Cannot add multiple subscription items with the same plan: {id}");
            return Err(ApiError::invalid("", message).on(&param));
        }
        currency.get_or_insert_with(|| price.text("currency").to_owned());
        items.push((price, sent.some_int("quantity").unwrap_or(1), sent.clone()));
    }
    subscription::consistent_intervals(items.iter().map(|(price, _, _)| price))?;
    let default = match params.some("default_payment_method") {
        None => None,
        Some(id) => Some(payment::of_customer(tx, id, customer.text("id"), "default_payment_method")?),
    };
    let default = default.as_ref().map(|method| method.text("id"));
    subscription::create(
        tx,
        &Wanted {
            customer: &customer,
            items,
            once: Vec::new(),
            trial_end: trial_end(params, tx.now())?,
            params,
            default_payment_method: default,
            if_unpaid: IfUnpaid::of(params),
            presence: Presence::of(params),
        },
    )
}

fn trial_end(params: &Value, now: i64) -> Result<Option<i64>, ApiError> {
    let end = params.some_int("trial_end");
    if end.is_some_and(|end| end <= now) {
        let message = "Invalid timestamp: must be an integer Unix timestamp in the future.";
        return Err(ApiError::invalid("", message).on("trial_end"));
    }
    let days = params.some_int("trial_period_days").filter(|days| *days > 0);
    if end.is_some() && days.is_some() {
        let message = "You may only specify one of these parameters: trial_end, trial_period_days.";
        return Err(ApiError::invalid("", message).on("trial_end"));
    }
    Ok(end.or(days.map(|days| now + days * DAY)))
}

fn list(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    let price = params.some("price").or(params.some("plan"));
    let all = tx.newest("subscription");
    page(
        call,
        all.into_iter().filter(|subscription| {
            let status = subscription.text("status");
            let wanted = match params.text("status") {
                "" => status != "canceled",
                "all" => true,
                "ended" => matches!(status, "canceled" | "incomplete_expired"),
                wanted => status == wanted,
            };
            let (start, end) = subscription::current_period(subscription);
            wanted
                && matches_filters(call, subscription, &["customer", "collection_method"])
                && in_range(params.get("current_period_start"), start)
                && in_range(params.get("current_period_end"), end)
                && price
                    .is_none_or(|price| subscription.data("items").iter().any(|item| item["price"].text("id") == price))
        }),
    )
}

fn update(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    tx.find("subscription", &call.id)?;
    subscription::update(tx, &call.id, &call.params)
}

fn cancel(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let current = tx.find("subscription", &call.id)?;
    if matches!(current.text("status"), "canceled" | "incomplete_expired") {
        return Err(ApiError::missing("subscription", &call.id));
    }
    let (prorate, invoice_now) = (call.params.flag("prorate"), call.params.flag("invoice_now"));
    if prorate && !invoice_now {
        return Err(ApiError::unsupported("prorate without invoice_now"));
    }
    if let Some(details) = call.params.get("cancellation_details") {
        tx.quietly(&call.id, |subscription| {
            copy(&mut subscription["cancellation_details"], details, &["comment", "feedback"]);
        });
    }
    if invoice_now {
        final_invoice(tx, &current, prorate)?;
    }
    subscription::end(tx, &call.id, "cancellation_requested")
}

/// Bills what is pending, less the unused time when it is prorated: it becomes credit.
fn final_invoice(tx: &mut Tx<'_>, current: &Value, prorate: bool) -> Result<(), ApiError> {
    let now = tx.now();
    let mut lines = current.list("_pending").to_vec();
    if prorate && current.text("status") != "trialing" {
        for item in current.data("items") {
            let period = proration::period_of(item);
            let credit = -proration::remaining(proration::full_price(item), period, now);
            let name = tx.get(item["price"].text("product")).map_or("Product", |product| product.text("name"));
            lines.push(proration::line(item, name, credit, (now, period.1), true));
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    let customer = tx.find("customer", current.text("customer"))?;
    let draft = invoice::draw_up(
        Bill {
            customer: &customer,
            subscription: Some(current),
            reason: "manual",
            currency: current.text("currency"),
            period: subscription::current_period(current),
            lines,
        },
        now,
    );
    tx.quietly(current.text("id"), |subscription| {
        subscription.set("latest_invoice", draft["id"].clone());
        subscription.set("_pending", json!([]));
    });
    invoice::issue(tx, &draft).map(|_| ())
}
