//! API keys, by the hash of the key.

use billing::{AccountId, Timestamp};
use engine::store::{Db, StoreError, Tx, columns, statements, values};

statements! {
    OF_ACCOUNT = "SELECT id, name, hint, created_at, last_used_at, revoked_at FROM api_key \
        WHERE account_id = $1 ORDER BY created_at DESC, id DESC";
    INSERT = "INSERT INTO api_key (id, account_id, name, key_hash, hint, created_at) VALUES ($1, $2, $3, $4, $5, $6)";
    REVOKE = "UPDATE api_key SET revoked_at = $3 WHERE id = $1 AND account_id = $2 AND revoked_at IS NULL \
        RETURNING key_hash";
    BY_HASH = "SELECT id, account_id, last_used_at FROM api_key WHERE key_hash = $1 AND revoked_at IS NULL";
    TOUCH = "UPDATE api_key SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";
    DELETE_ALL = "DELETE FROM api_key WHERE account_id = $1 RETURNING key_hash";
}

/// A stored key, as its owner sees it.
#[derive(Clone, Debug)]
pub struct ApiKeyRow {
    /// The id by which its owner revokes it.
    pub id: String,
    /// The name its owner gave it.
    pub name: String,
    /// Its first characters.
    pub hint: String,
    /// Epoch seconds.
    pub created_at: i64,
    /// Epoch seconds, to the minute.
    pub last_used_at: Option<i64>,
    /// Epoch seconds.
    pub revoked_at: Option<i64>,
}

columns!(ApiKeyRow { id, name, hint, created_at, last_used_at, revoked_at });

/// A key to be stored.
#[derive(Debug)]
pub struct NewApiKey<'a> {
    /// The id by which its owner revokes it.
    pub id: &'a str,
    /// The name its owner gave it.
    pub name: &'a str,
    /// SHA-256 of the key, in hex.
    pub hash: &'a str,
    /// Its first characters.
    pub hint: &'a str,
}

/// A key that authenticates calls.
#[derive(Clone, Debug)]
pub struct KnownKey {
    /// The id that its usage is recorded under.
    pub id: String,
    /// The account that its calls are counted for.
    pub account_id: String,
    /// Epoch seconds, to the minute.
    pub last_used_at: Option<i64>,
}

columns!(KnownKey { id, account_id, last_used_at });

/// Returns the keys of an account, including revoked ones, newest first.
pub async fn of_account(db: &Db, account: &AccountId) -> Result<Vec<ApiKeyRow>, StoreError> {
    db.fetch_all(OF_ACCOUNT, values![account.as_str()]).await
}

/// Stores a key.
pub async fn insert(tx: &mut Tx, account: &AccountId, key: &NewApiKey<'_>, at: Timestamp) -> Result<(), StoreError> {
    tx.execute(INSERT, values![key.id, account.as_str(), key.name, key.hash, key.hint, at.0]).await.map(drop)
}

/// Revokes a key of this account, and returns its hash; `None` if the account has no such key.
pub async fn revoke(tx: &mut Tx, account: &AccountId, id: &str, at: Timestamp) -> Result<Option<String>, StoreError> {
    let revoked = tx.fetch_optional::<(String,)>(REVOKE, values![id, account.as_str(), at.0]).await?;
    Ok(revoked.map(|(hash,)| hash))
}

/// Finds the key with this hash, unless it is revoked.
pub async fn by_hash(db: &Db, hash: &str) -> Result<Option<KnownKey>, StoreError> {
    db.fetch_optional(BY_HASH, values![hash]).await
}

/// Records when a key was last used.
pub async fn touch(tx: &mut Tx, id: &str, at: Timestamp) -> Result<(), StoreError> {
    tx.execute(TOUCH, values![id, at.0]).await.map(drop)
}

/// Deletes the keys of an account, and returns their hashes.
pub async fn delete_all(tx: &mut Tx, account: &AccountId) -> Result<Vec<String>, StoreError> {
    let deleted = tx.fetch_all::<(String,)>(DELETE_ALL, values![account.as_str()]).await?;
    Ok(deleted.into_iter().map(|(hash,)| hash).collect())
}
