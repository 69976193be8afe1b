//! Requests without a response from Stripe, by idempotency key. Stripe repeats a failure under its key for
//! a day, so a later request needs another key.

use billing::Timestamp;

use super::{Db, StoreError, Tx, columns, statements, values};

statements! {
    BY_KEY = "SELECT number, since FROM unanswered_request WHERE key = $1";
    INSERT = "INSERT INTO unanswered_request (key, number, since) VALUES ($1, 0, $2) ON CONFLICT (key) DO NOTHING";
    RENEW = "INSERT INTO unanswered_request (key, number, since) VALUES ($1, $2, $3) ON CONFLICT (key) DO UPDATE \
        SET number = excluded.number, since = excluded.since WHERE unanswered_request.number < excluded.number";
    ANSWERED = "DELETE FROM unanswered_request WHERE key = $1 AND number = 0";
    FORGET = "DELETE FROM unanswered_request WHERE since < $1";
}

/// A request without a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// The number of the key in use: 0 for the first.
    pub number: i64,
    /// When the first request under that key failed, in epoch seconds.
    pub since: i64,
}

columns!(Unanswered { number, since });

/// Finds the request that began with this key, if Stripe failed to respond to it.
pub async fn by_key(db: &Db, key: &str) -> Result<Option<Unanswered>, StoreError> {
    db.fetch_optional(BY_KEY, values![key]).await
}

/// Records that Stripe failed to respond to the first request under a key.
pub async fn insert(tx: &mut Tx, key: &str, at: Timestamp) -> Result<(), StoreError> {
    tx.execute(INSERT, values![key, at.0]).await.map(drop)
}

/// Sets the number of the key in use, unless a later one is.
pub async fn renew(tx: &mut Tx, key: &str, number: i64, at: Timestamp) -> Result<(), StoreError> {
    tx.execute(RENEW, values![key, number, at.0]).await.map(drop)
}

/// Deletes a request that succeeded under its first key. A later key stays in use: Stripe still holds the
/// failures of the earlier ones.
pub async fn record_success(tx: &mut Tx, key: &str) -> Result<(), StoreError> {
    tx.execute(ANSWERED, values![key]).await.map(drop)
}

/// Deletes requests that failed before a time.
pub async fn forget(tx: &mut Tx, before: Timestamp) -> Result<(), StoreError> {
    tx.execute(FORGET, values![before.0]).await.map(drop)
}
