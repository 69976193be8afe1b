//! A call's limits, as headers on every response.
//!
//! `RateLimit-Policy` and `RateLimit` (IETF draft "RateLimit header fields for HTTP") name each limit
//! that applies with its quota (`q`) per window (`w`), the remaining quota (`r`), and the seconds until
//! it resets (`t`). The meters are exact and shared by all nodes; `burst`, which protects the machine,
//! is separate on each node.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use billing::{Limit, Timestamp};
use engine::metering::MeterReading;
use engine::metering::rate_limit::{Burst, Caller};

use super::problem::Problem;
use crate::tollgate::Tollgate;

/// The limits known when the response is sent.
#[derive(Clone, Debug, Default)]
struct Known {
    burst: Option<Burst>,
    meters: Vec<MeterReading>,
}

/// Collects a call's limits while it is handled. In the extensions of its request.
#[derive(Clone, Debug, Default)]
pub(super) struct CallLimits(Arc<Mutex<Known>>);

impl CallLimits {
    pub(super) fn set_burst(&self, burst: Option<Burst>) {
        self.lock().burst = burst;
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

/// Adds the limits to a response. A call that was not authenticated is counted here, by its client's
/// address; others are counted when they authenticate.
pub(super) fn announce(
    tollgate: &Tollgate,
    limits: &CallLimits,
    client: Option<IpAddr>,
    mut response: Response,
) -> Response {
    let mut known = limits.take();
    if known.burst.is_none() {
        match tollgate.limiter().admit(&Caller::Peer(client)) {
            Ok(burst) => known.burst = burst,
            // This response was cheap; the next call is rejected before it runs.
            Err(too_many) => {
                known.burst = Some(too_many.burst);
                response = Problem::too_many_calls(too_many.retry_after).into_response();
            }
        }
    }
    write(&known, tollgate.now(), &mut response);
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
