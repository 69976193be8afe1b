//! Signed delivery of events to webhook endpoints.
//!
//! Invariant: a delivery stays pending, across restarts too, until its endpoint answers 2xx,
//! is deleted, or has failed thirty times; or until somebody at the controls drops it. To one
//! endpoint one delivery is under way at a time (or as many as were asked for), in the order in
//! which they fall due; one that failed waits its turn without holding up the others. Proved by
//! `held_deliveries_wait_and_arrive_in_order`.
//! Source: "Verify webhook signatures manually", docs.stripe.com/webhooks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::fields::Fields;
use crate::shape;
use crate::state::Shared;
use crate::store::Store;

/// How much of an endpoint's answer is kept, in bytes.
const KEPT_OF_ANSWER: usize = 2_000;
/// After how many failures a delivery is given up.
const MOST_TRIES: usize = 30;
/// The first wait, in milliseconds; it doubles.
const FIRST_WAIT: i64 = 250;
/// How long the task sleeps when nothing is due, in milliseconds.
const LOOK_AGAIN: i64 = 1_000;
/// The longest wait, in milliseconds.
const LONGEST_WAIT: i64 = 60_000;

/// One attempt to make.
struct Attempt {
    delivery: String,
    endpoint: String,
    url: String,
    secret: String,
    payload: String,
}

/// The client that delivers: patient for ten seconds, following no redirect.
pub(crate) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent("Stripe/1.0 (+sandbox; offline)")
        .no_proxy()
        .build()
}

/// `t=…,v1=…` over the payload, as of a moment in seconds.
pub(crate) fn signature(secret: &str, payload: &str, at: i64) -> String {
    // HMAC takes keys of every length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(format!("{at}.").as_bytes());
    mac.update(payload.as_bytes());
    format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()))
}

/// The signature that an endpoint would get now, by real time: receivers compare it with their
/// own clock.
pub(crate) fn signature_now(endpoint: &Value, payload: &str) -> String {
    signature(endpoint.text("_secret"), payload, clock::real_millis() / 1000)
}

/// Delivers until it is told to stop; what is then under way is finished.
pub(crate) async fn run(shared: Arc<Shared>, client: reqwest::Client, stop: CancellationToken) {
    let under_way = TaskTracker::new();
    loop {
        shared.catch_up();
        let (attempts, wait) = due(&shared);
        for attempt in attempts {
            let shared = Arc::clone(&shared);
            let client = client.clone();
            under_way.spawn(async move {
                let outcome = post(&client, &attempt).await;
                note(&shared, &attempt, &outcome);
            });
        }
        shared.settled.notify_waiters();
        tokio::select! {
            () = stop.cancelled() => break,
            () = shared.wake.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    under_way.close();
    under_way.wait().await;
}

/// What is to be tried now, and how long to wait for more.
fn due(shared: &Shared) -> (Vec<Attempt>, Duration) {
    let mut inner = shared.lock();
    let mut chosen: Vec<String> = inner.at_once.drain(..).collect();
    let mut wait = LOOK_AGAIN;
    if !inner.holding {
        let now = inner.store.now_millis();
        for (endpoint, queue) in inner.store.queues() {
            let busy = inner.under_way.values().filter(|to| *to == endpoint).count();
            let waiting = queue.filter(|(_, id)| !inner.under_way.contains_key(*id));
            for (due, id) in waiting.take(inner.abreast.saturating_sub(busy)) {
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
        let Some(attempt) = attempt(&inner.store, &id).filter(|_| !inner.under_way.contains_key(&id)) else {
            continue;
        };
        inner.under_way.insert(id, attempt.endpoint.clone());
        attempts.push(attempt);
    }
    (attempts, Duration::from_millis(u64::try_from(wait).unwrap_or(1)))
}

/// Address, secret and body of a pending delivery: the event in the endpoint's API version.
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

/// The body that is signed and sent.
pub(crate) fn payload(store: &Store, delivery: &Value) -> Option<String> {
    payload_for(store, delivery.text("event"), store.get(delivery.text("endpoint"))?)
}

/// An event as an endpoint gets it.
pub(crate) fn payload_for(store: &Store, event: &str, endpoint: &Value) -> Option<String> {
    let event = store.get(event).filter(|found| found.text("object") == "event")?;
    let version = endpoint.some("api_version").unwrap_or(shape::DEFAULT_VERSION);
    let mut event = shape::render(event, version);
    event.set("api_version", version);
    serde_json::to_string_pretty(&event).ok()
}

/// What an endpoint answered: the status and the beginning of the body; or why there is none.
struct Outcome {
    answer: Result<(u16, String), String>,
    took: Duration,
}

async fn post(client: &reqwest::Client, attempt: &Attempt) -> Outcome {
    // Signed with real time: receivers compare it with their own clock.
    let at = clock::real_millis() / 1000;
    let begun = Instant::now();
    let answer = client
        .post(&attempt.url)
        .header("content-type", "application/json; charset=utf-8")
        .header("stripe-signature", signature(&attempt.secret, &attempt.payload, at))
        .body(attempt.payload.clone())
        .send()
        .await;
    let answer = match answer {
        Ok(answer) => {
            let status = answer.status().as_u16();
            let body = answer.bytes().await.unwrap_or_default();
            let kept = &body[..body.len().min(KEPT_OF_ANSWER)];
            Ok((status, String::from_utf8_lossy(kept).into_owned()))
        }
        Err(error) => Err(error.without_url().to_string()),
    };
    Outcome { answer, took: begun.elapsed() }
}

/// Writes down what became of an attempt.
fn note(shared: &Shared, attempt: &Attempt, outcome: &Outcome) {
    let now = shared.lock().store.now_millis();
    shared.by_itself(|tx| {
        let Some(mut delivery) = tx.lookup("_delivery", &attempt.delivery).cloned() else {
            return Ok(());
        };
        let mut tries = delivery.list("tries").to_vec();
        tries.push(json!({
            "at": now / 1000,
            "status": outcome.answer.as_ref().ok().map(|(status, _)| *status),
            "answer": outcome.answer.as_ref().ok().map(|(_, body)| body),
            "error": outcome.answer.as_ref().err(),
            "took_ms": u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
        }));
        let count = tries.len();
        delivery.set("tries", tries);
        let delivered = outcome.answer.as_ref().is_ok_and(|(status, _)| (200..300).contains(status));
        if delivered {
            delivery.set("state", "delivered");
            tx.quietly(delivery.text("event"), |event| {
                event.set("pending_webhooks", (event.int("pending_webhooks") - 1).max(0));
            });
        } else if delivery.text("state") == "pending" {
            let doubled = FIRST_WAIT << u32::try_from(count - 1).unwrap_or(0).min(16);
            delivery.set("due", now + doubled.min(LONGEST_WAIT));
            if count >= MOST_TRIES {
                delivery.set("state", "failed");
            }
        }
        tx.put(delivery);
        Ok(())
    });
    shared.lock().under_way.remove(&attempt.delivery);
    shared.wake.notify_one();
}
