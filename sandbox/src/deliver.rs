//! Signed delivery of events to webhook endpoints.
//!
//! Invariant: a delivery stays pending, even across restarts, until its endpoint returns 2xx or is
//! deleted, until it has failed thirty times, or until it is dropped with a control. Deliveries to one
//! endpoint are sent in the order in which they are due, one at a time or as many as configured; a
//! failed delivery waits for its retry without blocking the others. Proved by
//! `held_deliveries_wait_and_arrive_in_order`.
//! Source: "Verify webhook signatures manually", docs.stripe.com/webhooks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api_version;
use crate::clock;
use crate::events;
use crate::fields::Fields;
use crate::state::Shared;
use crate::store::Store;

/// The number of bytes of an endpoint's response to store.
const MAX_RESPONSE: usize = 2_000;
/// The number of failures after which a delivery is abandoned.
const MAX_ATTEMPTS: usize = 30;
/// The delay before the first retry, in milliseconds; it doubles with each retry.
const FIRST_DELAY: i64 = 250;
/// The time that the task sleeps when nothing is due, in milliseconds.
const POLL_INTERVAL: i64 = 1_000;
/// The longest delay between retries, in milliseconds.
const MAX_DELAY: i64 = 60_000;

/// An attempt to send a delivery.
struct Attempt {
    delivery: String,
    endpoint: String,
    url: String,
    secret: String,
    payload: String,
}

/// Builds the client that delivers webhooks: a timeout of ten seconds, no redirects.
pub(crate) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent("Stripe/1.0 (+sandbox; offline)")
        .no_proxy()
        .build()
}

/// Returns the signature `t=…,v1=…` of a payload at a time in seconds.
pub(crate) fn signature(secret: &str, payload: &str, at: i64) -> String {
    // HMAC accepts keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(format!("{at}.").as_bytes());
    mac.update(payload.as_bytes());
    format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()))
}

/// Returns the signature for an endpoint at the current real time, which receivers compare with their
/// own clock.
pub(crate) fn signature_now(endpoint: &Value, payload: &str) -> String {
    signature(endpoint.text("_secret"), payload, clock::real_millis() / 1000)
}

/// Delivers until canceled, then finishes the deliveries in flight.
pub(crate) async fn run(shared: Arc<Shared>, client: reqwest::Client, stop: CancellationToken) {
    let in_flight = TaskTracker::new();
    loop {
        shared.catch_up();
        let (attempts, wait) = due(&shared);
        for attempt in attempts {
            let shared = Arc::clone(&shared);
            let client = client.clone();
            in_flight.spawn(async move {
                let outcome = post(&client, &attempt).await;
                record(&shared, &attempt, &outcome);
            });
        }
        shared.settled.notify_waiters();
        tokio::select! {
            () = stop.cancelled() => break,
            () = shared.wake.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    in_flight.close();
    in_flight.wait().await;
}

/// Returns the attempts that are due, and the time until the next ones.
fn due(shared: &Shared) -> (Vec<Attempt>, Duration) {
    let mut inner = shared.lock();
    let mut chosen: Vec<String> = inner.deliver_now.drain(..).collect();
    let mut wait = POLL_INTERVAL;
    if !inner.holding {
        let now = inner.store.now_millis();
        for (endpoint, queue) in inner.store.queues() {
            let busy = inner.in_flight.values().filter(|to| *to == endpoint).count();
            let waiting = queue.filter(|(_, id)| !inner.in_flight.contains_key(*id));
            for (due, id) in waiting.take(inner.concurrency.saturating_sub(busy)) {
                if due > now {
                    wait = wait.min(due - now);
                    break;
                }
                chosen.push(id.to_owned());
            }
        }
    }
    let mut attempts = Vec::new();
    for id in chosen {
        let Some(attempt) = attempt(&inner.store, &id).filter(|_| !inner.in_flight.contains_key(&id)) else {
            continue;
        };
        inner.in_flight.insert(id, attempt.endpoint.clone());
        attempts.push(attempt);
    }
    (attempts, Duration::from_millis(u64::try_from(wait).unwrap_or(1)))
}

/// Prepares a pending delivery: the endpoint's URL and secret, and the event in its API version.
fn attempt(store: &Store, id: &str) -> Option<Attempt> {
    let delivery = store.get(id).filter(|delivery| delivery.text("state") == "pending")?;
    let endpoint = store.get(delivery.text("endpoint"))?;
    let (payload, url) = (payload(store, delivery)?, endpoint.text("url").to_owned());
    Some(Attempt {
        delivery: id.to_owned(),
        endpoint: endpoint.text("id").to_owned(),
        url,
        secret: endpoint.text("_secret").to_owned(),
        payload,
    })
}

/// Returns the body to sign and send.
pub(crate) fn payload(store: &Store, delivery: &Value) -> Option<String> {
    payload_for(store, delivery.text("event"), store.get(delivery.text("endpoint"))?)
}

/// Returns an event as an endpoint receives it.
pub(crate) fn payload_for(store: &Store, event: &str, endpoint: &Value) -> Option<String> {
    let event = store.get(event).filter(|found| events::is_event(found))?;
    if event.text("object") == events::THIN {
        // It has no version.
        return serde_json::to_string_pretty(event).ok();
    }
    let version = endpoint.some("api_version").unwrap_or(api_version::DEFAULT_VERSION);
    let mut event = api_version::render(event, version);
    event.set("api_version", version);
    serde_json::to_string_pretty(&event).ok()
}

/// An endpoint's response: its status and the start of its body, or the error if there was none.
struct Outcome {
    response: Result<(u16, String), String>,
    took: Duration,
}

async fn post(client: &reqwest::Client, attempt: &Attempt) -> Outcome {
    // Receivers compare the time in the signature with their own clock.
    let at = clock::real_millis() / 1000;
    let started = Instant::now();
    let response = client
        .post(&attempt.url)
        .header("content-type", "application/json; charset=utf-8")
        .header("stripe-signature", signature(&attempt.secret, &attempt.payload, at))
        .body(attempt.payload.clone())
        .send()
        .await;
    let response = match response {
        Ok(response) => {
            let status = response.status().as_u16();
            let body = response.bytes().await.unwrap_or_default();
            let kept = &body[..body.len().min(MAX_RESPONSE)];
            Ok((status, String::from_utf8_lossy(kept).into_owned()))
        }
        Err(error) => Err(error.without_url().to_string()),
    };
    Outcome { response, took: started.elapsed() }
}

/// Records the outcome of an attempt.
fn record(shared: &Shared, attempt: &Attempt, outcome: &Outcome) {
    let now = shared.lock().store.now_millis();
    shared.internal_transaction(|tx| {
        let Some(mut delivery) = tx.lookup("_delivery", &attempt.delivery).cloned() else {
            return Ok(());
        };
        let mut attempts = delivery.list("attempts").to_vec();
        attempts.push(json!({
            "at": now / 1000,
            "status": outcome.response.as_ref().ok().map(|(status, _)| *status),
            "response": outcome.response.as_ref().ok().map(|(_, body)| body),
            "error": outcome.response.as_ref().err(),
            "took_ms": u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
        }));
        let count = attempts.len();
        delivery.set("attempts", attempts);
        let delivered = outcome.response.as_ref().is_ok_and(|(status, _)| (200..300).contains(status));
        if delivered {
            delivery.set("state", "delivered");
            tx.quietly(delivery.text("event"), |event| {
                if event.text("object") == "event" {
                    event.set("pending_webhooks", (event.int("pending_webhooks") - 1).max(0));
                }
            });
        } else if delivery.text("state") == "pending" {
            let doubled = FIRST_DELAY << u32::try_from(count - 1).unwrap_or(0).min(16);
            delivery.set("due", now + doubled.min(MAX_DELAY));
            if count >= MAX_ATTEMPTS {
                delivery.set("state", "failed");
            }
        }
        tx.put(delivery);
        Ok(())
    });
    shared.lock().in_flight.remove(&attempt.delivery);
    shared.wake.notify_one();
}
