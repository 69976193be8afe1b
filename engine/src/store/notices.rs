//! Notices that a meter has reached a threshold: once per window, until they are dismissed.

use billing::{AccountId, Timestamp};

use super::{Db, StoreError, Tx, columns, statements, values};

statements! {
    RAISE = "INSERT INTO usage_notice (account_id, meter, window_start, percent, raised_at) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (account_id, meter, window_start, percent) DO NOTHING";
    OPEN = "SELECT meter, percent, raised_at FROM usage_notice WHERE account_id = $1 AND window_start = $2 \
        AND dismissed_at IS NULL ORDER BY meter, percent";
    DISMISS = "UPDATE usage_notice SET dismissed_at = $5 WHERE account_id = $1 AND meter = $2 AND window_start = $3 \
        AND percent <= $4 AND dismissed_at IS NULL";
    PRUNE = "DELETE FROM usage_notice WHERE (account_id, meter, window_start, percent) IN \
        (SELECT account_id, meter, window_start, percent FROM usage_notice WHERE window_start < $1 \
        ORDER BY window_start LIMIT $2)";
}

/// A notice that has not been dismissed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenNotice {
    /// The meter's key.
    pub meter: String,
    /// The threshold.
    pub percent: i64,
    /// Epoch seconds.
    pub raised_at: i64,
}

columns!(OpenNotice { meter, percent, raised_at });

/// Raises a notice, unless it was already raised in this window.
pub async fn raise(
    tx: &mut Tx,
    account: &str,
    meter: &str,
    window: Timestamp,
    percent: i64,
    at: Timestamp,
) -> Result<(), StoreError> {
    tx.execute(RAISE, values![account, meter, window.0, percent, at.0]).await.map(drop)
}

/// Reads the notices of a window that have not been dismissed.
pub async fn open(db: &Db, account: &AccountId, window: Timestamp) -> Result<Vec<OpenNotice>, StoreError> {
    db.fetch_all(OPEN, values![account.as_str(), window.0]).await
}

/// Dismisses the notices of a meter up to `percent`.
pub async fn dismiss(
    tx: &mut Tx,
    account: &AccountId,
    meter: &str,
    window: Timestamp,
    percent: i64,
    at: Timestamp,
) -> Result<(), StoreError> {
    tx.execute(DISMISS, values![account.as_str(), meter, window.0, percent, at.0]).await.map(drop)
}

/// Deletes at most `limit` notices of windows that began before `before`, and returns their number.
pub async fn prune(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
    tx.execute(PRUNE, values![before.0, limit]).await
}
