//! A short-term rate limit. It protects the machine, so each node has its own; the meters, which are
//! exact, are shared by all nodes.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use billing::AccountId;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter as Governor};

/// Idle callers are removed after this many calls.
const SWEEP_EVERY: u32 = 8192;

/// The subject of a rate limit. Each has its own burst.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RateLimitKey {
    /// An account, over all its credentials.
    Account(AccountId),
    /// An unauthenticated client, by its address.
    Peer(Option<IpAddr>),
}

/// Admits a number of calls per second, and twice as many in a burst.
pub struct RateLimiter {
    governor: Option<Governor<RateLimitKey, DashMapStateStore<RateLimitKey>, DefaultClock, StateInformationMiddleware>>,
    per_second: u32,
    calls: AtomicU32,
}

impl std::fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimiter").field("per_second", &self.per_second).finish_non_exhaustive()
    }
}

/// The calls left in the burst.
#[derive(Clone, Copy, Debug)]
pub struct Burst {
    /// Calls admitted per second.
    pub per_second: u32,
    /// Calls left right now.
    pub left: u32,
}

/// Too many calls.
#[derive(Clone, Copy, Debug)]
pub struct TooManyCalls {
    /// Seconds until the next call is admitted.
    pub retry_after: u64,
    /// The burst, with no calls left.
    pub burst: Burst,
}

impl RateLimiter {
    /// Creates a limiter; `None` means no limit.
    pub fn new(per_second: Option<NonZeroU32>) -> Self {
        let governor = per_second.map(|rate| {
            let quota = Quota::per_second(rate).allow_burst(rate.saturating_mul(NonZeroU32::MIN.saturating_add(1)));
            Governor::dashmap(quota).with_middleware::<StateInformationMiddleware>()
        });
        Self { governor, per_second: per_second.map_or(0, NonZeroU32::get), calls: AtomicU32::new(0) }
    }

    /// Admits one call, and returns the rest of the burst if there is a limit.
    pub fn admit(&self, caller: &RateLimitKey) -> Result<Option<Burst>, TooManyCalls> {
        let Some(governor) = &self.governor else { return Ok(None) };
        if self.calls.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            governor.retain_recent();
        }
        let burst = |left| Burst { per_second: self.per_second, left };
        match governor.check_key(caller) {
            Ok(state) => Ok(Some(burst(state.remaining_burst_capacity()))),
            Err(not_yet) => {
                let wait = not_yet.wait_time_from(DefaultClock::default().now());
                let retry_after = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Err(TooManyCalls { retry_after, burst: burst(0) })
            }
        }
    }
}
