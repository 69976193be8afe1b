//! The quota of requests to Stripe: a limit per account and minute on the pages and actions that make them. It
//! protects Stripe's rate limit, so each node has its own.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use billing::{AccountId, Timestamp};

/// The length of a window, in seconds.
const WINDOW: i64 = 60;

/// What each account has used in the current minute.
#[derive(Debug)]
pub struct Quota {
    per_minute: Option<u32>,
    current: Mutex<Minute>,
}

#[derive(Debug, Default)]
struct Minute {
    start: Timestamp,
    used: HashMap<AccountId, u32>,
}

/// The account's quota is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaUsedUp {
    /// Seconds until it is full again.
    pub retry_after: u64,
}

impl Quota {
    /// Creates a quota; `None` means no limit.
    pub(crate) fn new(per_minute: Option<u32>) -> Self {
        Self { per_minute, current: Mutex::default() }
    }

    /// Uses one unit of the account's quota.
    pub fn take(&self, account: &AccountId, now: Timestamp) -> Result<(), QuotaUsedUp> {
        let Some(per_minute) = self.per_minute else { return Ok(()) };
        let elapsed = now.0.rem_euclid(WINDOW);
        let start = Timestamp(now.0 - elapsed);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.start != start {
            *current = Minute { start, ..Minute::default() };
        }
        let used = current.used.entry(account.clone()).or_default();
        if *used >= per_minute {
            return Err(QuotaUsedUp { retry_after: (WINDOW - elapsed).unsigned_abs() });
        }
        *used += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_has_a_quota_that_is_full_again_in_the_next_minute() {
        let (quota, ada, eve) = (Quota::new(Some(2)), AccountId::new("ada"), AccountId::new("eve"));
        let take = |account, second| quota.take(account, Timestamp(second)).map_err(|used_up| used_up.retry_after);
        assert_eq!([60, 90, 118, 119].map(|second| take(&ada, second)), [Ok(()), Ok(()), Err(2), Err(1)]);
        assert_eq!(take(&eve, 119), Ok(()));
        assert_eq!([120, 121, 122].map(|second| take(&ada, second)), [Ok(()), Ok(()), Err(58)]);
    }

    #[test]
    fn without_a_limit_nothing_is_used_up() {
        let (quota, ada) = (Quota::new(None), AccountId::new("ada"));
        assert!((0..100).all(|_| quota.take(&ada, Timestamp(60)).is_ok()));
    }
}
