//! What is left, said on every answer; and the limit on calls at once.
//!
//! `RateLimit-Policy` and `RateLimit` (IETF draft "RateLimit header fields for HTTP") name each
//! limit that applies with its quota (`q`) per window (`w`), what is left (`r`), and the
//! seconds until there is more (`t`). The meters are exact and shared by all nodes; `burst`,
//! which is there to spare the machine, is each node's own.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use billing::{AccountId, Limit, Timestamp};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::problem::Problem;
use crate::tollgate::Tollgate;
use crate::usage::MeterReading;

/// Whose calls are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// An account, however it calls.
    Account(AccountId),
    /// Somebody unknown, by the address they call from.
    Peer(Option<IpAddr>),
}

/// Lets so many calls through in a second, and twice as many at once.
pub struct Limiter {
    limiter: Option<RateLimiter<Who, DashMapStateStore<Who>, DefaultClock, StateInformationMiddleware>>,
    per_second: u32,
    calls: AtomicU32,
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").field("per_second", &self.per_second).finish_non_exhaustive()
    }
}

impl Limiter {
    /// `None` limits nothing.
    pub fn new(per_second: Option<NonZeroU32>) -> Self {
        let limiter = per_second.map(|rate| {
            let quota = Quota::per_second(rate).allow_burst(rate.saturating_mul(NonZeroU32::MIN.saturating_add(1)));
            RateLimiter::dashmap(quota).with_middleware::<StateInformationMiddleware>()
        });
        Self { limiter, per_second: per_second.map_or(0, NonZeroU32::get), calls: AtomicU32::new(0) }
    }

    /// Lets one call through, or says how many seconds to wait. Either way what is left.
    pub(super) fn pass(&self, who: &Who) -> Result<Option<Burst>, TooFast> {
        let Some(limiter) = &self.limiter else { return Ok(None) };
        // Who has not called for a while need not be remembered.
        if self.calls.fetch_add(1, Ordering::Relaxed) % 8192 == 8191 {
            limiter.retain_recent();
        }
        match limiter.check_key(who) {
            Ok(state) => Ok(Some(Burst { per_second: self.per_second, left: state.remaining_burst_capacity() })),
            Err(not_yet) => {
                let wait = not_yet.wait_time_from(DefaultClock::default().now());
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Err(TooFast { seconds, burst: Burst { per_second: self.per_second, left: 0 } })
            }
        }
    }
}

/// More calls than may be made at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooFast {
    /// Until the next is let through.
    pub seconds: u64,
    pub burst: Burst,
}

/// What is left of the calls at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burst {
    per_second: u32,
    left: u32,
}

/// What is known of the limits by the time of the answer; handlers put it into its extensions.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub burst: Option<Burst>,
    pub meters: Vec<MeterReading>,
}

/// Stops who is too fast and unknown, and writes what is known of the limits on an answer. Those who
/// say who they are are counted by [`super::caller::Caller`].
pub(super) fn announce(tollgate: &Tollgate, known: &Shared, peer: Option<IpAddr>, mut response: Response) -> Response {
    let mut known = known.take();
    if known.burst.is_none() {
        match tollgate.limiter().pass(&Who::Peer(peer)) {
            Ok(burst) => known.burst = burst,
            // The answer was a cheap one; the next waits.
            Err(too_fast) => {
                known.burst = Some(too_fast.burst);
                response = Problem::too_fast(too_fast.seconds).into_response();
            }
        }
    }
    write(&known, tollgate.now(), &mut response);
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Where a call writes what it learns of its limits.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared(Arc<std::sync::Mutex<Known>>);

impl Shared {
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

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
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
