//! Sessions, by the hash of their id.

use billing::Timestamp;
use engine::store::{Db, StoreError, Tx, columns, statements, values};

statements! {
    INSERT = "INSERT INTO session (id_hash, data, expires_at) VALUES ($1, $2, $3) ON CONFLICT (id_hash) DO NOTHING";
    SAVE = "INSERT INTO session (id_hash, data, expires_at) VALUES ($1, $2, $3) \
        ON CONFLICT (id_hash) DO UPDATE SET data = excluded.data, expires_at = excluded.expires_at";
    LOAD = "SELECT data, expires_at FROM session WHERE id_hash = $1 AND expires_at > $2";
    DELETE = "DELETE FROM session WHERE id_hash = $1";
    DELETE_EXPIRED = "DELETE FROM session WHERE expires_at <= $1";
}

/// A session as stored.
#[derive(Clone, Debug)]
pub struct StoredSession {
    /// JSON.
    pub data: String,
    /// Epoch seconds.
    pub expires_at: i64,
}

columns!(StoredSession { data, expires_at });

/// Creates a session; `false` if one with this id exists.
pub async fn insert(tx: &mut Tx, id_hash: &str, session: &StoredSession) -> Result<bool, StoreError> {
    Ok(tx.execute(INSERT, values![id_hash, session.data.as_str(), session.expires_at]).await? > 0)
}

/// Creates or replaces a session.
pub async fn save(tx: &mut Tx, id_hash: &str, session: &StoredSession) -> Result<(), StoreError> {
    tx.execute(SAVE, values![id_hash, session.data.as_str(), session.expires_at]).await.map(drop)
}

/// Reads a session that has not expired.
pub async fn load(db: &Db, id_hash: &str, now: Timestamp) -> Result<Option<StoredSession>, StoreError> {
    db.fetch_optional(LOAD, values![id_hash, now.0]).await
}

/// Deletes a session.
pub async fn delete(tx: &mut Tx, id_hash: &str) -> Result<(), StoreError> {
    tx.execute(DELETE, values![id_hash]).await.map(drop)
}

/// Deletes every session that has expired.
pub async fn delete_expired(tx: &mut Tx, now: Timestamp) -> Result<(), StoreError> {
    tx.execute(DELETE_EXPIRED, values![now.0]).await.map(drop)
}
