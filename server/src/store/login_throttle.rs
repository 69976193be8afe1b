//! Attempts to log in or sign up in the current window, by a hash of the limited subject.

use billing::Timestamp;
use engine::store::{Db, StoreError, Tx, statements, values};

statements! {
    TAKE = "INSERT INTO login_throttle (throttle_key, window_start, attempts) VALUES ($1, $2, 1) \
        ON CONFLICT (throttle_key) DO UPDATE SET \
        attempts = CASE WHEN login_throttle.window_start <= $3 THEN 1 ELSE login_throttle.attempts + 1 END, \
        window_start = CASE WHEN login_throttle.window_start <= $3 THEN excluded.window_start ELSE login_throttle.window_start END \
        WHERE login_throttle.window_start <= $3 OR login_throttle.attempts < $4 RETURNING attempts";
    FULL = "SELECT window_start FROM login_throttle WHERE throttle_key = $1 AND window_start > $2 AND attempts >= $3";
    WINDOW_START = "SELECT window_start FROM login_throttle WHERE throttle_key = $1";
    GIVE_BACK = "UPDATE login_throttle SET attempts = attempts - 1 WHERE throttle_key = $1 AND attempts > 0";
    DELETE = "DELETE FROM login_throttle WHERE throttle_key = $1";
    DELETE_EXPIRED = "DELETE FROM login_throttle WHERE window_start <= $1";
}

/// The decision on an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptDecision {
    /// It was counted.
    Allowed,
    /// The window has no attempts left.
    Denied {
        /// When the window began, and so when it will end.
        window_start: Timestamp,
    },
}

/// Decides on an attempt without counting it.
pub async fn check(db: &Db, key: &str, expired_before: Timestamp, limit: i64) -> Result<AttemptDecision, StoreError> {
    let full = db.fetch_optional::<(i64,)>(FULL, values![key, expired_before.0, limit]).await?;
    Ok(full.map_or(AttemptDecision::Allowed, |(start,)| AttemptDecision::Denied { window_start: Timestamp(start) }))
}

/// Counts an attempt if its window, which allows `limit`, has one left. A window that began at
/// `expired_before` or earlier is over.
pub async fn take(
    tx: &mut Tx,
    key: &str,
    now: Timestamp,
    expired_before: Timestamp,
    limit: i64,
) -> Result<AttemptDecision, StoreError> {
    if tx.fetch_optional::<(i64,)>(TAKE, values![key, now.0, expired_before.0, limit]).await?.is_some() {
        return Ok(AttemptDecision::Allowed);
    }
    let (start,) = tx.fetch_one::<(i64,)>(WINDOW_START, values![key]).await?;
    Ok(AttemptDecision::Denied { window_start: Timestamp(start) })
}

/// Stops counting an attempt whose password was right.
pub async fn release(tx: &mut Tx, key: &str) -> Result<(), StoreError> {
    tx.execute(GIVE_BACK, values![key]).await.map(drop)
}

/// Deletes every window that is over because it began at `expired_before` or earlier.
pub async fn delete_expired(tx: &mut Tx, expired_before: Timestamp) -> Result<(), StoreError> {
    tx.execute(DELETE_EXPIRED, values![expired_before.0]).await.map(drop)
}

/// Deletes a count.
pub async fn delete(tx: &mut Tx, key: &str) -> Result<(), StoreError> {
    tx.execute(DELETE, values![key]).await.map(drop)
}
