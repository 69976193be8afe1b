//! What the running sandbox shares between its tasks, behind one lock.
//!
//! Invariant: the lock is taken and released inside one synchronous function, here or in
//! `controls.rs`.

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

/// How many requests the log keeps.
const LOG: usize = 10_000;
/// The kind of a logged request.
pub(crate) const REQUEST: &str = "_request";

/// An API call that the sandbox answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestLine {
    /// `req_…`, as in the `Request-Id` header and in events.
    pub id: String,
    /// When, in seconds of the sandbox's clock.
    pub at: i64,
    /// `GET`, `POST` or `DELETE`.
    pub method: String,
    /// The path without its query, e.g. `/v1/customers`.
    pub path: String,
    /// The parameters as they were sent, of the query and of the body.
    pub parameters: Vec<(String, String)>,
    /// The answer's HTTP status.
    pub status: u16,
    /// The answer's body.
    pub answer: String,
    /// The `Idempotency-Key` that was sent.
    pub idempotency_key: Option<String>,
}

impl RequestLine {
    pub(crate) fn of(logged: &Value) -> Self {
        let pair = |pair: &Value| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.as_str()?.to_owned()));
        Self {
            id: logged.text("id").to_owned(),
            at: logged.int("created"),
            method: logged.text("method").to_owned(),
            path: logged.text("path").to_owned(),
            parameters: logged.list("parameters").iter().filter_map(pair).collect(),
            status: u16::try_from(logged.int("status")).unwrap_or_default(),
            answer: logged.text("answer").to_owned(),
            idempotency_key: logged.some("idempotency_key").map(str::to_owned),
        }
    }
}

/// An event on its way to an endpoint.
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
    /// The status of every try, `None` where there was no answer.
    pub tries: Vec<Option<u16>>,
}

impl Delivery {
    pub(crate) fn of(stored: &Value) -> Self {
        let tries = stored.list("tries").iter();
        Self {
            id: stored.text("id").to_owned(),
            event: stored.text("event").to_owned(),
            kind: stored.text("type").to_owned(),
            endpoint: stored.text("endpoint").to_owned(),
            state: stored.text("state").to_owned(),
            tries: tries.map(|one| one.some_int("status").and_then(|status| u16::try_from(status).ok())).collect(),
        }
    }
}

/// What the tasks share.
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    /// Where hosted pages live: `http://127.0.0.1:12111`.
    pub(crate) base: String,
    pub(crate) secret_keys: Vec<String>,
    /// Where tests hold calls.
    pub(crate) gates: Arc<Gates>,
    /// Wakes the delivery task: there may be something due.
    pub(crate) wake: Notify,
    /// Wakes those who wait for deliveries to settle.
    pub(crate) settled: Notify,
}

/// What the lock guards.
pub(crate) struct Inner {
    pub(crate) store: Store,
    /// What requests that are being worked on have to themselves: their idempotency key, and a
    /// customer's meter.
    pub(crate) in_use: HashSet<String>,
    pub(crate) faults: Faults,
    pub(crate) holding: bool,
    /// Deliveries to make now, even while all others are held.
    pub(crate) at_once: VecDeque<String>,
    /// How many deliveries may be under way to one endpoint: one, so that order is kept, unless
    /// more are asked for.
    pub(crate) abreast: usize,
    /// Deliveries under way, and to which endpoint.
    pub(crate) under_way: HashMap<String, String>,
    caught_up: i64,
}

/// How the API misbehaves on purpose.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    /// How many further calls fail, and with which status.
    pub(crate) failing: (u32, u16),
    /// How many further calls are carried out but answered with 500.
    pub(crate) losing: u32,
    /// How many further calls are carried out but answered with what is not JSON.
    pub(crate) garbling: u32,
    /// How long each call waits before it is carried out.
    pub(crate) delay: Duration,
    /// The calls that fail, are lost or garbled: those whose path begins so.
    pub(crate) path: String,
    /// The object of which every answer says no more than its id; nobody's id for none.
    pub(crate) mangled: String,
}

impl Faults {
    pub(crate) const NONE: Self = Self {
        failing: (0, 500),
        losing: 0,
        garbling: 0,
        delay: Duration::ZERO,
        path: String::new(),
        mangled: String::new(),
    };
}

impl Shared {
    pub(crate) fn open(config: &Config, base: String) -> Result<Self, Error> {
        let shared = Self {
            inner: Mutex::new(Inner {
                store: Store::open(config.state_path.as_deref())?,
                in_use: HashSet::new(),
                faults: Faults::NONE,
                holding: false,
                at_once: VecDeque::new(),
                abreast: 1,
                under_way: HashMap::new(),
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
        shared.by_itself(|tx| {
            if tx.newest("account").next().is_none() {
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
            let known = tx.newest("webhook_endpoint").find(|known| known.text("url") == wanted.url);
            let mut endpoint =
                known.cloned().unwrap_or_else(|| objects::webhook_endpoint(&wanted.url, &wanted.secret, tx.now()));
            endpoint.set("_secret", wanted.secret);
            endpoint.set("api_version", wanted.api_version);
            tx.put(endpoint);
            Ok(())
        });
    }

    /// Moves the clock on by whole seconds and does what falls due on the way.
    pub(crate) fn advance(&self, seconds: i64) {
        self.by_itself(|tx| {
            let ahead = tx.get("_clock").map_or(0, |clock| clock.int("ahead"));
            tx.put(json!({ "id": "_clock", "object": "_clock", "ahead": ahead.saturating_add(seconds.max(0)) }));
            Ok(())
        });
        self.catch_up();
    }

    /// Writes a call down.
    pub(crate) fn log(&self, logged: Value) {
        self.by_itself(|tx| {
            tx.put(logged);
            tx.trim(REQUEST, LOG);
            Ok(())
        });
    }

    /// Whether nothing is pending, or only what is held back.
    pub(crate) fn is_settled(&self) -> bool {
        let inner = self.lock();
        inner.under_way.is_empty()
            && inner.at_once.is_empty()
            && (inner.holding || inner.store.queues().next().is_none())
    }
}

/// The id of the next request.
pub(crate) fn request_id() -> String {
    ids::new("req_")[..18].to_owned()
}
