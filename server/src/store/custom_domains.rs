//! Custom domains, one for each account.

use billing::{AccountId, Timestamp};
use engine::store::{Db, StoreError, Tx, statements, values};

statements! {
    OF_ACCOUNT = "SELECT domain FROM custom_domain WHERE account_id = $1";
    OWNER = "SELECT account_id FROM custom_domain WHERE domain = $1";
    SET = "INSERT INTO custom_domain (account_id, domain, created_at) VALUES ($1, $2, $3) \
        ON CONFLICT (account_id) DO UPDATE SET domain = excluded.domain, created_at = excluded.created_at";
    DELETE = "DELETE FROM custom_domain WHERE account_id = $1";
}

/// Returns the account's domain.
pub async fn of_account(db: &Db, account: &AccountId) -> Result<Option<String>, StoreError> {
    Ok(db.fetch_optional::<(String,)>(OF_ACCOUNT, values![account.as_str()]).await?.map(|(domain,)| domain))
}

/// Returns the account that owns a domain.
pub async fn owner(tx: &mut Tx, domain: &str) -> Result<Option<AccountId>, StoreError> {
    Ok(tx.fetch_optional::<(String,)>(OWNER, values![domain]).await?.map(|(id,)| AccountId::new(id)))
}

/// Sets the account's domain. Fails if another account has it.
pub async fn set(tx: &mut Tx, account: &AccountId, domain: &str, at: Timestamp) -> Result<(), StoreError> {
    tx.execute(SET, values![account.as_str(), domain, at.0]).await.map(drop)
}

/// Deletes the account's domain.
pub async fn delete(tx: &mut Tx, account: &AccountId) -> Result<(), StoreError> {
    tx.execute(DELETE, values![account.as_str()]).await.map(drop)
}
