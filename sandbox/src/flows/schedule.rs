//! Subscription schedules: planned changes, in phases.
//!
//! Invariant: a phase starts when the previous one ends, and before a renewal at the same time is
//! billed. Proved by `a_scheduled_downgrade_waits_for_the_end_of_the_period`.

use serde_json::{Map, Value, json};

use crate::clock;
use crate::error::ApiError;
use crate::fields::{Fields, copy, merge_metadata, metadata};
use crate::flows::change;
use crate::flows::payment::Presence;
use crate::flows::subscription::{self, NewSubscription};
use crate::flows::terms::{IfUnpaid, UPDATED, recurring_price};
use crate::objects::{self, Recurring, Subscription, SubscriptionItem};
use crate::store::Tx;

const KIND: &str = "subscription_schedule";

/// Creates a schedule for an existing subscription, or for a new one.
pub(crate) fn create(tx: &mut Tx<'_>, params: &Value) -> Result<Value, ApiError> {
    match params.some("from_subscription") {
        Some(id) => adopt(tx, id, params),
        None => plan(tx, params),
    }
}

fn adopt(tx: &mut Tx<'_>, id: &str, params: &Value) -> Result<Value, ApiError> {
    let others = ["customer", "end_behavior", "phases", "start_date", "default_settings"];
    if let Some(param) = others.into_iter().find(|param| params.get(*param).is_some()) {
        let message = format!("You cannot set `{param}` if `from_subscription` is set.");
        return Err(ApiError::invalid("", message).on(param));
    }
    let subscription: Subscription = tx.read_param(id, "from_subscription")?;
    if subscription.status.has_ended() {
        let message = "You cannot create a subscription schedule from a subscription that has ended.";
        return Err(ApiError::invalid("", message).on("from_subscription"));
    }
    if let Some(known) = &subscription.schedule {
        let message = format!("You cannot migrate a subscription that is already attached to a schedule: `{known}`.");
        return Err(ApiError::invalid("", message).on("from_subscription"));
    }
    let (start, end) = subscription.period();
    let items = subscription.items().iter();
    let items: Vec<Value> = items.map(|item| phase_item(&item.price.id, item.quantity, &item.metadata)).collect();
    let phase = objects::schedule_phase(&subscription.currency, &items, (start, end));
    let mut schedule = objects::subscription_schedule(&subscription.customer, &[phase], tx.now());
    merge_metadata(&mut schedule, params);
    schedule.set("subscription", id);
    schedule.set("status", "active");
    schedule.set("current_phase", json!({ "start_date": start, "end_date": end }));
    tx.create("subscription_schedule.created", &schedule);
    attach(tx, id, Some(schedule.text("id")))?;
    Ok(schedule)
}

fn plan(tx: &mut Tx<'_>, params: &Value) -> Result<Value, ApiError> {
    let missing =
        |param: &str| ApiError::invalid("parameter_missing", format!("Missing required param: {param}.")).on(param);
    let customer = tx.customer(params.some("customer").ok_or_else(|| missing("customer"))?)?;
    let now = tx.now();
    let start = match params.get("start_date") {
        None => return Err(missing("start_date")),
        Some(start) => start.as_i64().unwrap_or(now),
    };
    if params.list("phases").is_empty() {
        return Err(missing("phases"));
    }
    let phases = phases(tx, params, start)?;
    let mut schedule = objects::subscription_schedule(&customer.id, &phases, now);
    copy(&mut schedule, params, &["end_behavior"]);
    merge_metadata(&mut schedule, params);
    tx.create("subscription_schedule.created", &schedule);
    if start <= now {
        start_first_phase(tx, schedule.text("id"))?;
    }
    tx.find(KIND, schedule.text("id"))
}

/// Reads the requested phases, with their prices and times.
fn phases(tx: &Tx<'_>, params: &Value, start: i64) -> Result<Vec<Value>, ApiError> {
    let mut made: Vec<Value> = Vec::new();
    let mut from = start;
    for (index, sent) in params.list("phases").iter().enumerate() {
        let mut items = Vec::new();
        let mut recurring = None;
        let mut currency = String::new();
        for (number, item) in sent.list("items").iter().enumerate() {
            let param = format!("phases[{index}][items][{number}][price]");
            let id = item.some("price").or(item.some("plan")).unwrap_or_default();
            let price = recurring_price(tx, id, None, &param)?;
            items.push(phase_item(&price.id, item.some_int("quantity"), &metadata(item)));
            recurring = price.recurring;
            currency = price.currency;
        }
        from = sent.some_int("start_date").unwrap_or(from);
        let end = end_of(sent, recurring.as_ref(), from)?;
        let mut phase = objects::schedule_phase(&currency, &items, (from, end));
        copy(&mut phase, sent, &["description", "proration_behavior"]);
        phase.set("metadata", metadata(sent));
        made.push(phase);
        from = end;
    }
    Ok(made)
}

/// Returns the end of a phase: a given time, or after a number of periods, by default one.
fn end_of(sent: &Value, recurring: Option<&Recurring>, start: i64) -> Result<i64, ApiError> {
    let (interval, every) = recurring.map_or(("", 1), Recurring::period);
    let duration = &sent["duration"];
    let end = match (sent.some_int("end_date"), sent.some_int("iterations"), duration.some("interval")) {
        (Some(end), _, _) => end,
        (None, Some(iterations), _) => clock::add_interval(start, interval, iterations * every),
        (None, None, Some(unit)) => clock::add_interval(start, unit, duration.some_int("interval_count").unwrap_or(1)),
        (None, None, None) => clock::add_interval(start, interval, every),
    };
    if end <= start {
        let message = "The subscription schedule's phases must end after they start.";
        return Err(ApiError::invalid("", message).on("phases"));
    }
    Ok(end)
}

fn phase_item(price: &str, quantity: Option<i64>, metadata: &Map<String, Value>) -> Value {
    json!({
        "billing_thresholds": null,
        "discounts": [],
        "metadata": metadata,
        "plan": price,
        "price": price,
        "quantity": quantity.unwrap_or(1),
        "tax_rates": [],
    })
}

fn attach(tx: &mut Tx<'_>, subscription: &str, schedule: Option<&str>) -> Result<(), ApiError> {
    tx.update(subscription, UPDATED, |subscription: &mut Subscription| {
        subscription.schedule = schedule.map(str::to_owned);
    })?;
    Ok(())
}

/// Returns a schedule that has not ended.
fn running(tx: &Tx<'_>, id: &str, done: &str) -> Result<Value, ApiError> {
    let schedule = tx.find(KIND, id)?;
    match schedule.text("status") {
        "active" | "not_started" => Ok(schedule),
        status => {
            let message =
                format!("You cannot {done} a subscription schedule that is currently in the `{status}` status.");
            Err(ApiError::invalid("", message))
        }
    }
}

/// Updates a schedule. Changes to the current phase take effect immediately.
pub(crate) fn update(tx: &mut Tx<'_>, id: &str, params: &Value) -> Result<Value, ApiError> {
    let schedule = running(tx, id, "update")?;
    let start = schedule.list("phases").first().map_or(tx.now(), |phase| phase.int("start_date"));
    let planned = match params.list("phases").is_empty() {
        true => schedule.list("phases").to_vec(),
        false => phases(tx, params, start)?,
    };
    let now = tx.now();
    let active = schedule.text("status") == "active";
    let current = planned.iter().find(|phase| phase.int("start_date") <= now && now < phase.int("end_date"));
    let current = current.filter(|_| active).cloned();
    if active && current.is_none() {
        let message = "You must pass the current phase when you update the phases of an active schedule.";
        return Err(ApiError::invalid("", message).on("phases"));
    }
    let updated = tx.change(id, "subscription_schedule.updated", |schedule| {
        copy(schedule, params, &["end_behavior"]);
        merge_metadata(schedule, params);
        schedule.set("phases", planned);
        if let Some(phase) = &current {
            schedule.set("current_phase", json!({ "start_date": phase["start_date"], "end_date": phase["end_date"] }));
        }
    })?;
    if let Some(phase) = current {
        enter_phase(tx, &updated, &phase, params.some("proration_behavior"))?;
    }
    tx.find(KIND, id)
}

/// Applies a phase to the subscription.
fn enter_phase(tx: &mut Tx<'_>, schedule: &Value, phase: &Value, proration: Option<&str>) -> Result<(), ApiError> {
    let subscription: Subscription = tx.read(schedule.text("subscription"))?;
    let items = items_param(subscription.items(), phase.list("items"));
    let proration = proration.or(phase.some("proration_behavior")).unwrap_or("create_prorations");
    let mut params = json!({ "items": items, "proration_behavior": proration });
    let notes = &phase["metadata"];
    if notes.as_object().is_some_and(|notes| !notes.is_empty()) {
        params.set("metadata", notes.clone());
    }
    change::update(tx, &subscription.id, &params).map(|_| ())
}

/// Returns the `items` parameter that turns one set of items into another. An item keeps its id if its
/// price is unchanged, or if one price replaces another.
fn items_param(old: &[SubscriptionItem], new: &[Value]) -> Vec<Value> {
    let mut params = Vec::new();
    let mut leaving: Vec<&SubscriptionItem> = Vec::new();
    let mut arriving: Vec<&Value> = new.iter().collect();
    for item in old {
        let position = arriving.iter().position(|planned| planned.text("price") == item.price.id);
        match position.map(|position| arriving.remove(position)) {
            Some(planned) => params.push(json!({ "id": item.id, "quantity": planned["quantity"] })),
            None => leaving.push(item),
        }
    }
    for planned in arriving {
        let mut param = json!({ "price": planned["price"], "quantity": planned["quantity"] });
        if !leaving.is_empty() {
            param.set("id", leaving.remove(0).id.as_str());
        }
        params.push(param);
    }
    params.extend(leaving.into_iter().map(|item| json!({ "id": item.id, "deleted": true })));
    params
}

/// Starts the first phase, and creates the subscription.
fn start_first_phase(tx: &mut Tx<'_>, id: &str) -> Result<(), ApiError> {
    let schedule = tx.find(KIND, id)?;
    let customer = tx.customer(schedule.text("customer"))?;
    let phase = schedule.list("phases").first().cloned().unwrap_or_default();
    let mut items = Vec::new();
    for item in phase.list("items") {
        let price = recurring_price(tx, item.text("price"), None, "phases")?;
        items.push((price, item.some_int("quantity"), item.clone()));
    }
    let made = subscription::create(
        tx,
        &NewSubscription {
            customer: &customer,
            items,
            once: Vec::new(),
            trial_end: None,
            params: &json!({}),
            default_payment_method: None,
            if_unpaid: IfUnpaid::Allow,
            presence: Presence::OffSession,
        },
    )?;
    tx.change(id, "subscription_schedule.updated", |schedule| {
        schedule.set("status", "active");
        schedule.set("subscription", made.id.as_str());
        schedule.set("current_phase", json!({ "start_date": phase["start_date"], "end_date": phase["end_date"] }));
    })?;
    attach(tx, &made.id, Some(id))
}

/// Starts the next phase, or completes the schedule after the last one.
pub(crate) fn advance(tx: &mut Tx<'_>, id: &str) -> Result<(), ApiError> {
    let schedule = tx.find(KIND, id)?;
    if schedule.text("status") == "not_started" {
        return start_first_phase(tx, id);
    }
    let ended = schedule["current_phase"].int("end_date");
    let next = schedule.list("phases").iter().find(|phase| phase.int("start_date") == ended).cloned();
    let Some(phase) = next else {
        return complete(tx, &schedule);
    };
    let updated = tx.change(id, "subscription_schedule.updated", |schedule| {
        schedule.set("current_phase", json!({ "start_date": phase["start_date"], "end_date": phase["end_date"] }));
    })?;
    enter_phase(tx, &updated, &phase, None)
}

fn complete(tx: &mut Tx<'_>, schedule: &Value) -> Result<(), ApiError> {
    let now = tx.now();
    let subscription = schedule.text("subscription");
    tx.change(schedule.text("id"), "subscription_schedule.completed", |schedule| {
        schedule.set("status", "completed");
        schedule.set("completed_at", now);
        schedule.set("current_phase", Value::Null);
    })?;
    match schedule.text("end_behavior") {
        "cancel" => subscription::end_at_schedule(tx, subscription),
        _ => attach(tx, subscription, None),
    }
}

/// Releases a subscription from its schedule.
pub(crate) fn release(tx: &mut Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let schedule = running(tx, id, "release")?;
    let now = tx.now();
    let released = tx.change(id, "subscription_schedule.released", |schedule| {
        let subscription = schedule["subscription"].take();
        schedule.set("status", "released");
        schedule.set("released_at", now);
        schedule.set("released_subscription", subscription);
        schedule.set("current_phase", Value::Null);
    })?;
    if let Some(subscription) = schedule.some("subscription") {
        attach(tx, subscription, None)?;
    }
    Ok(released)
}

/// Cancels a schedule and its subscription.
pub(crate) fn cancel(tx: &mut Tx<'_>, id: &str, params: &Value) -> Result<Value, ApiError> {
    let schedule = running(tx, id, "cancel")?;
    let canceled = subscription::stop_schedule(tx, id, "subscription_schedule.canceled")?;
    if let Some(subscription) = schedule.some("subscription") {
        let current = tx.read(subscription)?;
        subscription::cancel(tx, &current, params)?;
    }
    Ok(canceled)
}
