//! State that the sandbox's tasks share, behind one lock.
//!
//! Invariant: the lock is never held across an await.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::config::{Config, Endpoint};
use crate::error::{ApiError, Error};
use crate::fields::Fields;
use crate::flows;
use crate::gate::Gates;
use crate::ids;
use crate::objects;
use crate::store::{Origin, Store, Tx};

/// The maximum number of requests in the log.
const MAX_REQUESTS: usize = 10_000;
/// The kind of a logged request.
pub(crate) const REQUEST: &str = "_request";

/// An API call that the sandbox handled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoggedRequest {
    /// `req_…`, as in the `Request-Id` header and in events.
    pub id: String,
    /// The sandbox's time in seconds.
    pub at: i64,
    /// `GET`, `POST` or `DELETE`.
    pub method: String,
    /// The path without the query, e.g. `/v1/customers`.
    pub path: String,
    /// The parameters of the query and the body, as they were sent.
    pub parameters: Vec<(String, String)>,
    /// The HTTP status of the response.
    pub status: u16,
    /// The body of the response.
    pub response: String,
    /// The `Idempotency-Key`, if one was sent.
    pub idempotency_key: Option<String>,
}

impl LoggedRequest {
    pub(crate) fn of(logged: &Value) -> Self {
        let pair = |pair: &Value| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.as_str()?.to_owned()));
        Self {
            id: logged.text("id").to_owned(),
            at: logged.int("created"),
            method: logged.text("method").to_owned(),
            path: logged.text("path").to_owned(),
            parameters: logged.list("parameters").iter().filter_map(pair).collect(),
            status: u16::try_from(logged.int("status")).unwrap_or_default(),
            response: logged.text("response").to_owned(),
            idempotency_key: logged.some("idempotency_key").map(str::to_owned),
        }
    }
}

/// A delivery of an event to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// `dlv_…`
    pub id: String,
    /// The event's id.
    pub event: String,
    /// The event's type.
    pub kind: String,
    /// The endpoint's id.
    pub endpoint: String,
    /// `pending`, `delivered`, `failed` or `dropped`.
    pub state: String,
    /// The HTTP status of every attempt, `None` where there was no response.
    pub attempts: Vec<Option<u16>>,
}

impl Delivery {
    pub(crate) fn of(stored: &Value) -> Self {
        let attempts = stored.list("attempts").iter();
        Self {
            id: stored.text("id").to_owned(),
            event: stored.text("event").to_owned(),
            kind: stored.text("type").to_owned(),
            endpoint: stored.text("endpoint").to_owned(),
            state: stored.text("state").to_owned(),
            attempts: attempts
                .map(|one| one.some_int("status").and_then(|status| u16::try_from(status).ok()))
                .collect(),
        }
    }
}

/// State shared by the sandbox's tasks.
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    /// The base URL of hosted pages: `http://127.0.0.1:12111`.
    pub(crate) base: String,
    pub(crate) secret_keys: Vec<String>,
    /// Gates at which tests hold calls.
    pub(crate) gates: Arc<Gates>,
    /// Wakes the delivery task.
    pub(crate) wake: Notify,
    /// Wakes the tasks that wait until all deliveries have settled.
    pub(crate) settled: Notify,
}

/// The state behind the lock.
pub(crate) struct Inner {
    pub(crate) store: Store,
    /// Locks held by calls in progress: on idempotency keys, and on a customer's usage of a meter.
    pub(crate) locks: HashSet<String>,
    pub(crate) faults: Faults,
    pub(crate) holding: bool,
    /// Deliveries to send immediately, even while deliveries are held.
    pub(crate) deliver_now: VecDeque<String>,
    /// The maximum number of deliveries in flight to one endpoint. The default of one preserves their order.
    pub(crate) concurrency: usize,
    /// Deliveries in flight, with their endpoint.
    pub(crate) in_flight: HashMap<String, String>,
    caught_up: i64,
}

/// The faults that the API injects.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    /// The number of calls that fail next, and their status.
    pub(crate) failing: (u32, u16),
    /// The number of calls that are executed next but get a 500.
    pub(crate) dropping: u32,
    /// The number of calls that are executed next but get a body that is not JSON.
    pub(crate) corrupting: u32,
    /// The delay before every call is executed.
    pub(crate) delay: Duration,
    /// The prefix of the paths that the faults apply to.
    pub(crate) path: String,
    /// The id of the object that responses reduce to its id; empty for none.
    pub(crate) stripped: String,
    /// Whether a failed call's response is kept under its idempotency key.
    pub(crate) kept: bool,
    /// The `Retry-After` of failed calls, in seconds; 0 for none.
    pub(crate) retry_after: u32,
    /// The `Stripe-Should-Retry` of failed calls; empty for none.
    pub(crate) should_retry: String,
}

impl Faults {
    pub(crate) const NONE: Self = Self {
        failing: (0, 500),
        dropping: 0,
        corrupting: 0,
        delay: Duration::ZERO,
        path: String::new(),
        stripped: String::new(),
        kept: false,
        retry_after: 0,
        should_retry: String::new(),
    };
}

impl Shared {
    pub(crate) fn open(config: &Config, base: String) -> Result<Self, Error> {
        let shared = Self {
            inner: Mutex::new(Inner {
                store: Store::open(config.state_path.as_deref())?,
                locks: HashSet::new(),
                faults: Faults::NONE,
                holding: false,
                deliver_now: VecDeque::new(),
                concurrency: 1,
                in_flight: HashMap::new(),
                caught_up: 0,
            }),
            base,
            secret_keys: config.secret_keys.clone(),
            gates: Arc::default(),
            wake: Notify::new(),
            settled: Notify::new(),
        };
        for endpoint in config.endpoints.iter().cloned() {
            shared.add_endpoint(endpoint);
        }
        shared.internal_transaction(|tx| {
            if tx.newest("account").next().is_none() {
                tx.put(objects::account(tx.now()));
            }
            Ok(())
        });
        Ok(shared)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A transaction that panics is rolled back, so the state is consistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes all changes that are due, and then runs a transaction.
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

    /// Runs a transaction that has no caller to report to; a failure is logged.
    pub(crate) fn internal_transaction(&self, work: impl FnOnce(&mut Tx<'_>) -> Result<(), ApiError>) {
        if let Err(error) = self.transaction(Origin::default(), work) {
            tracing::error!(message = error.message, "a transaction of the sandbox failed");
        }
    }

    /// Makes all changes that are due, at most once per second of the sandbox's clock.
    pub(crate) fn catch_up(&self) {
        let mut inner = self.lock();
        let now = inner.store.now_millis() / 1000;
        if inner.caught_up == now {
            return;
        }
        inner.caught_up = now;
        let origin = Origin { base: self.base.clone(), ..Origin::default() };
        if let Err(error) = inner.store.transaction(origin, flows::time::catch_up) {
            tracing::error!(message = error.message, "cannot make the changes that are due");
        }
        drop(inner);
        self.wake.notify_one();
    }

    /// Adds an endpoint for all events, or updates the secret and version of the one with the same URL.
    pub(crate) fn add_endpoint(&self, endpoint: Endpoint) {
        self.internal_transaction(|tx| {
            let known = tx.newest("webhook_endpoint").find(|known| known.text("url") == endpoint.url);
            let mut stored =
                known.cloned().unwrap_or_else(|| objects::webhook_endpoint(&endpoint.url, &endpoint.secret, tx.now()));
            stored.set("_secret", endpoint.secret);
            stored.set("api_version", endpoint.api_version);
            tx.put(stored);
            Ok(())
        });
    }

    /// Advances the clock by whole seconds, and makes the changes that are due until then.
    pub(crate) fn advance(&self, seconds: i64) {
        self.internal_transaction(|tx| {
            let ahead = tx.get("_clock").map_or(0, |clock| clock.int("ahead"));
            tx.put(json!({ "id": "_clock", "object": "_clock", "ahead": ahead.saturating_add(seconds.max(0)) }));
            Ok(())
        });
        self.catch_up();
    }

    /// Adds a call to the log.
    pub(crate) fn log(&self, logged: Value) {
        self.internal_transaction(|tx| {
            tx.put(logged);
            tx.trim(REQUEST, MAX_REQUESTS);
            Ok(())
        });
    }

    /// Returns whether no deliveries are pending, apart from held ones.
    pub(crate) fn is_settled(&self) -> bool {
        let inner = self.lock();
        inner.in_flight.is_empty()
            && inner.deliver_now.is_empty()
            && (inner.holding || inner.store.queues().next().is_none())
    }
}

/// Returns a new request id.
pub(crate) fn request_id() -> String {
    ids::new("req_")[..18].to_owned()
}
