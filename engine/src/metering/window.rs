//! The counters of a window, and the usage carried into it.

use billing::allowance::{MAX_UNITS, carried_over};
use billing::{AccountId, Limit, Meter, Timestamp, UsageWindow};

use crate::store::usage::{self as rows, Counter, CounterKey, WindowOf};
use crate::store::{Db, StoreError};

/// The distance in days that a window cut short can reach into the next one: a month.
const LONGEST_WINDOW_DAYS: i64 = 31;

/// Reads the counters of a window and of the windows that it has cut short.
pub async fn counters_at(
    db: &Db,
    account: &AccountId,
    window: UsageWindow,
    subscription: Option<&str>,
) -> Result<Vec<Counter>, StoreError> {
    rows::counters_of(db, account, window.start, window.start.plus_days(-LONGEST_WINDOW_DAYS), subscription).await
}

/// Returns the window of a counter, for reading the same counters of many windows together.
pub fn window_of<'a>(key: &'a CounterKey, subscription: Option<&'a str>) -> WindowOf<'a> {
    WindowOf { key, subscription, since: key.window.plus_days(-LONGEST_WINDOW_DAYS) }
}

/// Returns the usage that a window starts with: the usage of the latest window that it cut short, beyond that
/// window's share.
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

/// Converts a limit for storage in a counter.
pub fn stored_limit(limit: Limit) -> i64 {
    match limit {
        Limit::Finite(limit) => stored(limit.min(MAX_UNITS - 1)),
        Limit::Unlimited => i64::MAX,
    }
}

/// Converts units from a column.
pub fn units(column: i64) -> u64 {
    u64::try_from(column).unwrap_or_default()
}

/// Converts units for a column.
pub fn stored(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}
