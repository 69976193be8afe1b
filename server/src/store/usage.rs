//! Usage counters. One conditional statement decides; the record that makes it
//! idempotent and the day that shows it are written in the same transaction.

use billing::{AccountId, Meter, Timestamp};

use super::db::{Db, StoreError, Tx, query, statements};

// Subtracted from the limit, not added up: the sum of two large counts is no number on PostgreSQL.
statements! {
    INSERT_RECORD = "INSERT INTO usage_record (account_id, idempotency_key, meter, quantity, recorded_at) \
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account_id, idempotency_key) DO NOTHING";
    RECORD = "SELECT meter, quantity FROM usage_record WHERE account_id = $1 AND idempotency_key = $2";
    COUNT_UP = "INSERT INTO usage_counter (account_id, meter, window_start, used, reserved) VALUES ($1, $2, $3, $4, 0) \
        ON CONFLICT (account_id, meter, window_start) DO UPDATE SET used = usage_counter.used + excluded.used \
        WHERE usage_counter.used <= $5 - usage_counter.reserved - excluded.used RETURNING used";
    USED = "SELECT used FROM usage_counter WHERE account_id = $1 AND meter = $2 AND window_start = $3";
    USED_OF_ACCOUNT = "SELECT meter, used FROM usage_counter WHERE account_id = $1 AND window_start = $2";
    COUNT_DAY = "INSERT INTO usage_day (account_id, meter, day, used) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (account_id, day, meter) DO UPDATE SET used = usage_day.used + excluded.used";
    DAYS = "SELECT day, meter, used FROM usage_day WHERE account_id = $1 AND day >= $2 AND day < $3 ORDER BY day, meter";
}

/// Writes the record of one use down. `false` when there is one under this key.
///
/// # Errors
/// The database failed.
pub async fn insert_record(
    tx: &mut Tx,
    account: &AccountId,
    key: &str,
    meter: Meter,
    quantity: i64,
    at: Timestamp,
) -> Result<bool, StoreError> {
    query!(Tx: tx, execute, INSERT_RECORD, account.as_str(), key, meter.as_str(), quantity, at.0).map(|added| added > 0)
}

/// The record under this key: its meter's key and its quantity.
///
/// # Errors
/// The database failed.
pub async fn record(tx: &mut Tx, account: &AccountId, key: &str) -> Result<Option<(String, i64)>, StoreError> {
    query!(Tx: tx, fetch_optional as (String, i64), RECORD, account.as_str(), key)
}

/// Counts `quantity` in the window unless that would pass `limit`. The new count, or `None`
/// when it would. `quantity` must not be above `limit` itself.
///
/// # Errors
/// The database failed.
pub async fn count_up(
    tx: &mut Tx,
    account: &AccountId,
    meter: Meter,
    window: Timestamp,
    quantity: i64,
    limit: i64,
) -> Result<Option<i64>, StoreError> {
    let used = query!(Tx: tx, fetch_optional as (i64,), COUNT_UP, account.as_str(), meter.as_str(), window.0, quantity, limit)?;
    Ok(used.map(|(used,)| used))
}

/// Adds to the day that analytics show.
///
/// # Errors
/// The database failed.
pub async fn count_day(
    tx: &mut Tx,
    account: &AccountId,
    meter: Meter,
    day: Timestamp,
    quantity: i64,
) -> Result<(), StoreError> {
    query!(Tx: tx, execute, COUNT_DAY, account.as_str(), meter.as_str(), day.0, quantity).map(drop)
}

/// What is used of one meter in one window.
///
/// # Errors
/// The database failed.
pub async fn used_in(tx: &mut Tx, account: &AccountId, meter: Meter, window: Timestamp) -> Result<i64, StoreError> {
    let row = query!(Tx: tx, fetch_optional as (i64,), USED, account.as_str(), meter.as_str(), window.0)?;
    Ok(row.map_or(0, |(used,)| used))
}

/// What is used of every meter in one window: meter's key and count.
///
/// # Errors
/// The database failed.
pub async fn used(db: &Db, account: &AccountId, window: Timestamp) -> Result<Vec<(String, i64)>, StoreError> {
    query!(Db: db, fetch_all as (String, i64), USED_OF_ACCOUNT, account.as_str(), window.0)
}

/// What was used on each day in `[from, to)`: day, meter's key, count; oldest first.
///
/// # Errors
/// The database failed.
pub async fn days(
    db: &Db,
    account: &AccountId,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<(i64, String, i64)>, StoreError> {
    query!(Db: db, fetch_all as (i64, String, i64), DAYS, account.as_str(), from.0, to.0)
}
