//! A call's limits, as headers on every response.
//!
//! `RateLimit-Policy` and `RateLimit` (IETF draft "RateLimit header fields for HTTP") name each limit
//! that applies with its quota (`q`) per window (`w`), the remaining quota (`r`), and the seconds until
//! it resets (`t`). The meters are exact and shared by all nodes; `burst`, which protects the machine,
//! is separate on each node.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Request, State};
use axum::http::{Extensions, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use billing::{Limit, Timestamp};
use engine::metering::MeterReading;
use engine::metering::rate_limit::{Burst, RateLimitKey, TooManyCalls};

use super::problem::Problem;
use crate::http::client::ClientAddress;
use crate::tollgate::Tollgate;

/// The limits known when the response is sent.
#[derive(Clone, Debug, Default)]
struct Known {
    is_counted: bool,
    burst: Option<Burst>,
    meters: Vec<MeterReading>,
}

/// Collects a call's limits while it is handled. In the extensions of its request.
#[derive(Clone, Debug, Default)]
pub(super) struct CallLimits(Arc<Mutex<Known>>);

impl CallLimits {
    /// Counts the call, for its account or, as long as that is not known, for its client.
    pub(super) fn admit(&self, tollgate: &Tollgate, caller: &RateLimitKey) -> Result<(), TooManyCalls> {
        let admitted = tollgate.limiter().admit(caller);
        let burst = admitted.as_ref().map_or_else(|too_many| Some(too_many.burst), |burst| *burst);
        let mut known = self.lock();
        (known.is_counted, known.burst) = (true, burst);
        admitted.map(drop)
    }

    fn is_counted(&self) -> bool {
        self.lock().is_counted
    }

    pub(super) fn set_meter(&self, reading: MeterReading) {
        let mut known = self.lock();
        known.meters.retain(|other| other.meter != reading.meter);
        known.meters.push(reading);
    }

    fn take(&self) -> Known {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the client of a call, by which it is counted until its account is known.
pub(super) fn client(extensions: &Extensions) -> RateLimitKey {
    RateLimitKey::Peer(extensions.get::<ClientAddress>().map(|client| client.0))
}

/// Counts a call that needs no authentication, before it is handled.
pub(super) async fn admit_client(
    State(tollgate): State<Tollgate>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let limits = request.extensions().get::<CallLimits>().cloned().unwrap_or_default();
    limits.admit(&tollgate, &client(request.extensions()))?;
    Ok(next.run(request).await)
}

/// Adds the limits to a response. A call that was rejected before it was counted, for example because it
/// has no credentials, is counted here.
pub(super) fn announce(
    tollgate: &Tollgate,
    limits: &CallLimits,
    client: &RateLimitKey,
    mut response: Response,
) -> Response {
    if !limits.is_counted()
        && let Err(too_many) = limits.admit(tollgate, client)
    {
        response = Problem::from(too_many).into_response();
    }
    write(&limits.take(), tollgate.now(), &mut response);
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn write(known: &Known, now: Timestamp, response: &mut Response) {
    let mut policies = Vec::new();
    let mut states = Vec::new();
    if let Some(Burst { per_second, left }) = known.burst {
        policies.push(format!("\"burst\";q={per_second};w=1"));
        states.push(format!("\"burst\";r={left};t=1"));
    }
    for reading in &known.meters {
        let (Limit::Finite(limit), Limit::Finite(left)) = (reading.limit, reading.left()) else { continue };
        let window = reading.window.end.0.saturating_sub(reading.window.start.0);
        let reset = reading.window.end.0.saturating_sub(now.0).max(0);
        policies.push(format!("\"{}\";q={limit};w={window}", reading.meter));
        states.push(format!("\"{}\";r={left};t={reset}", reading.meter));
    }
    for (name, items) in [("ratelimit-policy", policies), ("ratelimit", states)] {
        if !items.is_empty()
            && let Ok(value) = HeaderValue::from_str(&items.join(", "))
        {
            response.headers_mut().insert(name, value);
        }
    }
}
