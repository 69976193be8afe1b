//! Starting, steering and stopping a sandbox.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{any, get, post};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Endpoint};
use crate::error::Error;
use crate::state::{RequestLine, Shared};
use crate::{api, control, deliver, hosted};

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
        .route("/_sandbox", get(control::overview))
        .route("/_sandbox/state", get(control::state))
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
        .route("/i/{invoice}", get(hosted::invoice::show))
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
        self.shared.lock().requests.iter().cloned().collect()
    }

    /// Holds all deliveries back, or lets them go.
    pub fn hold_deliveries(&self, hold: bool) {
        self.shared.lock().holding = hold;
        self.shared.wake.notify_one();
    }

    /// Answers the next `n` API calls with `status` without carrying them out.
    pub fn fail_next(&self, n: u32, status: u16) {
        self.shared.lock().failing = (n, status);
    }

    /// Carries the next `n` API calls out but answers them with 500, as if the answer was lost.
    pub fn lose_next_answers(&self, n: u32) {
        self.shared.lock().losing = n;
    }

    /// Makes every API call take that much longer before it is carried out.
    pub fn delay_calls(&self, delay: Duration) {
        self.shared.lock().delay = delay;
    }

    /// Delivers an event again, `times` times, to every endpoint that wants it. `false` when
    /// there is no such event.
    pub fn replay(&self, event_id: &str, times: u32) -> bool {
        self.shared.replay(event_id, times)
    }

    /// Moves the sandbox's clock on: trials end, subscriptions renew, retries fall due, each at
    /// its own moment.
    pub fn advance(&self, by: Duration) {
        self.shared.advance(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
    }

    /// The sandbox's time, in seconds since 1970.
    pub fn now(&self) -> i64 {
        self.shared.lock().store.now_millis() / 1000
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
