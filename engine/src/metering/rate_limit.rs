//! A short-term rate limit. It protects the machine, so each node has its own; the meters, which are
//! exact, are shared by all nodes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use billing::AccountId;
use tokio::time::Instant;

/// Callers whose burst is full again are forgotten after this many calls.
const SWEEP_EVERY: u32 = 8192;
/// A burst has the calls of two seconds.
const BURST: Duration = Duration::from_secs(2);

/// The subject of a rate limit. Each has its own burst.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RateLimitKey {
    /// An account, over all its credentials.
    Account(AccountId),
    /// An unauthenticated client, by its address.
    Peer(Option<IpAddr>),
}

/// Admits a number of calls per second, and twice as many in a burst.
#[derive(Debug)]
pub struct RateLimiter {
    per_second: Option<NonZeroU32>,
    callers: Mutex<Callers>,
}

#[derive(Debug, Default)]
struct Callers {
    /// When the burst of each caller is full again (GCRA, the generic cell rate algorithm).
    full_at: HashMap<RateLimitKey, Instant>,
    calls: u32,
}

/// The calls left in the burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Calls admitted per second.
    pub per_second: u32,
    /// Calls left right now.
    pub left: u32,
}

/// Too many calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyCalls {
    /// Seconds until the next call is admitted.
    pub retry_after: u64,
    /// The burst, with no calls left.
    pub burst: Burst,
}

impl RateLimiter {
    /// Creates a limiter; `None` means no limit.
    pub fn new(per_second: Option<NonZeroU32>) -> Self {
        Self { per_second, callers: Mutex::default() }
    }

    /// Admits one call, and returns the rest of the burst if there is a limit.
    pub fn admit(&self, caller: &RateLimitKey) -> Result<Option<Burst>, TooManyCalls> {
        self.admit_at(caller, Instant::now())
    }

    /// Checks whether a call would be admitted, without counting it.
    pub fn check(&self, caller: &RateLimitKey) -> Result<(), TooManyCalls> {
        self.check_at(caller, Instant::now())
    }

    fn admit_at(&self, caller: &RateLimitKey, now: Instant) -> Result<Option<Burst>, TooManyCalls> {
        let Some(per_second) = self.per_second else { return Ok(None) };
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.calls += 1;
        if callers.calls == SWEEP_EVERY {
            callers.calls = 0;
            callers.full_at.retain(|_, full_at| *full_at > now);
        }
        let (full_at, burst) = with_one_more(callers.full_at.get(caller), now, per_second)?;
        callers.full_at.insert(caller.clone(), full_at);
        Ok(Some(burst))
    }

    fn check_at(&self, caller: &RateLimitKey, now: Instant) -> Result<(), TooManyCalls> {
        let Some(per_second) = self.per_second else { return Ok(()) };
        let callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        with_one_more(callers.full_at.get(caller), now, per_second).map(drop)
    }
}

/// Returns when the burst is full after one more call, and what is left of it.
fn with_one_more(
    full_at: Option<&Instant>,
    now: Instant,
    per_second: NonZeroU32,
) -> Result<(Instant, Burst), TooManyCalls> {
    let per_call = (Duration::from_secs(1) / per_second.get()).max(Duration::from_nanos(1));
    let full_at = full_at.map_or(now, |full_at| *full_at.max(&now)) + per_call;
    let used = full_at - now;
    let burst = |left| Burst { per_second: per_second.get(), left };
    match BURST.checked_sub(used) {
        Some(rest) => {
            let left = rest.as_nanos() / per_call.as_nanos();
            Ok((full_at, burst(u32::try_from(left).unwrap_or(u32::MAX))))
        }
        None => {
            let wait = used - BURST;
            Err(TooManyCalls { retry_after: wait.as_secs() + u64::from(wait.subsec_nanos() > 0), burst: burst(0) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A_MINUTE: Duration = Duration::from_secs(60);

    fn limiter(per_second: u32) -> RateLimiter {
        RateLimiter::new(NonZeroU32::new(per_second))
    }

    fn account(id: &str) -> RateLimitKey {
        RateLimitKey::Account(AccountId::new(id))
    }

    /// What is left after each call, or the seconds to wait.
    fn calls(limiter: &RateLimiter, caller: &RateLimitKey, at: Instant, count: usize) -> Vec<Result<u32, u64>> {
        let admit = || limiter.admit_at(caller, at);
        (0..count).map(|_| admit().map(|burst| burst.unwrap().left).map_err(|denied| denied.retry_after)).collect()
    }

    #[test]
    fn a_burst_has_the_calls_of_two_seconds_and_refills_with_time() {
        let (limiter, ada, now) = (limiter(3), account("ada"), Instant::now());
        assert_eq!(calls(&limiter, &ada, now, 7), [Ok(5), Ok(4), Ok(3), Ok(2), Ok(1), Ok(0), Err(1)]);
        assert_eq!(calls(&limiter, &RateLimitKey::Peer(None), now, 1), [Ok(5)], "each caller has its own");
        let later = now + Duration::from_secs(1);
        assert_eq!(calls(&limiter, &ada, later, 4), [Ok(2), Ok(1), Ok(0), Err(1)]);
        assert_eq!(calls(&limiter, &ada, later + A_MINUTE, 1), [Ok(5)], "never more than the burst");
    }

    #[test]
    fn a_check_counts_nothing() {
        let (limiter, peer, now) = (limiter(1), RateLimitKey::Peer(None), Instant::now());
        for _ in 0..10 {
            limiter.check_at(&peer, now).unwrap();
        }
        assert_eq!(calls(&limiter, &peer, now, 3), [Ok(1), Ok(0), Err(1)]);
        assert_eq!(limiter.check_at(&peer, now).unwrap_err().retry_after, 1);
    }

    #[test]
    fn idle_callers_are_forgotten() {
        let (limiter, now) = (limiter(u32::MAX), Instant::now());
        for number in 1..SWEEP_EVERY {
            limiter.admit_at(&account(&number.to_string()), now).unwrap();
        }
        limiter.admit_at(&RateLimitKey::Peer(None), now + A_MINUTE).unwrap();
        assert_eq!(limiter.callers.lock().unwrap().full_at.len(), 1);
    }

    #[test]
    fn without_a_limit_every_call_is_admitted() {
        let limiter = RateLimiter::new(None);
        for _ in 0..100 {
            assert_eq!(limiter.admit(&RateLimitKey::Peer(None)), Ok(None));
        }
    }
}
