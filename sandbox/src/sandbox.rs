//! Starting, controlling and stopping a sandbox.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use axum::Router;
use axum::routing::{any, get, post};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Endpoint};
use crate::error::Error;
use crate::gate::HeldCalls;
use crate::settings::{AfterLastRetry, Settings};
use crate::state::{Delivery, LoggedRequest, REQUEST, Shared};
use crate::{api, control, controls, deliver, hosted, permissions};

/// A running sandbox. Dropping it stops it without waiting; [`Sandbox::shutdown`] waits.
pub struct Sandbox {
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("url", &self.shared.base).finish_non_exhaustive()
    }
}

/// Starts a sandbox and returns once it accepts connections.
///
/// # Errors
/// The address cannot be bound, or the state file cannot be read or written.
pub async fn start(config: Config) -> Result<Sandbox, Error> {
    let bind = |source| Error::Bind { addr: config.addr, source };
    let listener = TcpListener::bind(config.addr).await.map_err(bind)?;
    let mut addr = listener.local_addr().map_err(bind)?;
    if addr.ip().is_unspecified() {
        addr.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let shared = Arc::new(Shared::open(&config, format!("http://{addr}"))?);
    let stop = CancellationToken::new();
    let delivering = tokio::spawn(deliver::run(Arc::clone(&shared), deliver::client()?, stop.clone()));
    let router = router(Arc::clone(&shared));
    let stopped = stop.clone().cancelled_owned();
    let serving = tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stopped).await;
        if let Err(error) = served {
            tracing::error!(%error, "the sandbox stopped serving");
        }
    });
    Ok(Sandbox { shared, stop, tasks: vec![delivering, serving] })
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(control::home))
        .route("/_sandbox", get(control::overview::show))
        .route("/_sandbox/objects", get(control::objects::list))
        .route("/_sandbox/objects/{object}", get(control::objects::show))
        .route("/_sandbox/events", get(control::events::list))
        .route("/_sandbox/events/{event}", get(control::events::show))
        .route("/_sandbox/deliveries", get(control::deliveries::list))
        .route("/_sandbox/deliveries/{delivery}", get(control::deliveries::show))
        .route("/_sandbox/requests", get(control::requests::list))
        .route("/_sandbox/requests/{request}", get(control::requests::show))
        .route("/_sandbox/faults", get(control::faults::show))
        .route("/_sandbox/state", get(control::state))
        .route("/_sandbox/api", any(control::api::handle))
        .route("/_sandbox/api/{*path}", any(control::api::handle))
        .route("/_sandbox/style.css", get(hosted::style))
        .route("/c/pay/{session}", get(hosted::checkout::show).post(hosted::checkout::submit))
        .route(
            "/c/pay/{session}/authenticate",
            get(hosted::authenticate::show_session).post(hosted::authenticate::submit_session),
        )
        .route(
            "/authenticate/{intent}",
            get(hosted::authenticate::show_intent).post(hosted::authenticate::submit_intent),
        )
        .route("/p/session/{session}", get(hosted::portal::show).post(hosted::portal::change_card))
        .route("/p/session/{session}/pay/{invoice}", post(hosted::portal::pay))
        .route(
            "/p/session/{session}/cancel/{subscription}",
            get(hosted::portal::confirm_cancellation).post(hosted::portal::cancel),
        )
        .route("/p/session/{session}/resume/{subscription}", post(hosted::portal::resume))
        .route(
            "/p/session/{session}/change/{subscription}",
            get(hosted::portal::plans).post(hosted::portal::change_plan),
        )
        .route("/p/session/{session}/details", post(hosted::portal::change_details))
        .route("/i/{invoice}", get(hosted::invoice::show).post(hosted::invoice::pay))
        .route("/i/{invoice}/pdf", get(hosted::invoice::pdf))
        .route("/receipts/{charge}", get(hosted::invoice::receipt))
        .route("/v1/{*path}", any(api::handle))
        .fallback(api::handle)
        .with_state(shared)
}

impl Sandbox {
    /// Returns the value for `STRIPE_API_BASE`: `http://127.0.0.1:PORT`, without `/v1`.
    pub fn url(&self) -> String {
        self.shared.base.clone()
    }

    /// Stops accepting connections, releases held calls, and finishes calls and deliveries in progress.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        self.shared.gates.open_all();
        for task in std::mem::take(&mut self.tasks) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the sandbox failed");
            }
        }
    }

    /// Adds a webhook endpoint for all events, or updates the one with the same URL.
    pub fn add_endpoint(&self, endpoint: Endpoint) {
        self.shared.add_endpoint(endpoint);
    }

    /// Resolves when no delivery is pending or waiting for a retry. Deliveries held by
    /// [`Sandbox::hold_deliveries`] do not count.
    pub fn deliveries_settled(&self) -> impl Future<Output = ()> + use<> {
        let shared = Arc::clone(&self.shared);
        async move {
            loop {
                let changed = shared.settled.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if shared.is_settled() {
                    return;
                }
                changed.await;
            }
        }
    }

    /// Returns the handled API calls, oldest first.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.shared.lock().store.newest(REQUEST).rev().map(LoggedRequest::of).collect()
    }

    /// Holds all deliveries, or releases them.
    pub fn hold_deliveries(&self, hold: bool) {
        controls::hold(&self.shared, hold);
    }

    /// Returns all deliveries, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.lock().store.newest("_delivery").rev().map(Delivery::of).collect()
    }

    /// Returns the pending deliveries in the order in which they would be sent.
    pub fn pending_deliveries(&self) -> Vec<Delivery> {
        let inner = self.shared.lock();
        controls::pending(&inner).iter().filter_map(|id| inner.store.get(id)).map(Delivery::of).collect()
    }

    /// Sends one pending delivery now, even while deliveries are held; returns `false` when it is not
    /// pending. [`Sandbox::deliveries_settled`] waits for it.
    pub fn deliver(&self, delivery: &str) -> bool {
        controls::deliver(&self.shared, delivery).is_ok()
    }

    /// Drops a pending delivery, as if it were lost in transit; returns `false` when it is not pending.
    pub fn drop_delivery(&self, delivery: &str) -> bool {
        self.control(&format!("POST deliveries/{delivery}/drop"), &[]).is_ok()
    }

    /// Reorders the pending deliveries; the order depends only on the seed.
    pub fn shuffle_deliveries(&self, seed: i64) {
        drop(controls::shuffle(&self.shared, seed));
    }

    /// Sets the maximum number of deliveries in flight to one endpoint; the default is one.
    pub fn deliver_concurrently(&self, deliveries: usize) {
        self.shared.lock().concurrency = deliveries.max(1);
    }

    /// Returns the body and the `Stripe-Signature` header that an endpoint would receive for an event
    /// now, for tests that deliver events themselves. `None` when there is no such event or endpoint.
    pub fn signed(&self, event_id: &str, endpoint_url: &str) -> Option<(String, String)> {
        let inner = self.shared.lock();
        let endpoint = inner.store.newest("webhook_endpoint").find(|known| known["url"] == endpoint_url)?;
        let payload = deliver::payload_for(&inner.store, event_id, endpoint)?;
        let signature = deliver::signature_now(endpoint, &payload);
        Some((payload, signature))
    }

    /// Fails the next `n` API calls with `status`, without executing them.
    pub fn fail_next(&self, n: u32, status: u16) {
        self.shared.lock().faults.failing = (n, status);
    }

    /// Limits the faults to calls whose path begins with `path`; an empty path means all calls.
    pub fn limit_faults_to(&self, path: &str) {
        path.clone_into(&mut self.shared.lock().faults.path);
    }

    /// Reduces an object to its id in every response that contains it; `None` disables this.
    pub fn strip_object(&self, id: Option<&str>) {
        id.unwrap_or_default().clone_into(&mut self.shared.lock().faults.stripped);
    }

    /// Keeps the response of a failed call under its idempotency key, so that it is repeated for a day, like
    /// in Stripe.
    pub fn keep_failures(&self, keep: bool) {
        self.shared.lock().faults.kept = keep;
    }

    /// Creates a restricted key, or replaces its permissions, such as `customer_read`. Permission to write
    /// includes permission to read.
    pub fn restrict_key(&self, key: &str, permissions: &[&str]) {
        self.shared.internal_transaction(|tx| {
            permissions::grant(tx, key, permissions);
            Ok(())
        });
    }

    /// Executes the next `n` API calls but returns 500, as if the response had been lost.
    pub fn drop_next_responses(&self, n: u32) {
        self.shared.lock().faults.dropping = n;
    }

    /// Executes the next `n` API calls but returns a body that is not JSON.
    pub fn corrupt_next_responses(&self, n: u32) {
        self.shared.lock().faults.corrupting = n;
    }

    /// Holds API calls of a method (any when empty) whose path begins with `path`, before they are
    /// executed, until the returned handle is opened or dropped.
    pub fn hold_calls(&self, method: &str, path: &str) -> HeldCalls {
        HeldCalls::new(&self.shared.gates, method, path)
    }

    /// Sets the outcome for a subscription when the last retry of a payment fails.
    pub fn after_last_retry(&self, then: AfterLastRetry) {
        self.shared.internal_transaction(|tx| {
            Settings { after_last_retry: then, ..Settings::current(tx) }.store(tx);
            Ok(())
        });
    }

    /// Gives each kind of hosted page its own origin, like Stripe's `checkout.stripe.com`. Only browsers
    /// resolve their names.
    pub fn separate_origins(&self, separate: bool) {
        self.shared.internal_transaction(|tx| {
            Settings { separate_origins: separate, ..Settings::current(tx) }.store(tx);
            Ok(())
        });
    }

    /// Declines a customer's next `n` charges, regardless of the card.
    pub fn decline_next_charges(&self, customer: &str, n: u32) {
        drop(controls::decline_next(&self.shared, customer, i64::from(n)));
    }

    /// Calls the control API, e.g. `control("POST clock/advance", &[("days", "3")])`.
    ///
    /// # Errors
    /// The body of the API's response: `{"error": {"message": …}}`.
    pub fn control(&self, endpoint: &str, parameters: &[(&str, &str)]) -> Result<Value, Value> {
        let (method, path) = endpoint.split_once(' ').unwrap_or(("GET", endpoint));
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        control::api::call(&self.shared, method, &format!("/_sandbox/api/{path}"), &form)
    }

    /// Delivers an event again, `times` times, to every endpoint subscribed to its type. Returns
    /// `false` when there is no such event.
    pub fn replay(&self, event_id: &str, times: u32) -> bool {
        controls::replay(&self.shared, event_id, times, None).is_ok()
    }

    /// Returns upcoming changes, earliest first: the time in seconds, the change, and the object's id.
    pub fn upcoming(&self) -> Vec<(i64, &'static str, String)> {
        let inner = self.shared.lock();
        inner.store.upcoming().map(|(at, due, id)| (at, due.name(), id.to_owned())).collect()
    }

    /// Advances the clock to the next upcoming change and returns its time; `None` if there is none.
    pub fn advance_to_next(&self) -> Option<i64> {
        controls::go_to_next(&self.shared, None, None)
    }

    /// Advances the sandbox's clock, rounded up to whole seconds: trials end, subscriptions renew and
    /// payments are retried, each at its own time.
    pub fn advance(&self, by: Duration) {
        self.shared.advance(i64::try_from(by.as_millis().div_ceil(1000)).unwrap_or(i64::MAX));
    }

    /// Returns the number of whole seconds that the sandbox's clock is ahead of real time. The value is
    /// kept up to date, so that an application in the same process can follow it. Webhook signatures use real
    /// time.
    pub fn clock_offset(&self) -> Arc<AtomicI64> {
        Arc::clone(self.shared.lock().store.ahead())
    }

    /// Returns the sandbox's time, in seconds since 1970.
    pub fn now(&self) -> i64 {
        self.shared.lock().store.now_millis() / 1000
    }
}

/// Reads how many seconds the clock of the sandbox at `url` is ahead of real time, for a program that did not
/// start it. `None` if it does not respond within two seconds.
pub async fn offset_at(url: &str) -> Option<i64> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build().ok()?;
    let response = client.get(format!("{}/_sandbox/api/clock", url.trim_end_matches('/'))).send().await.ok()?;
    serde_json::from_str::<Value>(&response.text().await.ok()?).ok()?["ahead"].as_i64()
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.cancel();
        self.shared.gates.open_all();
    }
}
