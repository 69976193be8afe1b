//! The counters of a window, and what a window begins with.

use billing::allowance::{MAX_UNITS, carried_over};
use billing::{AccountId, Limit, Meter, Timestamp, UsageWindow};

use crate::store::usage::{self as rows, Counter};
use crate::store::{Db, StoreError};

/// A window that was cut short can reach this far into the one that follows: a month.
const LONGEST_WINDOW_DAYS: i64 = 31;

/// The counters that describe a window: its own, and those of windows that it has cut short.
pub async fn counters_at(
    db: &Db,
    account: &AccountId,
    window: UsageWindow,
    subscription: Option<&str>,
) -> Result<Vec<Counter>, StoreError> {
    rows::counters_of(db, account, window.start, window.start.plus_days(-LONGEST_WINDOW_DAYS), subscription).await
}

/// The usage that a window begins with: what the latest window that it cut short has used beyond its
/// share.
pub fn carried_into(counters: &[Counter], meter: Meter, window: UsageWindow) -> u64 {
    let cut = counters
        .iter()
        .filter(|counter| counter.meter == meter.as_str() && counter.window_start < window.start.0)
        .max_by_key(|counter| counter.window_start);
    cut.map_or(0, |cut| {
        let limit = if cut.included == i64::MAX { Limit::Unlimited } else { Limit::Finite(units(cut.included)) };
        let span = UsageWindow { start: Timestamp(cut.window_start), end: Timestamp(cut.window_end) };
        carried_over(units(cut.used), limit, span, window.start)
    })
}

/// A limit as a counter stores it.
pub fn stored_limit(limit: Limit) -> i64 {
    match limit {
        Limit::Finite(limit) => stored(limit.min(MAX_UNITS - 1)),
        Limit::Unlimited => i64::MAX,
    }
}

/// Units out of a column.
pub fn units(column: i64) -> u64 {
    u64::try_from(column).unwrap_or_default()
}

/// Units for a column.
pub fn stored(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}
