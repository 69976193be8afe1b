//! What somebody at the controls can do, beside what Stripe's API offers.
//!
//! Invariant: the control page and the control API do it all through [`CONTROLS`], and the Rust
//! API through the same functions, so that each can do what the others can. Proved by
//! `every_control_is_listed_with_its_parameters`.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::agenda::Due;
use crate::cards::Complaint;
use crate::clock;
use crate::deliver;
use crate::error::ApiError;
use crate::events;
use crate::fields::{Fields, copy};
use crate::flows::dispute::{self, Verdict};
use crate::flows::payment::REFUSE_NEXT;
use crate::flows::{change, debit, refund, subscription};
use crate::http::{Call, page};
use crate::params;
use crate::settings::Settings;
use crate::shape;
use crate::state::{Faults, Inner, REQUEST, Shared};
use crate::store::{Origin, Tx};

/// One thing to see or to do.
pub(crate) struct Control {
    /// Method and path, like a route of the API.
    pub(crate) endpoint: &'static str,
    /// What it does, for the list of them all.
    pub(crate) about: &'static str,
    /// What the page says when it is done.
    pub(crate) done: &'static str,
    pub(crate) run: fn(&Shared, &Call) -> Result<Value, ApiError>,
}

const fn see(
    endpoint: &'static str,
    about: &'static str,
    run: fn(&Shared, &Call) -> Result<Value, ApiError>,
) -> Control {
    Control { endpoint, about, done: "", run }
}

const fn act(
    endpoint: &'static str,
    about: &'static str,
    done: &'static str,
    run: fn(&Shared, &Call) -> Result<Value, ApiError>,
) -> Control {
    Control { endpoint, about, done, run }
}

/// All of them.
pub(crate) const CONTROLS: &[Control] = &[
    see("GET /_sandbox/api", "This list.", |_, _| Ok(list())),
    see("GET /_sandbox/api/state", "How much of everything there is.", |shared, _| Ok(summary(&shared.lock()))),
    see("GET /_sandbox/api/clock", "The sandbox's time, and what falls due next.", |shared, call| {
        Ok(agenda(&shared.lock(), call))
    }),
    act("POST /_sandbox/api/clock/advance", "Moves the clock on.", "The clock was moved on.", advance),
    act(
        "POST /_sandbox/api/clock/next",
        "Moves the clock on to what falls due next, of a kind or of an object.",
        "The clock was moved on.",
        advance_to_next,
    ),
    see("GET /_sandbox/api/events", "Events, newest first.", list_events),
    see("GET /_sandbox/api/events/:id", "An event and its deliveries.", show_event),
    act(
        "POST /_sandbox/api/events/:id/replay",
        "Delivers an event again, a number of times.",
        "The event is delivered again.",
        |shared, call| {
            let times = u32::try_from(call.params.some_int("times").unwrap_or(1)).unwrap_or(1);
            replay(shared, &call.id, times, call.params.some("endpoint"))
        },
    ),
    see("GET /_sandbox/api/deliveries", "Deliveries, newest first.", list_deliveries),
    see("GET /_sandbox/api/deliveries/:id", "A delivery: what is sent, every try and its answer.", show_delivery),
    act(
        "POST /_sandbox/api/deliveries/:id/deliver",
        "Delivers one now, even while deliveries are held.",
        "The delivery is on its way.",
        |shared, call| deliver(shared, &call.id),
    ),
    act(
        "POST /_sandbox/api/deliveries/:id/drop",
        "Drops a pending delivery, as if it got lost.",
        "The delivery was dropped.",
        |shared, call| on_one(shared, call, lose),
    ),
    act(
        "POST /_sandbox/api/deliveries/:id/duplicate",
        "Makes a pending delivery come twice.",
        "The delivery comes twice.",
        |shared, call| on_one(shared, call, duplicate),
    ),
    act(
        "POST /_sandbox/api/deliveries/:id/delay",
        "Puts a pending delivery off.",
        "The delivery was put off.",
        |shared, call| {
            let seconds = call.params.int("seconds");
            on_one(shared, call, |tx, id| delay(tx, id, seconds))
        },
    ),
    act("POST /_sandbox/api/deliveries/hold", "Holds all deliveries back.", "Deliveries are held.", |shared, _| {
        Ok(hold(shared, true))
    }),
    act(
        "POST /_sandbox/api/deliveries/release",
        "Lets deliveries go again.",
        "Deliveries go out again.",
        |shared, _| Ok(hold(shared, false)),
    ),
    act(
        "POST /_sandbox/api/deliveries/drop",
        "Drops all pending deliveries.",
        "The pending deliveries were dropped.",
        |shared, _| on_pending(shared, lose),
    ),
    act(
        "POST /_sandbox/api/deliveries/duplicate",
        "Makes all pending deliveries come twice.",
        "The pending deliveries come twice.",
        |shared, _| on_pending(shared, duplicate),
    ),
    act(
        "POST /_sandbox/api/deliveries/shuffle",
        "Puts the pending deliveries in another order; the same seed gives the same order.",
        "The pending deliveries are in another order.",
        |shared, call| shuffle(shared, call.params.some_int("seed").unwrap_or_else(clock::real_millis)),
    ),
    act(
        "POST /_sandbox/api/deliveries/delay",
        "Puts all pending deliveries off.",
        "The pending deliveries were put off.",
        |shared, call| {
            let seconds = call.params.int("seconds");
            on_pending(shared, |tx, id| delay(tx, id, seconds))
        },
    ),
    see("GET /_sandbox/api/conditions", "How events travel from now on.", |shared, _| Ok(conditions(&shared.lock()))),
    act(
        "POST /_sandbox/api/conditions",
        "Makes events get lost, come twice, late or out of order from now on.",
        "The conditions hold from now on.",
        |shared, call| set_conditions(shared, &call.params),
    ),
    act(
        "POST /_sandbox/api/conditions/clear",
        "Lets events travel undisturbed again.",
        "Events travel undisturbed again.",
        |shared, _| set_conditions(shared, &calm()),
    ),
    see("GET /_sandbox/api/requests", "API calls, newest first; `path` is a beginning.", list_requests),
    see("GET /_sandbox/api/requests/:id", "An API call: parameters, answer, what it touched.", |shared, call| {
        shared
            .lock()
            .store
            .get(&call.id)
            .filter(|found| found.text("object") == REQUEST)
            .map(request_shown)
            .ok_or_else(|| ApiError::missing("request", &call.id))
    }),
    see("GET /_sandbox/api/faults", "How the API misbehaves.", |shared, _| Ok(faults_shown(&shared.lock().faults))),
    act(
        "POST /_sandbox/api/faults",
        "Fails the next calls (of those whose path begins with `path`), loses or garbles their answers, slows every call down, or leaves no more than its id of one object.",
        "The API misbehaves from now on.",
        |shared, call| Ok(set_faults(shared, &call.params)),
    ),
    act("POST /_sandbox/api/faults/clear", "Ends all misbehaviour.", "The API behaves again.", |shared, _| {
        shared.lock().faults = Faults::NONE;
        Ok(faults_shown(&Faults::NONE))
    }),
    see("GET /_sandbox/api/settings", "What the account's billing is set to.", |shared, _| {
        Ok(Settings::of(shared.lock().store.get("_settings")).shown())
    }),
    act(
        "POST /_sandbox/api/settings",
        "Sets what follows the last retry, and how long renewal invoices stay drafts.",
        "The settings are kept.",
        |shared, call| {
            shared.transaction(Origin::default(), |tx| {
                let settings = Settings::current(tx).with(&call.params)?;
                settings.keep(tx);
                Ok(settings.shown())
            })
        },
    ),
    see("GET /_sandbox/api/objects", "Objects of a kind, newest first.", |shared, call| {
        let inner = shared.lock();
        page(call, inner.store.newest(call.params.text("kind")))
            .map(|list| shape::render(&list, shape::DEFAULT_VERSION))
    }),
    see("GET /_sandbox/api/objects/:id", "An object, and what it has to do with.", |shared, call| {
        related(&shared.lock(), &call.id)
    }),
    act(
        "POST /_sandbox/api/customers/:id/refuse_next",
        "Declines the customer's next charges, whatever the card.",
        "The next charge will be declined.",
        |shared, call| refuse_next(shared, &call.id, call.params.some_int("times").unwrap_or(1)),
    ),
    act(
        "POST /_sandbox/api/subscriptions/:id/cancel",
        "Cancels a subscription, now or at the period's end.",
        "The subscription was cancelled.",
        |shared, call| cancel(shared, &call.id, call.params.flag("at_period_end")),
    ),
    act(
        "POST /_sandbox/api/subscriptions/:id/keep",
        "Takes back a cancellation at the period's end.",
        "The subscription goes on.",
        |shared, call| on_object(shared, |tx| change::update(tx, &call.id, &json!({ "cancel_at_period_end": false }))),
    ),
    act(
        "POST /_sandbox/api/payments/:id/refund",
        "Refunds a payment (PaymentIntent or charge), whole or in part.",
        "The payment was refunded.",
        |shared, call| refund_payment(shared, &call.id, call.params.some_int("amount")),
    ),
    act(
        "POST /_sandbox/api/payments/:id/dispute",
        "Disputes a payment, or has the bank inquire.",
        "The payment is disputed.",
        |shared, call| dispute_payment(shared, &call.id, call.params.text("reason"), call.params.flag("inquiry")),
    ),
    act(
        "POST /_sandbox/api/payments/:id/settle",
        "Lets a bank debit succeed.",
        "The debit has settled.",
        |shared, call| settle_payment(shared, &call.id, true),
    ),
    act("POST /_sandbox/api/payments/:id/fail", "Lets a bank debit fail.", "The debit has failed.", |shared, call| {
        settle_payment(shared, &call.id, false)
    }),
    act(
        "POST /_sandbox/api/refunds/:id/settle",
        "Lets a refund go through.",
        "The refund went through.",
        |shared, call| on_object(shared, |tx| refund::settle(tx, &call.id, true)),
    ),
    act("POST /_sandbox/api/refunds/:id/fail", "Lets a refund fail.", "The refund has failed.", |shared, call| {
        on_object(shared, |tx| refund::settle(tx, &call.id, false))
    }),
    act(
        "POST /_sandbox/api/refunds/:id/cancel",
        "Takes a pending refund back.",
        "The refund was taken back.",
        |shared, call| on_object(shared, |tx| refund::cancel(tx, &call.id)),
    ),
    act("POST /_sandbox/api/disputes/:id/win", "Closes a dispute as won.", "The dispute is won.", |shared, call| {
        close_dispute(shared, &call.id, Verdict::Won)
    }),
    act("POST /_sandbox/api/disputes/:id/lose", "Closes a dispute as lost.", "The dispute is lost.", |shared, call| {
        close_dispute(shared, &call.id, Verdict::Lost)
    }),
];

/// The control of a method and path, its place in the list, and the id in the path.
pub(crate) fn find(method: &str, path: &str) -> Option<(usize, &'static Control, String)> {
    crate::http::best(CONTROLS.iter().map(|control| control.endpoint), method, path)
        .map(|(place, id)| (place, &CONTROLS[place], id))
}

fn list() -> Value {
    let controls = CONTROLS.iter().map(|control| {
        let (method, path) = control.endpoint.split_once(' ').unwrap_or_default();
        json!({
            "method": method, "path": path, "about": control.about,
            "parameters": params::described(control.endpoint),
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
        "api_version": shape::DEFAULT_VERSION,
        "customers": count("customer"),
        "subscriptions": count("subscription"),
        "checkout_sessions": count("checkout.session"),
        "invoices": count("invoice"),
        "events": count("event"),
        "webhook_endpoints": count("webhook_endpoint"),
        "deliveries": { "pending": pending, "in_flight": inner.under_way.len(), "held": inner.holding },
        "requests": count(REQUEST),
    })
}

// The clock

fn agenda(inner: &Inner, call: &Call) -> Value {
    let limit = usize::try_from(call.params.some_int("limit").unwrap_or(20)).unwrap_or(20);
    let object = call.params.some("object");
    let due = inner.store.agenda().filter(|(_, _, id)| object.is_none_or(|object| object == *id));
    let due: Vec<Value> = due
        .take(limit)
        .map(|(at, what, id)| json!({ "at": at, "what": what.name(), "says": what.sentence(), "object": id }))
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
        return Err(ApiError::invalid("", "The clock only goes forward: say by how much, or to when."));
    }
    shared.advance(seconds);
    Ok(agenda(&shared.lock(), call))
}

fn advance_to_next(shared: &Shared, call: &Call) -> Result<Value, ApiError> {
    let what = Due::ALL.into_iter().find(|due| due.name() == call.params.text("what"));
    let object = call.params.some("object");
    go_to_next(shared, what, object).ok_or_else(|| ApiError::invalid("", "Nothing of that kind falls due."))?;
    Ok(agenda(&shared.lock(), call))
}

/// Moves the clock on to the next thing that falls due; when that was.
pub(crate) fn go_to_next(shared: &Shared, what: Option<Due>, object: Option<&str>) -> Option<i64> {
    shared.catch_up();
    let (at, now) = {
        let inner = shared.lock();
        let mut due = inner
            .store
            .agenda()
            .filter(|(_, due, id)| what.is_none_or(|what| what == *due) && object.is_none_or(|object| object == *id));
        (due.next()?.0, inner.store.now_millis() / 1000)
    };
    shared.advance((at - now).max(0));
    Some(at)
}

// Events and their deliveries

fn list_events(shared: &Shared, call: &Call) -> Result<Value, ApiError> {
    let inner = shared.lock();
    let kind = call.params.some("type");
    let wanted = |event: &&Value| {
        kind.is_none_or(|kind| match kind.strip_suffix('*') {
            Some(prefix) => event.text("type").starts_with(prefix),
            None => event.text("type") == kind,
        })
    };
    let list = match call.params.some("object") {
        Some(id) => page(call, inner.store.referring("event", id).filter(wanted)),
        None => page(call, inner.store.newest("event").filter(wanted)),
    };
    list.map(|list| shape::render(&list, shape::DEFAULT_VERSION))
}

fn show_event(shared: &Shared, call: &Call) -> Result<Value, ApiError> {
    let inner = shared.lock();
    let event = inner.store.get(&call.id).filter(|found| found.text("object") == "event");
    let event = event.ok_or_else(|| ApiError::missing("event", &call.id))?;
    let deliveries = inner.store.referring("_delivery", &call.id).map(delivery_shown);
    Ok(json!({
        "event": shape::render(event, shape::DEFAULT_VERSION),
        "deliveries": deliveries.collect::<Vec<_>>(),
    }))
}

/// Makes the deliveries of an event once more (`times` times), to every endpoint that wants it or
/// to one.
///
/// # Errors
/// There is no such event.
pub(crate) fn replay(shared: &Shared, event: &str, times: u32, endpoint: Option<&str>) -> Result<Value, ApiError> {
    shared.transaction(Origin::default(), |tx| {
        let event = tx.find("event", event)?;
        let kind = event.text("type");
        let mut made = Vec::new();
        for _ in 0..times {
            for to in events::interested(tx, kind) {
                if endpoint.is_none_or(|endpoint| endpoint == to) {
                    let delivery = events::delivery(event.text("id"), kind, &to, tx.now() * 1000);
                    made.push(delivery_shown(&delivery));
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
    list["data"] = list.list("data").iter().map(delivery_shown).collect();
    Ok(list)
}

/// A delivery as the control API shows it.
pub(crate) fn delivery_shown(delivery: &Value) -> Value {
    let mut shown = delivery.clone();
    shown.set("object", "delivery");
    shown
}

fn show_delivery(shared: &Shared, call: &Call) -> Result<Value, ApiError> {
    let inner = shared.lock();
    let delivery = inner.store.get(&call.id).filter(|found| found.text("object") == "_delivery");
    let delivery = delivery.ok_or_else(|| ApiError::missing("delivery", &call.id))?;
    let mut shown = delivery_shown(delivery);
    shown.set("url", inner.store.get(delivery.text("endpoint")).map(|endpoint| endpoint["url"].clone()));
    shown.set("payload", deliver::payload(&inner.store, delivery));
    Ok(shown)
}

/// Delivers one now, even while all others are held.
///
/// # Errors
/// It is not pending.
pub(crate) fn deliver(shared: &Shared, id: &str) -> Result<Value, ApiError> {
    let mut inner = shared.lock();
    let pending = inner.store.get(id).filter(|found| found.text("state") == "pending").map(delivery_shown);
    let pending = pending.ok_or_else(|| ApiError::missing("pending delivery", id))?;
    inner.at_once.push_back(id.to_owned());
    drop(inner);
    shared.wake.notify_one();
    Ok(pending)
}

/// Holds all deliveries back, or lets them go.
pub(crate) fn hold(shared: &Shared, holding: bool) -> Value {
    shared.lock().holding = holding;
    shared.wake.notify_one();
    json!({ "held": holding })
}

/// Does something to one pending delivery.
fn on_one(shared: &Shared, call: &Call, work: impl FnOnce(&mut Tx<'_>, &str)) -> Result<Value, ApiError> {
    shared.transaction(Origin::default(), |tx| {
        let pending = tx.lookup("_delivery", &call.id).is_some_and(|found| found.text("state") == "pending");
        if !pending {
            return Err(ApiError::missing("pending delivery", &call.id));
        }
        work(tx, &call.id);
        tx.find("_delivery", &call.id).map(|delivery| delivery_shown(&delivery))
    })
}

/// Does something to each pending delivery, in the order in which they would go; how many there
/// were.
pub(crate) fn on_pending(shared: &Shared, work: impl Fn(&mut Tx<'_>, &str)) -> Result<Value, ApiError> {
    let pending = pending(&shared.lock());
    shared.transaction(Origin::default(), |tx| {
        for id in &pending {
            work(tx, id);
        }
        Ok(json!({ "deliveries": pending.len() }))
    })
}

/// The pending deliveries that are not under way, in the order in which they would go.
pub(crate) fn pending(inner: &Inner) -> Vec<String> {
    let mut all: Vec<(i64, String)> = Vec::new();
    for (_, queue) in inner.store.queues() {
        all.extend(queue.map(|(due, id)| (due, id.to_owned())));
    }
    all.sort_by_key(|(due, _)| *due);
    all.into_iter().map(|(_, id)| id).filter(|id| !inner.under_way.contains_key(id)).collect()
}

/// Drops a pending delivery.
pub(crate) fn lose(tx: &mut Tx<'_>, id: &str) {
    tx.quietly(id, |delivery| delivery.set("state", "dropped"));
}

/// Makes a pending delivery come twice.
pub(crate) fn duplicate(tx: &mut Tx<'_>, id: &str) {
    if let Some(delivery) = tx.lookup("_delivery", id).cloned() {
        let (event, kind, endpoint) = (delivery.text("event"), delivery.text("type"), delivery.text("endpoint"));
        tx.put(events::delivery(event, kind, endpoint, delivery.int("due")));
    }
}

/// Puts a pending delivery off.
pub(crate) fn delay(tx: &mut Tx<'_>, id: &str, seconds: i64) {
    tx.quietly(id, |delivery| delivery.set("due", delivery.int("due") + seconds * 1000));
}

/// Puts the pending deliveries in an order that depends on nothing but the seed and the order
/// they were in.
pub(crate) fn shuffle(shared: &Shared, seed: i64) -> Result<Value, ApiError> {
    let mut pending: Vec<([u8; 32], String)> = pending(&shared.lock())
        .into_iter()
        .enumerate()
        .map(|(place, id)| (Sha256::digest(format!("{seed}:{place}")).into(), id))
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

fn calm() -> Value {
    json!({
        "abreast": 1, "delay_seconds": 0, "drop_next": 0, "drop_percent": 0, "duplicate_next": 0,
        "duplicate_percent": 0, "shuffle": false,
    })
}

pub(crate) fn conditions(inner: &Inner) -> Value {
    let mut shown = calm();
    if let Some(stored) = inner.store.get(events::CONDITIONS) {
        copy(&mut shown, stored, events::CONDITION_FIELDS);
    }
    shown.set("abreast", inner.abreast);
    shown
}

/// Sets the conditions that were named; the others stay.
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
    if let Some(abreast) = params.some_int("abreast") {
        inner.abreast = usize::try_from(abreast.max(1)).unwrap_or(1);
    }
    Ok(conditions(&inner))
}

// The API

fn list_requests(shared: &Shared, call: &Call) -> Result<Value, ApiError> {
    let inner = shared.lock();
    let fields = ["idempotency_key", "method", "status"];
    let (object, path) = (call.params.some("object"), call.params.text("path"));
    let wanted = |found: &&Value| {
        found.text("path").starts_with(path)
            && object.is_none_or(|object| found.list("touched").iter().any(|id| id == object))
            && crate::http::matches_filters(call, found, &fields)
    };
    let mut list = page(call, inner.store.newest(REQUEST).filter(wanted))?;
    list["data"] = list.list("data").iter().map(request_shown).collect();
    Ok(list)
}

/// A call as the control API shows it.
pub(crate) fn request_shown(request: &Value) -> Value {
    let mut shown = request.clone();
    shown.set("object", "request");
    shown
}

fn faults_shown(faults: &Faults) -> Value {
    json!({
        "fail_next": faults.failing.0,
        "status": faults.failing.1,
        "lose_next": faults.losing,
        "garble_next": faults.garbling,
        "delay_ms": u64::try_from(faults.delay.as_millis()).unwrap_or(u64::MAX),
        "path": faults.path,
        "mangle": faults.mangled,
    })
}

fn set_faults(shared: &Shared, params: &Value) -> Value {
    let number = |name: &str| params.some_int(name).map(|number| u32::try_from(number.max(0)).unwrap_or(u32::MAX));
    let faults = &mut shared.lock().faults;
    if let Some(status) = params.some_int("status").and_then(|status| u16::try_from(status).ok()) {
        faults.failing.1 = status.clamp(400, 599);
    }
    faults.failing.0 = number("fail_next").unwrap_or(faults.failing.0);
    faults.losing = number("lose_next").unwrap_or(faults.losing);
    faults.garbling = number("garble_next").unwrap_or(faults.garbling);
    if let Some(delay) = number("delay_ms") {
        faults.delay = Duration::from_millis(u64::from(delay));
    }
    for (name, held) in [("path", &mut faults.path), ("mangle", &mut faults.mangled)] {
        if params.get(name).is_some() {
            params.text(name).clone_into(held);
        }
    }
    faults_shown(faults)
}

// Objects

/// An object with what names it, what it names, its events and the calls that touched it.
pub(crate) fn related(inner: &Inner, id: &str) -> Result<Value, ApiError> {
    const MOST: usize = 50;
    let store = &inner.store;
    let object = store.get(id).filter(|found| !found.text("object").starts_with('_'));
    let object = object.ok_or_else(|| ApiError::missing("object", id))?;
    let brief = |found: &Value| json!({ "id": found["id"], "object": found["object"], "status": found["status"], "created": found["created"] });
    let names: Vec<Value> =
        crate::index::references(object).into_iter().filter_map(|id| store.get(id)).map(brief).collect();
    let own = |found: &&Value| !found.text("object").starts_with('_') && found.text("object") != "event";
    let fresh = |found: &Value| !names.iter().any(|known| known["id"] == found["id"]);
    let named_by: Vec<Value> = store.all_referring(id).filter(own).map(brief).filter(fresh).take(MOST).collect();
    let events = store.referring("event", id).take(MOST).map(|event| {
        json!({ "id": event["id"], "type": event["type"], "created": event["created"], "about": event["data"]["object"]["id"] })
    });
    let requests = store.referring(REQUEST, id).take(MOST).map(|request| {
        json!({
            "id": request["id"], "method": request["method"], "path": request["path"], "status": request["status"],
            "created": request["created"],
        })
    });
    Ok(json!({
        "object": shape::render(object, shape::DEFAULT_VERSION),
        "names": names,
        "named_by": named_by,
        "events": events.collect::<Vec<_>>(),
        "requests": requests.collect::<Vec<_>>(),
        "due": store.agenda().filter(|(_, _, of)| *of == id).map(|(at, what, _)| json!({ "at": at, "what": what.name(), "says": what.sentence() })).collect::<Vec<_>>(),
    }))
}

/// Changes Stripe's objects, and shows the one that it was about.
pub(crate) fn on_object(
    shared: &Shared,
    work: impl FnOnce(&mut Tx<'_>) -> Result<Value, ApiError>,
) -> Result<Value, ApiError> {
    shared.transaction(Origin::default(), work).map(|object| shape::render(&object, shape::DEFAULT_VERSION))
}

/// Declines a customer's next charges.
pub(crate) fn refuse_next(shared: &Shared, customer: &str, times: i64) -> Result<Value, ApiError> {
    on_object(shared, |tx| {
        tx.find("customer", customer)?;
        tx.quietly(customer, |customer| customer.set(REFUSE_NEXT, times.max(0)));
        tx.find("customer", customer)
    })
}

fn cancel(shared: &Shared, id: &str, at_period_end: bool) -> Result<Value, ApiError> {
    on_object(shared, |tx| match at_period_end {
        true => change::update(tx, id, &json!({ "cancel_at_period_end": true })),
        false => {
            let current = tx.find("subscription", id)?;
            subscription::cancel(tx, &current, &json!({}))
        }
    })
}

/// The charge of a payment, which may be named by its PaymentIntent.
fn charge_of(tx: &Tx<'_>, payment: &str) -> Result<Value, ApiError> {
    let intent = tx.lookup("payment_intent", payment).map(|intent| intent.text("latest_charge"));
    tx.find("charge", intent.unwrap_or(payment))
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

/// Ends a bank debit.
pub(crate) fn settle_payment(shared: &Shared, payment: &str, succeeds: bool) -> Result<Value, ApiError> {
    on_object(shared, |tx| {
        let intent = tx.lookup("charge", payment).map_or(payment, |charge| charge.text("payment_intent")).to_owned();
        debit::settle(tx, &intent, succeeds)
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
    fn the_documentation_names_every_control() {
        let documentation = include_str!("../../docs/SANDBOX.md");
        for control in CONTROLS {
            let (method, path) = control.endpoint.split_once(' ').expect("a method and a path");
            let short = path.strip_prefix("/_sandbox/api").expect("below /_sandbox/api");
            let named =
                if short.is_empty() { path.to_owned() } else { format!("| `{method} {short}` | {} |", control.about) };
            assert!(documentation.contains(&named), "{named}");
        }
    }
}
