//! What the running sandbox shares between its tasks, behind one lock.
//!
//! Invariant: the lock is taken and released inside one synchronous function, here.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::config::{Config, Endpoint};
use crate::error::{ApiError, Error};
use crate::fields::Fields;
use crate::flows;
use crate::ids;
use crate::objects;
use crate::store::{Origin, Store, Tx};

/// How many requests the log keeps.
const LOG: usize = 10_000;

/// An API call that the sandbox answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLine {
    /// `GET`, `POST` or `DELETE`.
    pub method: String,
    /// The path without its query, e.g. `/v1/customers`.
    pub path: String,
    /// The answer's HTTP status.
    pub status: u16,
    /// The `Idempotency-Key` that was sent.
    pub idempotency_key: Option<String>,
}

/// What the tasks share.
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    /// Where hosted pages live: `http://127.0.0.1:12111`.
    pub(crate) base: String,
    pub(crate) secret_keys: Vec<String>,
    /// Wakes the delivery task: there may be something due.
    pub(crate) wake: Notify,
    /// Wakes those who wait for deliveries to settle.
    pub(crate) settled: Notify,
}

/// What the lock guards.
pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) requests: VecDeque<RequestLine>,
    /// Idempotency keys of requests that are being worked on.
    pub(crate) keys_in_use: HashSet<String>,
    /// How many further calls fail, and with which status.
    pub(crate) failing: (u32, u16),
    /// How many further calls are carried out but answered with 500.
    pub(crate) losing: u32,
    /// How long each call waits before it is carried out.
    pub(crate) delay: std::time::Duration,
    pub(crate) holding: bool,
    /// Endpoints that a delivery is under way to: one at a time, so that order is kept.
    pub(crate) busy: HashSet<String>,
    caught_up: i64,
}

impl Shared {
    pub(crate) fn open(config: &Config, base: String) -> Result<Self, Error> {
        let shared = Self {
            inner: Mutex::new(Inner {
                store: Store::open(config.state_path.as_deref())?,
                requests: VecDeque::new(),
                keys_in_use: HashSet::new(),
                failing: (0, 500),
                losing: 0,
                delay: std::time::Duration::ZERO,
                holding: false,
                busy: HashSet::new(),
                caught_up: 0,
            }),
            base,
            secret_keys: config.secret_keys.clone(),
            wake: Notify::new(),
            settled: Notify::new(),
        };
        for endpoint in config.endpoints.iter().cloned() {
            shared.add_endpoint(endpoint);
        }
        shared.by_itself(|tx| {
            if tx.newest("account").is_empty() {
                tx.put(objects::account(tx.now()));
            }
            Ok(())
        });
        Ok(shared)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic inside a transaction left nothing behind, so the state is still good.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a transaction; before it, everything that was due by now happens.
    pub(crate) fn transaction<T>(
        &self,
        mut origin: Origin,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        self.catch_up();
        origin.base.clone_from(&self.base);
        let outcome = self.lock().store.transaction(origin, work);
        self.wake.notify_one();
        outcome
    }

    /// A transaction that no request asked for. A failure is logged: nobody waits for it.
    pub(crate) fn by_itself(&self, work: impl FnOnce(&mut Tx<'_>) -> Result<(), ApiError>) {
        if let Err(error) = self.transaction(Origin::default(), work) {
            tracing::error!(message = error.message, "the sandbox could not do its own work");
        }
    }

    /// Does what has fallen due, at most once a second of the sandbox's clock.
    pub(crate) fn catch_up(&self) {
        let mut inner = self.lock();
        let now = inner.store.now_millis() / 1000;
        if inner.caught_up == now {
            return;
        }
        inner.caught_up = now;
        let origin = Origin { base: self.base.clone(), ..Origin::default() };
        if let Err(error) = inner.store.transaction(origin, flows::time::catch_up) {
            tracing::error!(message = error.message, "the sandbox could not catch up with its clock");
        }
        drop(inner);
        self.wake.notify_one();
    }

    /// Adds an endpoint for all events, or gives the one with that url another secret.
    pub(crate) fn add_endpoint(&self, wanted: Endpoint) {
        self.by_itself(|tx| {
            let known = tx.newest("webhook_endpoint").into_iter().find(|known| known.text("url") == wanted.url);
            let mut endpoint =
                known.cloned().unwrap_or_else(|| objects::webhook_endpoint(&wanted.url, &wanted.secret, tx.now()));
            endpoint.set("_secret", wanted.secret);
            endpoint.set("api_version", wanted.api_version);
            tx.put(endpoint);
            Ok(())
        });
    }

    /// Moves the clock on by milliseconds and does what falls due on the way.
    pub(crate) fn advance(&self, by: i64) {
        self.by_itself(|tx| {
            let offset = tx.get("_clock").map_or(0, |clock| clock.int("offset"));
            tx.put(json!({ "id": "_clock", "object": "_clock", "offset": offset.saturating_add(by) }));
            Ok(())
        });
        self.catch_up();
    }

    pub(crate) fn log(&self, line: RequestLine) {
        let mut inner = self.lock();
        if inner.requests.len() == LOG {
            inner.requests.pop_front();
        }
        inner.requests.push_back(line);
    }

    /// Makes the deliveries of an event once more (`times` times).
    pub(crate) fn replay(&self, event: &str, times: u32) -> bool {
        let mut known = false;
        self.by_itself(|tx| {
            let Some(event) = tx.lookup("event", event).cloned() else {
                return Ok(());
            };
            known = true;
            let endpoints: Vec<Value> = tx
                .newest("webhook_endpoint")
                .into_iter()
                .filter(|endpoint| crate::events::wanted(endpoint, event.text("type")))
                .cloned()
                .collect();
            for _ in 0..times {
                for endpoint in &endpoints {
                    let due = tx.now() * 1000;
                    tx.put(crate::events::delivery(event.text("id"), event.text("type"), endpoint.text("id"), due));
                }
            }
            Ok(())
        });
        known
    }

    /// Whether nothing is pending, or only what is held back.
    pub(crate) fn is_settled(&self) -> bool {
        let inner = self.lock();
        inner.busy.is_empty() && (inner.holding || inner.store.newest("_delivery").next().is_none())
    }

    /// What `/_sandbox/state` shows.
    pub(crate) fn summary(&self) -> Value {
        let inner = self.lock();
        let count = |kind: &str| inner.store.newest(kind).count();
        json!({
            "object": "sandbox",
            "now": inner.store.now_millis() / 1000,
            "api_version": crate::shape::DEFAULT_VERSION,
            "customers": count("customer"),
            "subscriptions": count("subscription"),
            "checkout_sessions": count("checkout.session"),
            "invoices": count("invoice"),
            "events": count("event"),
            "webhook_endpoints": count("webhook_endpoint"),
            "deliveries": {
                "pending": count("_delivery"),
                "in_flight": inner.busy.len(),
                "held": inner.holding,
            },
            "requests": inner.requests.len(),
        })
    }
}

/// The id of the next request.
pub(crate) fn request_id() -> String {
    ids::new("req_")[..18].to_owned()
}
