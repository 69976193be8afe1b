//! What the gated pages are about: API keys, a custom domain, messages to support.

use billing::{AccountId, Timestamp};

use super::db::{Db, StoreError, Tx, query, statements};

statements! {
    API_KEYS = "SELECT id, name, hint, created_at, last_used_at FROM api_key \
        WHERE account_id = $1 AND revoked_at IS NULL ORDER BY created_at DESC, id DESC";
    API_KEY_NAMES = "SELECT id, name, hint, revoked_at FROM api_key WHERE account_id = $1";
    INSERT_API_KEY = "INSERT INTO api_key (id, account_id, name, key_hash, hint, created_at) VALUES ($1, $2, $3, $4, $5, $6)";
    REVOKE_API_KEY = "UPDATE api_key SET revoked_at = $3 WHERE id = $1 AND account_id = $2 AND revoked_at IS NULL";
    API_KEY_BY_HASH = "SELECT k.id, k.account_id, k.last_used_at FROM api_key k WHERE k.key_hash = $1";
    TOUCH_API_KEY = "UPDATE api_key SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";
    CUSTOM_DOMAIN = "SELECT domain FROM custom_domain WHERE account_id = $1";
    DOMAIN_OWNER = "SELECT account_id FROM custom_domain WHERE domain = $1";
    SET_CUSTOM_DOMAIN = "INSERT INTO custom_domain (account_id, domain, created_at) VALUES ($1, $2, $3) \
        ON CONFLICT (account_id) DO UPDATE SET domain = excluded.domain, created_at = excluded.created_at";
    SUPPORT_MESSAGES = "SELECT id, subject, body, created_at FROM support_message \
        WHERE account_id = $1 ORDER BY created_at DESC, id DESC LIMIT 50";
    DELETE_API_KEYS = "DELETE FROM api_key WHERE account_id = $1";
    DELETE_CUSTOM_DOMAIN = "DELETE FROM custom_domain WHERE account_id = $1";
    DELETE_SUPPORT_MESSAGES = "DELETE FROM support_message WHERE account_id = $1";
    INSERT_SUPPORT_MESSAGE = "INSERT INTO support_message (id, account_id, subject, body, created_at) VALUES ($1, $2, $3, $4, $5)";
}

/// A key as its owner sees it again.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ApiKeyRow {
    /// Its id.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// Its first characters.
    pub hint: String,
    /// Epoch seconds.
    pub created_at: i64,
    /// Epoch seconds, to the minute.
    pub last_used_at: Option<i64>,
}

/// A key to be.
#[derive(Debug)]
pub struct NewApiKey<'a> {
    /// Its id.
    pub id: &'a str,
    /// What its owner calls it.
    pub name: &'a str,
    /// SHA-256 of the key, in hex.
    pub hash: &'a str,
    /// Its first characters.
    pub hint: &'a str,
}

/// The keys of an account that are not revoked, newest first.
///
/// # Errors
/// The database failed.
pub async fn api_keys(db: &Db, account: &AccountId) -> Result<Vec<ApiKeyRow>, StoreError> {
    query!(Db: db, fetch_all as ApiKeyRow, API_KEYS, account.as_str())
}

/// What the keys of an account are called, revoked ones too: id, name, first characters, when it was revoked.
///
/// # Errors
/// The database failed.
pub async fn api_key_names(
    db: &Db,
    account: &AccountId,
) -> Result<Vec<(String, String, String, Option<i64>)>, StoreError> {
    query!(Db: db, fetch_all as (String, String, String, Option<i64>), API_KEY_NAMES, account.as_str())
}

/// Adds a key.
///
/// # Errors
/// The database failed.
pub async fn insert_api_key(
    tx: &mut Tx,
    account: &AccountId,
    key: &NewApiKey<'_>,
    at: Timestamp,
) -> Result<(), StoreError> {
    query!(Tx: tx, execute, INSERT_API_KEY, key.id, account.as_str(), key.name, key.hash, key.hint, at.0).map(drop)
}

/// Revokes a key of this account. `false` when it has no such key.
///
/// # Errors
/// The database failed.
pub async fn revoke_api_key(tx: &mut Tx, account: &AccountId, id: &str, at: Timestamp) -> Result<bool, StoreError> {
    query!(Tx: tx, execute, REVOKE_API_KEY, id, account.as_str(), at.0).map(|changed| changed > 0)
}

/// The key with this hash, revoked or not: its id, its account, and when it was last used.
///
/// # Errors
/// The database failed.
pub async fn api_key_by_hash(
    db: &Db,
    hash: &str,
) -> Result<Option<(String, AccountId, Option<Timestamp>)>, StoreError> {
    let row = query!(Db: db, fetch_optional as (String, String, Option<i64>), API_KEY_BY_HASH, hash)?;
    Ok(row.map(|(id, account, used)| (id, AccountId::new(account), used.map(Timestamp))))
}

/// Remembers when a key was last used.
///
/// # Errors
/// The database failed.
pub async fn touch_api_key(tx: &mut Tx, id: &str, at: Timestamp) -> Result<(), StoreError> {
    query!(Tx: tx, execute, TOUCH_API_KEY, id, at.0).map(drop)
}

/// The account's domain.
///
/// # Errors
/// The database failed.
pub async fn custom_domain(db: &Db, account: &AccountId) -> Result<Option<String>, StoreError> {
    Ok(query!(Db: db, fetch_optional as (String,), CUSTOM_DOMAIN, account.as_str())?.map(|(domain,)| domain))
}

/// Whose domain it is.
///
/// # Errors
/// The database failed.
pub async fn domain_owner(tx: &mut Tx, domain: &str) -> Result<Option<AccountId>, StoreError> {
    Ok(query!(Tx: tx, fetch_optional as (String,), DOMAIN_OWNER, domain)?.map(|(id,)| AccountId::new(id)))
}

/// Sets the account's domain.
///
/// # Errors
/// The database failed, or the domain is another account's.
pub async fn set_custom_domain(
    tx: &mut Tx,
    account: &AccountId,
    domain: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    query!(Tx: tx, execute, SET_CUSTOM_DOMAIN, account.as_str(), domain, at.0).map(drop)
}

/// A message to support: id, subject, body, epoch seconds.
pub type SupportRow = (String, String, String, i64);

/// The last fifty messages, newest first.
///
/// # Errors
/// The database failed.
pub async fn support_messages(db: &Db, account: &AccountId) -> Result<Vec<SupportRow>, StoreError> {
    query!(Db: db, fetch_all as SupportRow, SUPPORT_MESSAGES, account.as_str())
}

/// Adds a message.
///
/// # Errors
/// The database failed.
pub async fn insert_support_message(
    tx: &mut Tx,
    account: &AccountId,
    id: &str,
    subject: &str,
    body: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    query!(Tx: tx, execute, INSERT_SUPPORT_MESSAGE, id, account.as_str(), subject, body, at.0).map(drop)
}

/// Deletes everything of the account that is in this file.
///
/// # Errors
/// The database failed.
pub async fn delete_all(tx: &mut Tx, account: &AccountId) -> Result<(), StoreError> {
    query!(Tx: &mut *tx, execute, DELETE_API_KEYS, account.as_str())?;
    query!(Tx: &mut *tx, execute, DELETE_CUSTOM_DOMAIN, account.as_str())?;
    query!(Tx: tx, execute, DELETE_SUPPORT_MESSAGES, account.as_str()).map(drop)
}
