//! Controls: the sandbox's functions beyond Stripe's API.
//!
//! Invariant: the control page and the control API use [`CONTROLS`], and the Rust API uses the same
//! functions, so that all three offer the same. Proved by
//! `every_control_is_listed_with_its_parameters`.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::api_version;
use crate::cards::Complaint;
use crate::clock;
use crate::deliver;
use crate::error::ApiError;
use crate::events;
use crate::fields::{Fields, copy};
use crate::flows::dispute::{self, Verdict};
use crate::flows::{change, debit, refund, subscription};
use crate::http::{Call, page};
use crate::objects::{Customer, Object, PaymentIntent};
use crate::params;
use crate::permissions;
use crate::settings::Settings;
use crate::state::{Faults, Inner, REQUEST, Shared};
use crate::store::{Origin, Tx};
use crate::upcoming::Due;

/// A query or an action of the control API.
pub(crate) struct Control {
    /// The method and path, as in a route of the API.
    pub(crate) endpoint: &'static str,
    /// The description in the list of controls and in the documentation.
    pub(crate) description: &'static str,
    /// The message that the control page shows afterwards.
    pub(crate) done: &'static str,
    pub(crate) run: fn(&Shared, &Call) -> Result<Value, ApiError>,
}

const fn query(
    endpoint: &'static str,
    description: &'static str,
    run: fn(&Shared, &Call) -> Result<Value, ApiError>,
) -> Control {
    Control { endpoint, description, done: "", run }
}

const fn action(
    endpoint: &'static str,
    description: &'static str,
    done: &'static str,
    run: fn(&Shared, &Call) -> Result<Value, ApiError>,
) -> Control {
    Control { endpoint, description, done, run }
}

/// All controls.
pub(crate) const CONTROLS: &[Control] = &[
    query("GET /_sandbox/api", "Lists the controls.", |_, _| Ok(list())),
    query("GET /_sandbox/api/state", "Counts objects, deliveries and requests.", |shared, _| {
        Ok(summary(&shared.lock()))
    }),
    query("GET /_sandbox/api/clock", "Shows the sandbox's time and upcoming changes.", |shared, call| {
        Ok(upcoming(&shared.lock(), call))
    }),
    action("POST /_sandbox/api/clock/advance", "Advances the clock.", "The clock was advanced.", advance),
    action(
        "POST /_sandbox/api/clock/next",
        "Advances the clock to the next upcoming change, of a kind or of an object.",
        "The clock was advanced.",
        advance_to_next,
    ),
    query("GET /_sandbox/api/events", "Lists events, newest first.", list_events),
    query("GET /_sandbox/api/events/:id", "Shows an event and its deliveries.", show_event),
    action(
        "POST /_sandbox/api/events/thin",
        "Delivers a thin event, which is one of API v2, to every endpoint or to one.",
        "The thin event will be delivered.",
        |shared, call| shared.transaction(Origin::default(), |tx| events::emit_thin(tx, &call.params)),
    ),
    action(
        "POST /_sandbox/api/events/:id/replay",
        "Delivers an event again, once or several times.",
        "The event will be delivered again.",
        |shared, call| {
            let times = u32::try_from(call.params.some_int("times").unwrap_or(1)).unwrap_or(1);
            replay(shared, &call.id, times, call.params.some("endpoint"))
        },
    ),
    query("GET /_sandbox/api/deliveries", "Lists deliveries, newest first.", list_deliveries),
    query(
        "GET /_sandbox/api/deliveries/:id",
        "Shows a delivery: its payload, and every attempt with its response.",
        show_delivery,
    ),
    action(
        "POST /_sandbox/api/deliveries/:id/deliver",
        "Sends a pending delivery now, even while deliveries are held.",
        "The delivery is being sent.",
        |shared, call| deliver(shared, &call.id),
    ),
    action(
        "POST /_sandbox/api/deliveries/:id/drop",
        "Drops a pending delivery, as if it were lost in transit.",
        "The delivery was dropped.",
        |shared, call| on_one(shared, call, drop_pending),
    ),
    action(
        "POST /_sandbox/api/deliveries/:id/duplicate",
        "Duplicates a pending delivery.",
        "The delivery was duplicated.",
        |shared, call| on_one(shared, call, duplicate),
    ),
    action(
        "POST /_sandbox/api/deliveries/:id/delay",
        "Delays a pending delivery.",
        "The delivery was delayed.",
        |shared, call| {
            let seconds = call.params.int("seconds");
            on_one(shared, call, |tx, id| delay(tx, id, seconds))
        },
    ),
    action("POST /_sandbox/api/deliveries/hold", "Holds all deliveries.", "Deliveries are held.", |shared, _| {
        Ok(hold(shared, true))
    }),
    action(
        "POST /_sandbox/api/deliveries/release",
        "Releases held deliveries.",
        "Deliveries were released.",
        |shared, _| Ok(hold(shared, false)),
    ),
    action(
        "POST /_sandbox/api/deliveries/drop",
        "Drops all pending deliveries.",
        "The pending deliveries were dropped.",
        |shared, _| on_pending(shared, drop_pending),
    ),
    action(
        "POST /_sandbox/api/deliveries/duplicate",
        "Duplicates all pending deliveries.",
        "The pending deliveries were duplicated.",
        |shared, _| on_pending(shared, duplicate),
    ),
    action(
        "POST /_sandbox/api/deliveries/shuffle",
        "Shuffles the pending deliveries; the same seed gives the same order.",
        "The pending deliveries were shuffled.",
        |shared, call| shuffle(shared, call.params.some_int("seed").unwrap_or_else(clock::real_millis)),
    ),
    action(
        "POST /_sandbox/api/deliveries/delay",
        "Delays all pending deliveries.",
        "The pending deliveries were delayed.",
        |shared, call| {
            let seconds = call.params.int("seconds");
            on_pending(shared, |tx, id| delay(tx, id, seconds))
        },
    ),
    query("GET /_sandbox/api/conditions", "Shows the delivery conditions.", |shared, _| Ok(conditions(&shared.lock()))),
    action(
        "POST /_sandbox/api/conditions",
        "Drops, duplicates, delays or shuffles the deliveries of future events.",
        "The delivery conditions were set.",
        |shared, call| set_conditions(shared, &call.params),
    ),
    action(
        "POST /_sandbox/api/conditions/clear",
        "Resets the delivery conditions.",
        "The delivery conditions were reset.",
        |shared, _| set_conditions(shared, &default_conditions()),
    ),
    query("GET /_sandbox/api/requests", "Lists API calls, newest first; `path` matches a prefix.", list_requests),
    query(
        "GET /_sandbox/api/requests/:id",
        "Shows an API call: its parameters, its response and the objects it changed.",
        |shared, call| {
            shared
                .lock()
                .store
                .get(&call.id)
                .filter(|found| found.text("object") == REQUEST)
                .map(render_request)
                .ok_or_else(|| ApiError::missing("request", &call.id))
        },
    ),
    query("GET /_sandbox/api/faults", "Shows the injected faults.", |shared, _| {
        Ok(render_faults(&shared.lock().faults))
    }),
    action(
        "POST /_sandbox/api/faults",
        "Fails the next calls (only those whose path begins with `path`), drops or corrupts their responses, delays every call, or strips one object down to its id. With `keep`, a failure is repeated under its idempotency key, as in Stripe.",
        "The faults were set.",
        |shared, call| Ok(set_faults(shared, &call.params)),
    ),
    action("POST /_sandbox/api/faults/clear", "Resets the faults.", "The faults were reset.", |shared, _| {
        shared.lock().faults = Faults::NONE;
        Ok(render_faults(&Faults::NONE))
    }),
    action(
        "POST /_sandbox/api/keys",
        "Creates a restricted key, or replaces its permissions, such as `customer_read checkout_session_write`.",
        "The key was saved.",
        |shared, call| {
            let (key, listed) = (call.params.text("key"), permissions::listed(&call.params));
            shared.transaction(Origin::default(), |tx| {
                permissions::grant(tx, key, &listed);
                Ok(json!({ "object": "restricted_key", "key": key, "permissions": listed }))
            })
        },
    ),
    query("GET /_sandbox/api/settings", "Shows the account's billing settings.", |shared, _| {
        Ok(Settings::of(shared.lock().store.get("_settings")).shown())
    }),
    action(
        "POST /_sandbox/api/settings",
        "Sets what happens after the last retry, how long renewal invoices stay drafts, whether Checkout accepts Link as a type, and whether hosted pages have separate origins.",
        "The settings were saved.",
        |shared, call| {
            shared.transaction(Origin::default(), |tx| {
                let settings = Settings::current(tx).with(&call.params)?;
                settings.store(tx);
                Ok(settings.shown())
            })
        },
    ),
    query("GET /_sandbox/api/objects", "Lists objects of a kind, newest first.", |shared, call| {
        let inner = shared.lock();
        page(call, inner.store.newest(call.params.text("kind")))
            .map(|list| api_version::render(&list, api_version::DEFAULT_VERSION))
    }),
    query("GET /_sandbox/api/objects/:id", "Shows an object, its references, events and requests.", |shared, call| {
        related(&shared.lock(), &call.id)
    }),
    action(
        "POST /_sandbox/api/customers/:id/decline_next",
        "Declines the customer's next charges, regardless of the card.",
        "The next charge will be declined.",
        |shared, call| decline_next(shared, &call.id, call.params.some_int("times").unwrap_or(1)),
    ),
    action(
        "POST /_sandbox/api/subscriptions/:id/cancel",
        "Cancels a subscription, now or at the end of the period.",
        "The subscription was canceled.",
        |shared, call| cancel(shared, &call.id, call.params.flag("at_period_end")),
    ),
    action(
        "POST /_sandbox/api/subscriptions/:id/keep",
        "Undoes a cancellation at the end of the period.",
        "The subscription will continue.",
        |shared, call| {
            on_object(shared, |tx| change::update(tx, &call.id, &json!({ "cancel_at_period_end": false }))?.to_json())
        },
    ),
    action(
        "POST /_sandbox/api/payments/:id/refund",
        "Refunds a payment (PaymentIntent or charge), fully or partially.",
        "The payment was refunded.",
        |shared, call| refund_payment(shared, &call.id, call.params.some_int("amount")),
    ),
    action(
        "POST /_sandbox/api/payments/:id/dispute",
        "Disputes a payment, or opens an inquiry.",
        "The payment is disputed.",
        |shared, call| dispute_payment(shared, &call.id, call.params.text("reason"), call.params.flag("inquiry")),
    ),
    action(
        "POST /_sandbox/api/payments/:id/settle",
        "Makes a bank debit succeed.",
        "The debit has settled.",
        |shared, call| settle_payment(shared, &call.id, true),
    ),
    action(
        "POST /_sandbox/api/payments/:id/fail",
        "Makes a bank debit fail.",
        "The debit has failed.",
        |shared, call| settle_payment(shared, &call.id, false),
    ),
    action(
        "POST /_sandbox/api/refunds/:id/settle",
        "Makes a pending refund succeed.",
        "The refund has succeeded.",
        |shared, call| on_object(shared, |tx| refund::settle(tx, &call.id, true)),
    ),
    action("POST /_sandbox/api/refunds/:id/fail", "Makes a refund fail.", "The refund has failed.", |shared, call| {
        on_object(shared, |tx| refund::settle(tx, &call.id, false))
    }),
    action(
        "POST /_sandbox/api/refunds/:id/cancel",
        "Cancels a pending refund.",
        "The refund was canceled.",
        |shared, call| on_object(shared, |tx| refund::cancel(tx, &call.id)),
    ),
    action(
        "POST /_sandbox/api/disputes/:id/win",
        "Closes a dispute as won.",
        "The dispute was won.",
        |shared, call| close_dispute(shared, &call.id, Verdict::Won),
    ),
    action(
        "POST /_sandbox/api/disputes/:id/lose",
        "Closes a dispute as lost.",
        "The dispute was lost.",
        |shared, call| close_dispute(shared, &call.id, Verdict::Lost),
    ),
];

/// Finds the control for a method and path: its index in the list, the control, and the id in the path.
pub(crate) fn find(method: &str, path: &str) -> Option<(usize, &'static Control, String)> {
    crate::http::best(CONTROLS.iter().map(|control| control.endpoint), method, path)
        .map(|(index, id)| (index, &CONTROLS[index], id))
}

fn list() -> Value {
    let controls = CONTROLS.iter().map(|control| {
        let (method, path) = control.endpoint.split_once(' ').unwrap_or_default();
        json!({
            "method": method, "path": path, "description": control.description,
            "parameters": params::describe(control.endpoint),
        })
    });
    json!({ "object": "list", "data": controls.collect::<Vec<_>>() })
}

pub(crate) fn summary(inner: &Inner) -> Value {
    let count = |kind: &str| inner.store.count(kind);
    let pending: usize = inner.store.queues().map(|(_, queue)| queue.count()).sum();
    json!({
        "object": "sandbox",
        "now": inner.store.now_millis() / 1000,
        "api_version": api_version::DEFAULT_VERSION,
        "customers": count("customer"),
        "subscriptions": count("subscription"),
        "checkout_sessions": count("checkout.session"),
        "invoices": count("invoice"),
        "events": count("event"),
        "webhook_endpoints": count("webhook_endpoint"),
        "deliveries": { "pending": pending, "in_flight": inner.in_flight.len(), "held": inner.holding },
        "requests": count(REQUEST),
    })
}

// The clock

fn upcoming(inner: &Inner, call: &Call) -> Value {
    let limit = usize::try_from(call.params.some_int("limit").unwrap_or(20)).unwrap_or(20);
    let object = call.params.some("object");
    let due = inner.store.upcoming().filter(|(_, _, id)| object.is_none_or(|object| object == *id));
    let due: Vec<Value> = due
        .take(limit)
        .map(|(at, due, id)| json!({ "at": at, "change": due.name(), "description": due.description(), "object": id }))
        .collect();
    json!({
        "now": inner.store.now_millis() / 1000,
        "ahead": inner.store.ahead().load(std::sync::atomic::Ordering::SeqCst),
        "due": due,
    })
}

fn advance(shared: &Shared, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    let now = shared.lock().store.now_millis() / 1000;
    let span = params.int("seconds")
        + params.int("minutes") * 60
        + params.int("hours") * clock::HOUR
        + params.int("days") * clock::DAY;
    let seconds = params.some_int("to").map_or(span, |to| to - now);
    if seconds <= 0 {
        return Err(ApiError::invalid("", "The clock can only go forward: pass a duration, or a time in the future."));
    }
    shared.advance(seconds);
    Ok(upcoming(&shared.lock(), call))
}

fn advance_to_next(shared: &Shared, call: &Call) -> Result<Value, ApiError> {
    let change = Due::ALL.into_iter().find(|due| due.name() == call.params.text("change"));
    let object = call.params.some("object");
    go_to_next(shared, change, object).ok_or_else(|| ApiError::invalid("", "No matching change is upcoming."))?;
    Ok(upcoming(&shared.lock(), call))
}

/// Advances the clock to the next upcoming change and returns its time.
pub(crate) fn go_to_next(shared: &Shared, change: Option<Due>, object: Option<&str>) -> Option<i64> {
    shared.catch_up();
    let (at, now) = {
        let inner = shared.lock();
        let mut due = inner.store.upcoming().filter(|(_, due, id)| {
            change.is_none_or(|change| change == *due) && object.is_none_or(|object| object == *id)
        });
        (due.next()?.0, inner.store.now_millis() / 1000)
    };
    shared.advance((at - now).max(0));
    Some(at)
}

// Events and their deliveries

fn list_events(shared: &Shared, call: &Call) -> Result<Value, ApiError> {
    let inner = shared.lock();
    let kind = call.params.some("type");
    let is_requested = |event: &&Value| {
        kind.is_none_or(|kind| match kind.strip_suffix('*') {
            Some(prefix) => event.text("type").starts_with(prefix),
            None => event.text("type") == kind,
        })
    };
    let list = match call.params.some("object") {
        Some(id) => page(call, inner.store.referring("event", id).filter(is_requested)),
        None => page(call, inner.store.newest("event").filter(is_requested)),
    };
    list.map(|list| api_version::render(&list, api_version::DEFAULT_VERSION))
}

fn show_event(shared: &Shared, call: &Call) -> Result<Value, ApiError> {
    let inner = shared.lock();
    let event = inner.store.get(&call.id).filter(|found| events::is_event(found));
    let event = event.ok_or_else(|| ApiError::missing("event", &call.id))?;
    let deliveries = inner.store.referring("_delivery", &call.id).map(render_delivery);
    Ok(json!({
        "event": api_version::render(event, api_version::DEFAULT_VERSION),
        "deliveries": deliveries.collect::<Vec<_>>(),
    }))
}

/// Creates new deliveries of an event, `times` for each endpoint or for the given one.
pub(crate) fn replay(shared: &Shared, event: &str, times: u32, endpoint: Option<&str>) -> Result<Value, ApiError> {
    shared.transaction(Origin::default(), |tx| {
        let event = tx.find("event", event)?;
        let kind = event.text("type");
        let mut made = Vec::new();
        for _ in 0..times {
            for to in events::subscribed_endpoints(tx, kind) {
                if endpoint.is_none_or(|endpoint| endpoint == to) {
                    let delivery = events::delivery(event.text("id"), kind, &to, tx.now() * 1000);
                    made.push(render_delivery(&delivery));
                    tx.put(delivery);
                }
            }
        }
        Ok(json!({ "object": "list", "data": made }))
    })
}

fn list_deliveries(shared: &Shared, call: &Call) -> Result<Value, ApiError> {
    let inner = shared.lock();
    let fields = ["endpoint", "event", "state", "type"];
    let all = inner.store.newest("_delivery").filter(|found| crate::http::matches_filters(call, found, &fields));
    let mut list = page(call, all)?;
    list["data"] = list.list("data").iter().map(render_delivery).collect();
    Ok(list)
}

/// Returns a delivery as the control API shows it.
pub(crate) fn render_delivery(delivery: &Value) -> Value {
    let mut shown = delivery.clone();
    shown.set("object", "delivery");
    shown
}

fn show_delivery(shared: &Shared, call: &Call) -> Result<Value, ApiError> {
    let inner = shared.lock();
    let delivery = inner.store.get(&call.id).filter(|found| found.text("object") == "_delivery");
    let delivery = delivery.ok_or_else(|| ApiError::missing("delivery", &call.id))?;
    let mut shown = render_delivery(delivery);
    shown.set("url", inner.store.get(delivery.text("endpoint")).map(|endpoint| endpoint["url"].clone()));
    shown.set("payload", deliver::payload(&inner.store, delivery));
    Ok(shown)
}

/// Sends a pending delivery now, even while deliveries are held; an error if it is not pending.
pub(crate) fn deliver(shared: &Shared, id: &str) -> Result<Value, ApiError> {
    let mut inner = shared.lock();
    let pending = inner.store.get(id).filter(|found| found.text("state") == "pending").map(render_delivery);
    let pending = pending.ok_or_else(|| ApiError::missing("pending delivery", id))?;
    inner.deliver_now.push_back(id.to_owned());
    drop(inner);
    shared.wake.notify_one();
    Ok(pending)
}

/// Holds all deliveries, or releases them.
pub(crate) fn hold(shared: &Shared, holding: bool) -> Value {
    shared.lock().holding = holding;
    shared.wake.notify_one();
    json!({ "held": holding })
}

/// Changes one pending delivery.
fn on_one(shared: &Shared, call: &Call, work: impl FnOnce(&mut Tx<'_>, &str)) -> Result<Value, ApiError> {
    shared.transaction(Origin::default(), |tx| {
        let pending = tx.lookup("_delivery", &call.id).is_some_and(|found| found.text("state") == "pending");
        if !pending {
            return Err(ApiError::missing("pending delivery", &call.id));
        }
        work(tx, &call.id);
        tx.find("_delivery", &call.id).map(|delivery| render_delivery(&delivery))
    })
}

/// Changes all pending deliveries, in the order in which they would be sent, and returns their number.
pub(crate) fn on_pending(shared: &Shared, work: impl Fn(&mut Tx<'_>, &str)) -> Result<Value, ApiError> {
    let pending = pending(&shared.lock());
    shared.transaction(Origin::default(), |tx| {
        for id in &pending {
            work(tx, id);
        }
        Ok(json!({ "deliveries": pending.len() }))
    })
}

/// Returns the pending deliveries that are not in flight, in the order in which they would be sent.
pub(crate) fn pending(inner: &Inner) -> Vec<String> {
    let mut all: Vec<(i64, String)> = Vec::new();
    for (_, queue) in inner.store.queues() {
        all.extend(queue.map(|(due, id)| (due, id.to_owned())));
    }
    all.sort_by_key(|(due, _)| *due);
    all.into_iter().map(|(_, id)| id).filter(|id| !inner.in_flight.contains_key(id)).collect()
}

/// Drops a pending delivery.
pub(crate) fn drop_pending(tx: &mut Tx<'_>, id: &str) {
    tx.quietly(id, |delivery| delivery.set("state", "dropped"));
}

/// Duplicates a pending delivery.
pub(crate) fn duplicate(tx: &mut Tx<'_>, id: &str) {
    if let Some(delivery) = tx.lookup("_delivery", id).cloned() {
        let (event, kind, endpoint) = (delivery.text("event"), delivery.text("type"), delivery.text("endpoint"));
        tx.put(events::delivery(event, kind, endpoint, delivery.int("due")));
    }
}

/// Delays a pending delivery.
pub(crate) fn delay(tx: &mut Tx<'_>, id: &str, seconds: i64) {
    tx.quietly(id, |delivery| delivery.set("due", delivery.int("due") + seconds * 1000));
}

/// Reorders the pending deliveries. The new order depends only on the seed and the previous order.
pub(crate) fn shuffle(shared: &Shared, seed: i64) -> Result<Value, ApiError> {
    let mut pending: Vec<([u8; 32], String)> = pending(&shared.lock())
        .into_iter()
        .enumerate()
        .map(|(index, id)| (Sha256::digest(format!("{seed}:{index}")).into(), id))
        .collect();
    pending.sort();
    shared.transaction(Origin::default(), |tx| {
        let first = tx.now() * 1000;
        for (due, (_, id)) in (first..).zip(&pending) {
            tx.quietly(id, |delivery| delivery.set("due", due));
        }
        Ok(json!({ "seed": seed, "deliveries": pending.len() }))
    })
}

fn default_conditions() -> Value {
    json!({
        "concurrency": 1, "delay_seconds": 0, "drop_next": 0, "drop_percent": 0, "duplicate_next": 0,
        "duplicate_percent": 0, "shuffle": false,
    })
}

pub(crate) fn conditions(inner: &Inner) -> Value {
    let mut shown = default_conditions();
    if let Some(stored) = inner.store.get(events::CONDITIONS) {
        copy(&mut shown, stored, events::CONDITION_FIELDS);
    }
    shown.set("concurrency", inner.concurrency);
    shown
}

/// Sets the given delivery conditions; the others do not change.
pub(crate) fn set_conditions(shared: &Shared, params: &Value) -> Result<Value, ApiError> {
    shared.transaction(Origin::default(), |tx| {
        let mut stored = tx.get(events::CONDITIONS).cloned().unwrap_or_else(|| json!({}));
        copy(&mut stored, params, events::CONDITION_FIELDS);
        stored.set("id", events::CONDITIONS);
        stored.set("object", events::CONDITIONS);
        tx.put(stored);
        Ok(())
    })?;
    let mut inner = shared.lock();
    if let Some(concurrency) = params.some_int("concurrency") {
        inner.concurrency = usize::try_from(concurrency.max(1)).unwrap_or(1);
    }
    Ok(conditions(&inner))
}

// The API

fn list_requests(shared: &Shared, call: &Call) -> Result<Value, ApiError> {
    let inner = shared.lock();
    let fields = ["idempotency_key", "method", "status"];
    let (object, path) = (call.params.some("object"), call.params.text("path"));
    let is_requested = |found: &&Value| {
        found.text("path").starts_with(path)
            && object.is_none_or(|object| found.list("touched").iter().any(|id| id == object))
            && crate::http::matches_filters(call, found, &fields)
    };
    let mut list = page(call, inner.store.newest(REQUEST).filter(is_requested))?;
    list["data"] = list.list("data").iter().map(render_request).collect();
    Ok(list)
}

/// Returns a call as the control API shows it.
pub(crate) fn render_request(request: &Value) -> Value {
    let mut shown = request.clone();
    shown.set("object", "request");
    shown
}

fn render_faults(faults: &Faults) -> Value {
    json!({
        "fail_next": faults.failing.0,
        "status": faults.failing.1,
        "drop_next": faults.dropping,
        "corrupt_next": faults.corrupting,
        "delay_ms": u64::try_from(faults.delay.as_millis()).unwrap_or(u64::MAX),
        "path": faults.path,
        "strip": faults.stripped,
        "keep": faults.kept,
        "retry_after": faults.retry_after,
        "should_retry": faults.should_retry,
    })
}

fn set_faults(shared: &Shared, params: &Value) -> Value {
    let number = |name: &str| params.some_int(name).map(|number| u32::try_from(number.max(0)).unwrap_or(u32::MAX));
    let faults = &mut shared.lock().faults;
    if let Some(status) = params.some_int("status").and_then(|status| u16::try_from(status).ok()) {
        faults.failing.1 = status.clamp(400, 599);
    }
    faults.failing.0 = number("fail_next").unwrap_or(faults.failing.0);
    faults.dropping = number("drop_next").unwrap_or(faults.dropping);
    faults.corrupting = number("corrupt_next").unwrap_or(faults.corrupting);
    if let Some(delay) = number("delay_ms") {
        faults.delay = Duration::from_millis(u64::from(delay));
    }
    if params.get("keep").is_some() {
        faults.kept = params.flag("keep");
    }
    faults.retry_after = number("retry_after").unwrap_or(faults.retry_after);
    let fields =
        [("path", &mut faults.path), ("strip", &mut faults.stripped), ("should_retry", &mut faults.should_retry)];
    for (name, held) in fields {
        if params.get(name).is_some() {
            params.text(name).clone_into(held);
        }
    }
    render_faults(faults)
}

// Objects

/// Returns an object with its references in both directions, its events, and the calls that changed it.
pub(crate) fn related(inner: &Inner, id: &str) -> Result<Value, ApiError> {
    const LIMIT: usize = 50;
    let store = &inner.store;
    let object = store.get(id).filter(|found| !found.text("object").starts_with('_'));
    let object = object.ok_or_else(|| ApiError::missing("object", id))?;
    let brief = |found: &Value| json!({ "id": found["id"], "object": found["object"], "status": found["status"], "created": found["created"] });
    let references: Vec<Value> =
        crate::index::references(object).into_iter().filter_map(|id| store.get(id)).map(brief).collect();
    let own = |found: &&Value| !found.text("object").starts_with('_') && found.text("object") != "event";
    let fresh = |found: &Value| !references.iter().any(|known| known["id"] == found["id"]);
    let referenced_by: Vec<Value> = store.all_referring(id).filter(own).map(brief).filter(fresh).take(LIMIT).collect();
    let events = store.referring("event", id).take(LIMIT).map(|event| {
        json!({ "id": event["id"], "type": event["type"], "created": event["created"], "object": event["data"]["object"]["id"] })
    });
    let requests = store.referring(REQUEST, id).take(LIMIT).map(|request| {
        json!({
            "id": request["id"], "method": request["method"], "path": request["path"], "status": request["status"],
            "created": request["created"],
        })
    });
    Ok(json!({
        "object": api_version::render(object, api_version::DEFAULT_VERSION),
        "references": references,
        "referenced_by": referenced_by,
        "events": events.collect::<Vec<_>>(),
        "requests": requests.collect::<Vec<_>>(),
        "due": store.upcoming().filter(|(_, _, of)| *of == id).map(|(at, due, _)| json!({ "at": at, "change": due.name(), "description": due.description() })).collect::<Vec<_>>(),
    }))
}

/// Changes objects in a transaction, and returns one of them, rendered.
pub(crate) fn on_object(
    shared: &Shared,
    work: impl FnOnce(&mut Tx<'_>) -> Result<Value, ApiError>,
) -> Result<Value, ApiError> {
    shared.transaction(Origin::default(), work).map(|object| api_version::render(&object, api_version::DEFAULT_VERSION))
}

/// Declines a customer's next charges.
pub(crate) fn decline_next(shared: &Shared, customer: &str, times: i64) -> Result<Value, ApiError> {
    on_object(shared, |tx| {
        tx.update_quietly(customer, |customer: &mut Customer| customer.decline_next = times.max(0))?;
        tx.find(Customer::KIND, customer)
    })
}

fn cancel(shared: &Shared, id: &str, at_period_end: bool) -> Result<Value, ApiError> {
    on_object(shared, |tx| match at_period_end {
        true => change::update(tx, id, &json!({ "cancel_at_period_end": true }))?.to_json(),
        false => {
            let current = tx.read(id)?;
            subscription::cancel(tx, &current, &json!({}))?.to_json()
        }
    })
}

/// Returns the charge of a payment, given the id of the charge or of its PaymentIntent.
fn charge_of(tx: &Tx<'_>, payment: &str) -> Result<Value, ApiError> {
    match tx.read::<PaymentIntent>(payment) {
        Ok(intent) => tx.find("charge", intent.charge()),
        Err(_) => tx.find("charge", payment),
    }
}

/// Refunds a payment.
pub(crate) fn refund_payment(shared: &Shared, payment: &str, amount: Option<i64>) -> Result<Value, ApiError> {
    on_object(shared, |tx| {
        let charge = charge_of(tx, payment)?;
        refund::create(tx, &charge, amount, Some("requested_by_customer"), &json!({}))
    })
}

/// Disputes a payment.
pub(crate) fn dispute_payment(shared: &Shared, payment: &str, reason: &str, inquiry: bool) -> Result<Value, ApiError> {
    const REASONS: [&str; 6] =
        ["duplicate", "fraudulent", "general", "product_not_received", "product_unacceptable", "subscription_canceled"];
    let reason = REASONS.into_iter().find(|known| *known == reason).unwrap_or("fraudulent");
    on_object(shared, |tx| {
        let charge = charge_of(tx, payment)?;
        dispute::open(tx, charge.text("id"), Complaint { reason, inquiry })
    })
}

/// Makes a bank debit succeed or fail.
pub(crate) fn settle_payment(shared: &Shared, payment: &str, succeeds: bool) -> Result<Value, ApiError> {
    on_object(shared, |tx| {
        let intent = tx.lookup("charge", payment).map_or(payment, |charge| charge.text("payment_intent")).to_owned();
        debit::settle(tx, &intent, succeeds)?.to_json()
    })
}

/// Closes a dispute.
pub(crate) fn close_dispute(shared: &Shared, id: &str, verdict: Verdict) -> Result<Value, ApiError> {
    on_object(shared, |tx| dispute::close(tx, id, verdict))
}

#[cfg(test)]
mod tests {
    use super::CONTROLS;

    #[test]
    fn the_documentation_lists_every_control() {
        let documentation = include_str!("../../docs/SANDBOX.md");
        for control in CONTROLS {
            let (method, path) = control.endpoint.split_once(' ').expect("a method and a path");
            let short = path.strip_prefix("/_sandbox/api").expect("below /_sandbox/api");
            let named = if short.is_empty() {
                path.to_owned()
            } else {
                format!("| `{method} {short}` | {} |", control.description)
            };
            assert!(documentation.contains(&named), "{named}");
        }
    }
}
