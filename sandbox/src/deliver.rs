//! Signed delivery of events to webhook endpoints.
//!
//! Invariant: a delivery stays pending, across restarts too, until its endpoint answers 2xx,
//! is deleted, or has failed thirty times. To one endpoint one delivery is under way at a time,
//! in the order of events; one that failed waits its turn without holding up the others.
//! Source: "Verify webhook signatures manually", docs.stripe.com/webhooks.

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::fields::Fields;
use crate::shape;
use crate::state::Shared;

/// After how many failures a delivery is given up.
const MOST_ATTEMPTS: i64 = 30;
/// The first wait, in milliseconds; it doubles.
const FIRST_WAIT: i64 = 250;
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
                note(&shared, &attempt, outcome);
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

/// What is due now, at most one delivery per endpoint, and how long to wait for more.
fn due(shared: &Shared) -> (Vec<Attempt>, Duration) {
    let mut inner = shared.lock();
    let now = inner.store.now_millis();
    let mut wait = 1_000;
    let mut attempts = Vec::new();
    if inner.holding {
        return (attempts, Duration::from_millis(wait));
    }
    let mut pending: Vec<Value> = inner.store.newest("_delivery").cloned().collect();
    pending.reverse();
    pending.sort_by_key(|delivery| delivery.int("attempts") > 0);
    for delivery in pending {
        let endpoint = delivery.text("endpoint");
        let until = delivery.int("due") - now;
        if until > 0 {
            wait = wait.min(u64::try_from(until).unwrap_or(wait));
            continue;
        }
        if inner.busy.contains(endpoint) {
            continue;
        }
        let Some((url, secret, payload)) = contents(&inner.store, &delivery) else {
            continue;
        };
        inner.busy.insert(endpoint.to_owned());
        attempts.push(Attempt {
            delivery: delivery.text("id").to_owned(),
            endpoint: endpoint.to_owned(),
            url,
            secret,
            payload,
        });
    }
    (attempts, Duration::from_millis(wait))
}

/// Address, secret and body: the event in the endpoint's API version.
fn contents(store: &crate::store::Store, delivery: &Value) -> Option<(String, String, String)> {
    let endpoint = store.get(delivery.text("endpoint"))?;
    let event = store.get(delivery.text("event"))?;
    let version = endpoint.some("api_version").unwrap_or(shape::DEFAULT_VERSION);
    let mut event = shape::render(event, version);
    event.set("api_version", version);
    let payload = serde_json::to_string_pretty(&event).ok()?;
    let (url, secret) = (endpoint.text("url"), endpoint.text("_secret"));
    Some((url.to_owned(), secret.to_owned(), payload))
}

async fn post(client: &reqwest::Client, attempt: &Attempt) -> Result<u16, String> {
    // Signed with real time: receivers compare it with their own clock.
    let at = clock::real_millis() / 1000;
    let answer = client
        .post(&attempt.url)
        .header("content-type", "application/json; charset=utf-8")
        .header("stripe-signature", signature(&attempt.secret, &attempt.payload, at))
        .body(attempt.payload.clone())
        .send()
        .await;
    match answer {
        Ok(answer) => Ok(answer.status().as_u16()),
        Err(error) => Err(error.without_url().to_string()),
    }
}

/// Writes down what became of an attempt.
fn note(shared: &Shared, attempt: &Attempt, outcome: Result<u16, String>) {
    let now = shared.lock().store.now_millis();
    shared.by_itself(|tx| {
        let Some(mut delivery) = tx.lookup("_delivery", &attempt.delivery).cloned() else {
            return Ok(());
        };
        let attempts = delivery.int("attempts") + 1;
        delivery.set("attempts", attempts);
        delivery.set("last_status", outcome.as_ref().ok().copied());
        delivery.set("last_error", outcome.as_ref().err().cloned());
        let delivered = outcome.is_ok_and(|status| (200..300).contains(&status));
        if delivered || attempts >= MOST_ATTEMPTS {
            delivery.set("object", "_delivered");
            delivery.set("state", if delivered { "delivered" } else { "failed" });
        } else {
            let doubled = FIRST_WAIT << u32::try_from(attempts - 1).unwrap_or(0).min(16);
            delivery.set("due", now + doubled.min(LONGEST_WAIT));
        }
        tx.put(delivery.clone());
        if delivered {
            tx.quietly(delivery.text("event"), |event| {
                event.set("pending_webhooks", (event.int("pending_webhooks") - 1).max(0));
            });
        }
        Ok(())
    });
    shared.lock().busy.remove(&attempt.endpoint);
    shared.wake.notify_one();
}
