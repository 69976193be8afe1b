//! Starting, steering and stopping a sandbox.

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
use crate::state::{Delivery, REQUEST, RequestLine, Shared};
use crate::{api, control, controls, deliver, hosted};

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

/// Starts a sandbox and returns when it accepts connections.
///
/// # Errors
/// The address cannot be bound, or the state file cannot be used.
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
        .route("/_sandbox/trouble", get(control::trouble::show))
        .route("/_sandbox/state", get(control::state))
        .route("/_sandbox/api", any(control::api::answer))
        .route("/_sandbox/api/{*path}", any(control::api::answer))
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
        .route("/p/session/{session}/cancel/{subscription}", get(hosted::portal::ask).post(hosted::portal::cancel))
        .route("/p/session/{session}/resume/{subscription}", post(hosted::portal::resume))
        .route(
            "/p/session/{session}/change/{subscription}",
            get(hosted::portal::plans).post(hosted::portal::change_plan),
        )
        .route("/p/session/{session}/details", post(hosted::portal::change_details))
        .route("/i/{invoice}", get(hosted::invoice::show).post(hosted::invoice::pay))
        .route("/i/{invoice}/pdf", get(hosted::invoice::pdf))
        .route("/receipts/{charge}", get(hosted::invoice::receipt))
        .route("/v1/{*path}", any(api::answer))
        .fallback(api::answer)
        .with_state(shared)
}

impl Sandbox {
    /// `http://127.0.0.1:PORT`, without `/v1`: what `STRIPE_API_BASE` gets.
    pub fn url(&self) -> String {
        self.shared.base.clone()
    }

    /// Stops accepting, finishes what is under way and returns.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        self.shared.gates.open_all();
        for task in std::mem::take(&mut self.tasks) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the sandbox did not end well");
            }
        }
    }

    /// Adds a webhook endpoint for all events, or changes the one with that url.
    pub fn add_endpoint(&self, endpoint: Endpoint) {
        self.shared.add_endpoint(endpoint);
    }

    /// Resolves when no delivery is pending or waiting for its next try. What is held back by
    /// [`Sandbox::hold_deliveries`] is not waited for.
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

    /// The API calls answered so far, oldest first.
    pub fn requests(&self) -> Vec<RequestLine> {
        self.shared.lock().store.newest(REQUEST).rev().map(RequestLine::of).collect()
    }

    /// Holds all deliveries back, or lets them go.
    pub fn hold_deliveries(&self, hold: bool) {
        controls::hold(&self.shared, hold);
    }

    /// Every delivery there was, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.lock().store.newest("_delivery").rev().map(Delivery::of).collect()
    }

    /// The deliveries that are still to be made, in the order in which they would go.
    pub fn pending_deliveries(&self) -> Vec<Delivery> {
        let inner = self.shared.lock();
        controls::pending(&inner).iter().filter_map(|id| inner.store.get(id)).map(Delivery::of).collect()
    }

    /// Makes one pending delivery now, even while deliveries are held; `false` when it is not
    /// pending. [`Sandbox::deliveries_settled`] waits for it.
    pub fn deliver(&self, delivery: &str) -> bool {
        controls::deliver(&self.shared, delivery).is_ok()
    }

    /// Drops a pending delivery, as if it got lost; `false` when it is not pending.
    pub fn drop_delivery(&self, delivery: &str) -> bool {
        self.control(&format!("POST deliveries/{delivery}/drop"), &[]).is_ok()
    }

    /// Puts the pending deliveries in an order that depends on the seed alone.
    pub fn shuffle_deliveries(&self, seed: i64) {
        drop(controls::shuffle(&self.shared, seed));
    }

    /// How many deliveries to one endpoint may be under way at a time: one, unless more are
    /// asked for here.
    pub fn deliver_abreast(&self, deliveries: usize) {
        self.shared.lock().abreast = deliveries.max(1);
    }

    /// The body and the `Stripe-Signature` header of an event as an endpoint would get them now,
    /// for tests that deliver by themselves. `None` when there is no such event or endpoint.
    pub fn signed(&self, event_id: &str, endpoint_url: &str) -> Option<(String, String)> {
        let inner = self.shared.lock();
        let endpoint = inner.store.newest("webhook_endpoint").find(|known| known["url"] == endpoint_url)?;
        let payload = deliver::payload_for(&inner.store, event_id, endpoint)?;
        let signature = deliver::signature_now(endpoint, &payload);
        Some((payload, signature))
    }

    /// Answers the next `n` API calls with `status` without carrying them out.
    pub fn fail_next(&self, n: u32, status: u16) {
        self.shared.lock().faults.failing = (n, status);
    }

    /// The misbehaviour of the next calls is of those whose path begins so; of all when it is empty.
    pub fn only_calls_of(&self, path: &str) {
        path.clone_into(&mut self.shared.lock().faults.path);
    }

    /// Leaves of an object, wherever it stands in an answer, no more than its id; `None` ends it.
    pub fn mangle(&self, id: Option<&str>) {
        id.unwrap_or_default().clone_into(&mut self.shared.lock().faults.mangled);
    }

    /// Carries the next `n` API calls out but answers them with 500, as if the answer was lost.
    pub fn lose_next_answers(&self, n: u32) {
        self.shared.lock().faults.losing = n;
    }

    /// Carries the next `n` API calls out but answers them with what is not JSON.
    pub fn garble_next_answers(&self, n: u32) {
        self.shared.lock().faults.garbling = n;
    }

    /// Holds API calls of a method (any when empty) whose path begins with `path`, before they are
    /// carried out, until the returned handle opens the gate or is dropped.
    pub fn hold_calls(&self, method: &str, path: &str) -> HeldCalls {
        HeldCalls::new(&self.shared.gates, method, path)
    }

    /// Makes every API call take that much longer before it is carried out.
    pub fn delay_calls(&self, delay: Duration) {
        self.shared.lock().faults.delay = delay;
    }

    /// What becomes of a subscription when the last retry has failed.
    pub fn after_last_retry(&self, then: AfterLastRetry) {
        self.shared.by_itself(|tx| {
            Settings { after_last_retry: then, ..Settings::current(tx) }.keep(tx);
            Ok(())
        });
    }

    /// Declines the next `n` charges of a customer, whatever the card.
    pub fn refuse_next_charges(&self, customer: &str, n: u32) {
        drop(controls::refuse_next(&self.shared, customer, i64::from(n)));
    }

    /// Does what `/_sandbox/api` offers, e.g. `control("POST clock/advance", &[("days", "3")])`.
    ///
    /// # Errors
    /// The answer that the API would give: `{"error": {"message": …}}`.
    pub fn control(&self, endpoint: &str, parameters: &[(&str, &str)]) -> Result<Value, Value> {
        let (method, path) = endpoint.split_once(' ').unwrap_or(("GET", endpoint));
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        control::api::call(&self.shared, method, &format!("/_sandbox/api/{path}"), &form)
    }

    /// Delivers an event again, `times` times, to every endpoint that wants it. `false` when
    /// there is no such event.
    pub fn replay(&self, event_id: &str, times: u32) -> bool {
        controls::replay(&self.shared, event_id, times, None).is_ok()
    }

    /// What falls due next: when (in seconds), what, and of which object.
    pub fn agenda(&self) -> Vec<(i64, &'static str, String)> {
        let inner = self.shared.lock();
        inner.store.agenda().map(|(at, what, id)| (at, what.name(), id.to_owned())).collect()
    }

    /// Moves the clock on to what falls due next, and tells when that was.
    pub fn advance_to_next(&self) -> Option<i64> {
        controls::go_to_next(&self.shared, None, None)
    }

    /// Moves the sandbox's clock on, by whole seconds: trials end, subscriptions renew, retries
    /// fall due, each at its own moment.
    pub fn advance(&self, by: Duration) {
        self.shared.advance(i64::try_from(by.as_millis().div_ceil(1000)).unwrap_or(i64::MAX));
    }

    /// How many whole seconds the sandbox's clock is ahead of real time, kept current: an
    /// application in the same process can follow it. Signatures are made with real time.
    pub fn clock_offset(&self) -> Arc<AtomicI64> {
        Arc::clone(self.shared.lock().store.ahead())
    }

    /// The sandbox's time, in seconds since 1970.
    pub fn now(&self) -> i64 {
        self.shared.lock().store.now_millis() / 1000
    }
}

/// How many seconds the clock of the sandbox at `url` is ahead of real time, for a program that
/// has not started it; `None` when none answers there within two seconds.
pub async fn offset_at(url: &str) -> Option<i64> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build().ok()?;
    let answer = client.get(format!("{}/_sandbox/api/clock", url.trim_end_matches('/'))).send().await.ok()?;
    serde_json::from_str::<Value>(&answer.text().await.ok()?).ok()?["ahead"].as_i64()
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.cancel();
        self.shared.gates.open_all();
    }
}
