//! API keys. A key is shown once; only its hash is stored.

use std::collections::BTreeMap;

use billing::{AccountId, Meter, Timestamp};
use engine::store::usage;
use engine::{Permit, StoreError, ids};
use sha2::{Digest, Sha256};

use super::error::{Text, WorkspaceError};
use super::usage_range::UsageRange;
use crate::store::api_keys::{self as rows, KnownKey, NewApiKey};
use crate::tollgate::Tollgate;
use crate::uninterrupted::uninterrupted;
use crate::user_cache::Changed;

const NAME: Text = Text { field: "name", required: "Enter a name.", max: NAME_MAX };
/// The maximum length of a key's name, in characters.
pub const NAME_MAX: usize = 80;

/// A key, as its owner sees it after creating it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// The id by which its owner revokes it.
    pub id: String,
    /// The name its owner gave it.
    pub name: String,
    /// Its first characters.
    pub hint: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// Its usage in the last thirty days, by meter.
    pub counts: BTreeMap<Meter, u64>,
}

/// A key's name in tables, revoked or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName {
    /// The name its owner gave it.
    pub name: String,
    /// Its first characters.
    pub hint: String,
    /// Whether it was revoked.
    pub is_revoked: bool,
}

/// Returns the account's keys that are not revoked, newest first.
pub async fn api_keys(tollgate: &Tollgate, permit: &Permit) -> Result<Vec<ApiKey>, StoreError> {
    let rows = rows::of_account(tollgate.db(), permit.account_id()).await?;
    let now = tollgate.now();
    let from = UsageRange::Month.from(now, now);
    let days = usage::days(tollgate.db(), permit.account_id(), from, now.plus_seconds(1)).await?;
    let counts = |id: &str| {
        let mut counts: BTreeMap<Meter, u64> = BTreeMap::new();
        for row in days.iter().filter(|row| row.source == id) {
            if let (Some(meter), Ok(used)) = (tollgate.catalog().meter(&row.meter), u64::try_from(row.used)) {
                *counts.entry(meter).or_default() += used;
            }
        }
        counts
    };
    let active = rows.into_iter().filter(|row| row.revoked_at.is_none());
    Ok(active
        .map(|row| ApiKey {
            counts: counts(&row.id),
            id: row.id,
            name: row.name,
            hint: row.hint,
            created_at: Timestamp(row.created_at),
            last_used_at: row.last_used_at.map(Timestamp),
        })
        .collect())
}

/// Returns the names of all keys of the account, by id.
pub(super) async fn key_names(tollgate: &Tollgate, permit: &Permit) -> Result<BTreeMap<String, KeyName>, StoreError> {
    let rows = rows::of_account(tollgate.db(), permit.account_id()).await?;
    let name = |row: rows::ApiKeyRow| {
        let is_revoked = row.revoked_at.is_some();
        (row.id, KeyName { name: row.name, hint: row.hint, is_revoked })
    };
    Ok(rows.into_iter().map(name).collect())
}

/// Creates a key and returns it; it cannot be read later.
pub async fn create_api_key(tollgate: &Tollgate, permit: &Permit, name: &str) -> Result<String, WorkspaceError> {
    let name = NAME.check(name)?;
    let key = format!("tg_{}", ids::new_secret()?);
    let (id, hash) = (ids::new_id(), hash(&key));
    let row = NewApiKey { id: &id, name, hash: &hash, hint: &key[..9] };
    let mut tx = tollgate.db().begin().await?;
    rows::insert(&mut tx, permit.account_id(), &row, tollgate.now()).await?;
    tx.commit().await?;
    Ok(key)
}

/// Revokes a key immediately, on every node. Returns `false` if the account has no
/// such key.
pub async fn revoke_api_key(tollgate: &Tollgate, permit: &Permit, id: &str) -> Result<bool, StoreError> {
    let (tollgate, account, id) = (tollgate.clone(), permit.account_id().clone(), id.to_owned());
    uninterrupted(async move {
        let mut tx = tollgate.db().begin().await?;
        let revoked = rows::revoke(&mut tx, &account, &id, tollgate.now()).await?;
        let Some(hash) = revoked else { return Ok(false) };
        tollgate.user_cache().commit(tx, &[Changed::Key(hash)]).await?;
        Ok(true)
    })
    .await
}

/// The key of an authenticated call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// The account that the key belongs to.
    pub account: AccountId,
    /// The id that the key's usage is recorded under.
    pub key_id: String,
}

/// Finds the account of a key, and records, to the minute, that the key was used. `admit` is called before a
/// key that is not cached is looked up.
pub async fn authenticate<E: From<StoreError> + From<R>, R>(
    tollgate: &Tollgate,
    key: &str,
    admit: impl FnOnce() -> Result<(), R> + Send,
) -> Result<Option<Authenticated>, E> {
    let admit = || admit().map_err(E::from);
    let Some(known) = tollgate.user_cache().api_key(tollgate.db(), &hash(key), admit).await? else { return Ok(None) };
    let now = tollgate.now();
    let minute = Timestamp(now.0 - now.0.rem_euclid(60));
    let KnownKey { id, account_id, .. } = &known.key;
    if known.is_first_use_in(minute) {
        let mut tx = tollgate.db().begin().await?;
        rows::touch(&mut tx, id, minute).await?;
        tx.commit().await?;
    }
    Ok(Some(Authenticated { account: AccountId::new(account_id), key_id: id.clone() }))
}

fn hash(key: &str) -> String {
    hex::encode(Sha256::digest(key.as_bytes()))
}
