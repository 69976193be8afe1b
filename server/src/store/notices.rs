//! Notices that a meter has come to a threshold: once per window, until they are dismissed.

use billing::{AccountId, Timestamp};

use super::db::{Db, StoreError, Tx, query, statements};

statements! {
    RAISE = "INSERT INTO usage_notice (account_id, meter, window_start, percent, raised_at) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (account_id, meter, window_start, percent) DO NOTHING";
    OPEN = "SELECT meter, percent, raised_at FROM usage_notice WHERE account_id = $1 AND window_start = $2 \
        AND dismissed_at IS NULL ORDER BY meter, percent";
    DISMISS = "UPDATE usage_notice SET dismissed_at = $5 WHERE account_id = $1 AND meter = $2 AND window_start = $3 \
        AND percent <= $4 AND dismissed_at IS NULL";
    PRUNE = "DELETE FROM usage_notice WHERE window_start < $1";
}

/// Raises a notice, unless it was raised in this window before.
///
/// # Errors
/// The database failed.
pub async fn raise(
    tx: &mut Tx,
    account: &str,
    meter: &str,
    window: Timestamp,
    percent: i64,
    at: Timestamp,
) -> Result<(), StoreError> {
    query!(Tx: tx, execute, RAISE, account, meter, window.0, percent, at.0).map(drop)
}

/// The notices of a window that nobody has dismissed: meter's key, percent, when it was raised.
///
/// # Errors
/// The database failed.
pub async fn open(db: &Db, account: &AccountId, window: Timestamp) -> Result<Vec<(String, i64, i64)>, StoreError> {
    query!(Db: db, fetch_all as (String, i64, i64), OPEN, account.as_str(), window.0)
}

/// Dismisses the notices of a meter up to `percent`.
///
/// # Errors
/// The database failed.
pub async fn dismiss(
    tx: &mut Tx,
    account: &AccountId,
    meter: &str,
    window: Timestamp,
    percent: i64,
    at: Timestamp,
) -> Result<(), StoreError> {
    query!(Tx: tx, execute, DISMISS, account.as_str(), meter, window.0, percent, at.0).map(drop)
}

/// Deletes the notices of windows that began before `before`.
///
/// # Errors
/// The database failed.
pub async fn prune(tx: &mut Tx, before: Timestamp) -> Result<u64, StoreError> {
    query!(Tx: tx, execute, PRUNE, before.0)
}
