//! `/v1/subscriptions` and `/v1/subscription_items`

use serde_json::{Value, json};

use crate::clock::DAY;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::flows::payment::{self, Presence};
use crate::flows::subscription::{self, NewSubscription};
use crate::flows::terms::{self, IfUnpaid};
use crate::flows::{change, currency, cycle};
use crate::http::call::{Call, Route, deleted, route};
use crate::http::list::{in_range, matches_filters, page};
use crate::objects::{CollectionMethod, Object, Price, Subscription, SubscriptionItem, SubscriptionStatus};
use crate::store::Tx;

pub(super) const ROUTES: &[Route] = &[
    route("POST /v1/subscriptions", create),
    route("GET /v1/subscriptions", list),
    route("GET /v1/subscriptions/:id", |tx, call| tx.find("subscription", &call.id)),
    route("POST /v1/subscriptions/:id", update),
    route("DELETE /v1/subscriptions/:id", cancel),
    route("POST /v1/subscriptions/:id/resume", |tx, call| cycle::resume(tx, &call.id, &call.params)?.to_json()),
    route("GET /v1/subscription_items", list_items),
    route("POST /v1/subscription_items", create_item),
    route("GET /v1/subscription_items/:id", |tx, call| item_of(tx, &call.id)?.to_json()),
    route("POST /v1/subscription_items/:id", update_item),
    route("DELETE /v1/subscription_items/:id", delete_item),
];

fn create(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    let customer = tx.customer(params.text("customer"))?;
    let mut currency = params.some("currency").map(str::to_owned);
    let mut items: Vec<(Price, Option<i64>, Value)> = Vec::new();
    for (index, sent) in params.list("items").iter().enumerate() {
        let param = format!("items[{index}][price]");
        let id = sent.some("price").or(sent.some("plan")).ok_or_else(|| {
            ApiError::invalid("parameter_missing", format!("Missing required param: {param}.")).on(&param)
        })?;
        let price = terms::recurring_price(tx, id, currency.as_deref(), &param)?;
        if items.iter().any(|(known, _, _)| known.id == price.id) {
            let message = format!("Cannot add multiple subscription items with the same plan: {id}");
            return Err(ApiError::invalid("", message).on(&param));
        }
        currency.get_or_insert_with(|| price.currency.clone());
        if sent.get("quantity").is_some() && price.is_metered() {
            let message = "Quantity should not be specified where usage_type is `metered`.";
            return Err(ApiError::invalid("", message).on(&format!("items[{index}][quantity]")));
        }
        items.push((price, sent.some_int("quantity"), sent.clone()));
    }
    if let Some(currency) = &currency {
        currency::check(tx, &customer.id, currency)?;
    }
    terms::check_collection(CollectionMethod::ChargeAutomatically, params)?;
    terms::consistent_intervals(items.iter().map(|(price, _, _)| price))?;
    let default = match params.some("default_payment_method") {
        None => None,
        Some(id) => Some(payment::of_customer(tx, id, &customer.id, "default_payment_method")?),
    };
    let default = default.as_ref().map(|method| method.text("id"));
    subscription::create(
        tx,
        &NewSubscription {
            customer: &customer,
            items,
            once: Vec::new(),
            trial_end: trial_end(params, tx.now())?,
            params,
            default_payment_method: default,
            if_unpaid: IfUnpaid::of(params),
            presence: Presence::of(params),
        },
    )?
    .to_json()
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
    match call.params.some("customer") {
        Some(id) => page(call, tx.referring("subscription", id).filter(|found| is_requested(call, found))),
        None => page(call, tx.newest("subscription").filter(|found| is_requested(call, found))),
    }
}

fn is_requested(call: &Call, stored: &Value) -> bool {
    let params = &call.params;
    let Ok(subscription) = Subscription::from_json(stored.clone()) else {
        return false;
    };
    let status = subscription.status;
    let of_status = match params.text("status") {
        "" => status != SubscriptionStatus::Canceled,
        "all" => true,
        "ended" => status.has_ended(),
        requested => status.to_string() == requested,
    };
    let price = params.some("price").or(params.some("plan"));
    let has = |price: &str| subscription.items().iter().any(|item| item.price.id == price);
    let (start, end) = subscription.period();
    of_status
        && matches_filters(call, stored, &["customer", "collection_method"])
        && in_range(params.get("current_period_start"), start)
        && in_range(params.get("current_period_end"), end)
        && price.is_none_or(has)
}

fn update(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    change::update(tx, &call.id, &call.params)?.to_json()
}

fn cancel(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let current: Subscription = tx.read(&call.id)?;
    if current.status.has_ended() {
        return Err(ApiError::missing("subscription", &call.id));
    }
    subscription::cancel(tx, &current, &call.params)?.to_json()
}

fn list_items(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let id = call.params.text("subscription");
    let subscription = tx.named("subscription", id, "subscription")?;
    page(call, subscription.data("items"))
}

/// Finds an item.
fn item_of(tx: &Tx<'_>, id: &str) -> Result<SubscriptionItem, ApiError> {
    let mut items = tx.newest(Subscription::KIND).flat_map(|subscription| subscription.data("items"));
    let found = items.find(|item| item.text("id") == id).cloned();
    found.ok_or_else(|| ApiError::missing(SubscriptionItem::KIND, id)).and_then(SubscriptionItem::from_json)
}

/// The parameters of an item's endpoints that control the change rather than set the item.
const CHANGE_PARAMS: &[&str] = &["off_session", "payment_behavior", "proration_behavior", "proration_date"];

/// Updates one item of a subscription.
fn change_item(tx: &mut Tx<'_>, subscription: &str, item: &Value, params: &Value) -> Result<Subscription, ApiError> {
    let mut update = json!({ "items": [item] });
    crate::fields::copy(&mut update, params, CHANGE_PARAMS);
    change::update(tx, subscription, &update)
}

fn create_item(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    let subscription: Subscription = tx.read_param(params.text("subscription"), "subscription")?;
    let mut item = json!({});
    crate::fields::copy(&mut item, params, &["metadata", "plan", "price", "quantity"]);
    let changed = change_item(tx, &subscription.id, &item, params)?;
    changed.items().last().ok_or_else(|| ApiError::internal("The new item is missing."))?.to_json()
}

fn update_item(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let subscription = item_of(tx, &call.id)?.subscription;
    let mut item = json!({ "id": call.id });
    crate::fields::copy(&mut item, &call.params, &["metadata", "plan", "price", "quantity"]);
    change_item(tx, &subscription, &item, &call.params)?;
    item_of(tx, &call.id)?.to_json()
}

fn delete_item(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let subscription = item_of(tx, &call.id)?.subscription;
    change_item(tx, &subscription, &json!({ "id": call.id, "deleted": true }), &call.params)?;
    Ok(deleted("subscription_item", &call.id))
}
