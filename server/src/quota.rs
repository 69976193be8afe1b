//! A limit per account and minute. It protects Stripe's rate limit, so each node has its own.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use billing::{AccountId, Timestamp};

/// What each account has used in the current minute.
#[derive(Debug)]
pub(crate) struct Quota {
    per_minute: u32,
    current: Mutex<Minute>,
}

#[derive(Debug, Default)]
struct Minute {
    start: Timestamp,
    used: HashMap<AccountId, u32>,
}

impl Quota {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self { per_minute, current: Mutex::default() }
    }

    /// Uses one unit of the account's quota, and returns whether there was one left.
    pub(crate) fn take(&self, account: &AccountId, now: Timestamp) -> bool {
        let start = Timestamp(now.0 - now.0.rem_euclid(60));
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.start != start {
            *current = Minute { start, ..Minute::default() };
        }
        let used = current.used.entry(account.clone()).or_default();
        let has_one = *used < self.per_minute;
        *used += u32::from(has_one);
        has_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_has_a_quota_that_is_full_again_in_the_next_minute() {
        let (quota, ada, eve) = (Quota::new(2), AccountId::new("ada"), AccountId::new("eve"));
        let take = |account, second| quota.take(account, Timestamp(second));
        assert_eq!([60, 90, 119, 120].map(|second| take(&ada, second)), [true, true, false, true]);
        assert!(take(&eve, 120) && take(&ada, 121) && !take(&ada, 122) && take(&eve, 123));
    }
}
