//! Devices on which a user has logged in, by a hash of device and user.

use billing::{Timestamp, UserId};
use engine::store::{Db, StoreError, Tx, statements, values};

statements! {
    IS_KNOWN = "SELECT expires_at FROM known_device WHERE device_hash = $1 AND expires_at > $2";
    REMEMBER = "INSERT INTO known_device (device_hash, user_id, expires_at) VALUES ($1, $2, $3) \
        ON CONFLICT (device_hash) DO UPDATE SET user_id = excluded.user_id, expires_at = excluded.expires_at";
    DELETE_EXPIRED = "DELETE FROM known_device WHERE expires_at <= $1";
}

/// Returns whether this user has logged in on this device.
pub async fn is_known(db: &Db, device_hash: &str, now: Timestamp) -> Result<bool, StoreError> {
    Ok(db.fetch_optional::<(i64,)>(IS_KNOWN, values![device_hash, now.0]).await?.is_some())
}

/// Remembers a device until `expires_at`, or until the user is deleted.
pub async fn remember(tx: &mut Tx, device_hash: &str, user: &UserId, expires_at: Timestamp) -> Result<(), StoreError> {
    tx.execute(REMEMBER, values![device_hash, user.as_str(), expires_at.0]).await.map(drop)
}

/// Deletes every device that has expired.
pub async fn delete_expired(tx: &mut Tx, now: Timestamp) -> Result<(), StoreError> {
    tx.execute(DELETE_EXPIRED, values![now.0]).await.map(drop)
}
